//! Selects the changes of a source's connection to log: a peer that keeps reconnecting does not fill the log.

/// Decides which connects and disconnects are logged. Between two stable connections each reason is logged once, and so
/// is the first connect; counters have all of them.
#[derive(Debug, Default)]
pub(super) struct ReconnectLog {
    reasons: Vec<&'static str>,
    /// The current connection has been logged.
    is_logged: bool,
    /// The last connection was not stable.
    is_flapping: bool,
    /// Lines left out since the last stable connection.
    suppressed: u64,
}

impl ReconnectLog {
    /// Records a missing connection; returns whether to log that.
    pub(super) fn on_disconnect(&mut self, reason: &'static str) -> bool {
        let is_new = !self.reasons.contains(&reason);
        if is_new {
            self.reasons.push(reason);
        } else {
            self.suppressed += 1;
        }
        is_new
    }

    /// Records a new connection; returns whether to log it now. After an unstable one it is logged when it is stable.
    pub(super) const fn on_connect(&mut self) -> bool {
        self.is_logged = !self.is_flapping;
        self.is_logged
    }

    /// Records that the connection is stable. Returns the number of omitted lines if it is still to be logged.
    pub(super) fn on_stable(&mut self) -> Option<u64> {
        self.is_flapping = false;
        self.reasons.clear();
        let suppressed = std::mem::take(&mut self.suppressed);
        (!std::mem::replace(&mut self.is_logged, true)).then_some(suppressed)
    }

    /// Records the end of a connection.
    pub(super) fn on_end(&mut self, is_stable: bool) {
        self.is_flapping = !is_stable;
        if is_stable {
            self.reasons.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReconnectLog;

    #[test]
    fn flapping_peer_is_logged_once() {
        let mut log = ReconnectLog::default();
        let mut lines = 0;
        for _ in 0..1000 {
            lines += u32::from(log.on_connect());
            log.on_end(false);
            lines += u32::from(log.on_disconnect("closed"));
            lines += u32::from(log.on_disconnect("refused"));
        }
        assert_eq!(lines, 3);
        assert!(log.on_disconnect("reset"), "another reason");
        assert!(!log.on_connect(), "it may end again at once");
        assert_eq!(log.on_stable(), Some(1998));
        assert_eq!(log.on_stable(), None);
        log.on_end(true);
        assert!(log.on_disconnect("closed") && log.on_connect(), "logged again after a stable one");
    }

    #[test]
    fn stable_connection_is_logged_once() {
        let mut log = ReconnectLog::default();
        assert!(log.on_connect());
        assert_eq!(log.on_stable(), None);
        log.on_end(true);
        assert!(log.on_disconnect("closed") && log.on_connect());
    }
}
