//! What the log has been told of a source's connection: a peer that comes and goes does not fill it.

use std::time::Duration;

/// A connection that lasted this long was a good one, even without an event: its peer may have none. One that brought an
/// event and ended was not: a peer that fails at each event would be asked again at once, for ever.
pub(super) const GOOD: Duration = Duration::from_secs(10);

/// What was said since the last good connection. Between two of those each reason is said once, and so is that there is
/// a connection; counters have all of them.
#[derive(Debug, Default)]
pub(super) struct Said {
    reasons: Vec<&'static str>,
    /// That there is a connection, of the one that there is.
    connected: bool,
    /// The last connection did not last.
    is_flapping: bool,
    unsaid: u64,
}

impl Said {
    /// There is no connection, or none any more: whether to say so.
    pub(super) fn away(&mut self, reason: &'static str) -> bool {
        let is_new = !self.reasons.contains(&reason);
        if is_new {
            self.reasons.push(reason);
        } else {
            self.unsaid += 1;
        }
        is_new
    }

    /// There is a connection: whether to say so at once, which is not so after one that did not last.
    pub(super) const fn connected(&mut self) -> bool {
        self.connected = !self.is_flapping;
        self.connected
    }

    /// The connection has lasted, and is a good one: what was left unsaid before it, where that it is there is still to be
    /// said.
    pub(super) fn lasts(&mut self) -> Option<u64> {
        self.is_flapping = false;
        self.reasons.clear();
        let unsaid = std::mem::take(&mut self.unsaid);
        (!std::mem::replace(&mut self.connected, true)).then_some(unsaid)
    }

    /// The connection is over, and was a good one or not.
    pub(super) fn over(&mut self, is_good: bool) {
        self.is_flapping = !is_good;
        if is_good {
            self.reasons.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn a_peer_that_comes_and_goes_is_told_of_once() {
        let mut said = Said::default();
        let mut lines = 0;
        for _ in 0..1000 {
            lines += u32::from(said.connected());
            said.over(false);
            lines += u32::from(said.away("closed"));
            lines += u32::from(said.away("refused"));
        }
        assert_eq!(lines, 3);
        assert!(said.away("reset"), "another reason is news");
        assert!(!said.connected(), "it may go again at once");
        assert_eq!(said.lasts(), Some(1998), "now it is worth a line");
        assert_eq!(said.lasts(), None);
        said.over(true);
        assert!(said.away("closed") && said.connected(), "news again after a good one");
    }

    #[test]
    fn one_that_lasted_is_not_told_of_twice() {
        let mut said = Said::default();
        assert!(said.connected());
        assert_eq!(said.lasts(), None);
        said.over(true);
        assert!(said.away("closed") && said.connected());
    }
}
