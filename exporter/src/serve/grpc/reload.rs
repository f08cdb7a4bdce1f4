//! Reads certificates again when their files change; connections that there are live on.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use super::counters::Counters;
use super::tls::{Contents, Files, TlsError};
use crate::support::file_watch::FileWatch;
use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// What the next connection is met with.
pub(super) type Current = watch::Receiver<Arc<ServerConfig>>;

/// The owner of the certificates.
pub(super) struct Reload {
    files: Files,
    /// What was tried last; none where it could not be read.
    tried: Option<Contents>,
    /// Whether the last try failed, which has been told.
    is_failing: bool,
    sender: watch::Sender<Arc<ServerConfig>>,
}

impl Reload {
    /// Reads the files for the first time.
    pub(super) fn new(files: Files) -> Result<(Self, Current), TlsError> {
        let contents = files.read()?;
        let (sender, current) = watch::channel(files.config(&contents)?);
        Ok((Self { files, tried: Some(contents), is_failing: false, sender }, current))
    }

    /// Follows the files until the end.
    pub(super) async fn run(mut self, counters: Counters, mut stop: Stop) {
        let mut watch = FileWatch::new(self.files.paths());
        // What changed between the first reading and the watch.
        self.look(&counters);
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                () = watch.changed() => self.look(&counters),
            }
        }
    }

    fn look(&mut self, counters: &Counters) {
        let read = self.files.read();
        if let Ok(contents) = &read
            && self.tried.as_ref() == Some(contents)
        {
            return;
        }
        self.tried = None;
        let result = read.and_then(|contents| {
            let config = self.files.config(&contents);
            self.tried = Some(contents);
            config
        });
        match result {
            Ok(config) => {
                tracing::info!(cert = %self.files.cert.display(), "certificates read again");
                counters.reloaded("ok");
                self.is_failing = false;
                self.sender.send_replace(config);
            }
            // One of several files that are written one by one: the next change comes.
            Err(error) if self.is_failing => tracing::debug!(%error, "certificates still cannot be used"),
            Err(error) => {
                tracing::warn!(%error, "changed certificates cannot be used, the former ones stay; trying again");
                counters.reloaded("failed");
                self.is_failing = true;
            }
        }
    }
}
