//! Reloads certificates when their files change; open connections keep theirs.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use super::files::{TlsContents, TlsError, TlsFiles};
use crate::support::file_watch::FileWatch;
use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// The TLS configuration of the next connection.
pub(crate) type CurrentTls = watch::Receiver<Arc<ServerConfig>>;

/// The owner of the certificates.
pub(crate) struct TlsReloader {
    files: TlsFiles,
    /// The application protocol, as in ALPN.
    protocol: &'static [u8],
    /// The contents that were tried last; `None` if they could not be read.
    tried: Option<TlsContents>,
    /// Whether the last try failed; the failure is logged once.
    is_failing: bool,
    sender: watch::Sender<Arc<ServerConfig>>,
}

impl TlsReloader {
    /// Reads the files for the first time.
    pub(crate) fn new(files: TlsFiles, protocol: &'static [u8]) -> Result<(Self, CurrentTls), TlsError> {
        let contents = files.read()?;
        let (sender, current) = watch::channel(files.config(&contents, protocol)?);
        Ok((Self { files, protocol, tried: Some(contents), is_failing: false, sender }, current))
    }

    /// Follows the files until a shutdown. `count` counts changes by outcome: `ok` or `failed`.
    pub(crate) async fn run(mut self, count: impl Fn(&'static str), mut stop: Stop) {
        let mut watch = FileWatch::new(self.files.paths());
        // A change between the first reading and the watch.
        self.reload(&count);
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                () = watch.changed() => self.reload(&count),
            }
        }
    }

    fn reload(&mut self, count: impl Fn(&'static str)) {
        let read = self.files.read();
        if let Ok(contents) = &read
            && self.tried.as_ref() == Some(contents)
        {
            return;
        }
        self.tried = None;
        let result = read.and_then(|contents| {
            let config = self.files.config(&contents, self.protocol);
            self.tried = Some(contents);
            config
        });
        match result {
            Ok(config) => {
                tracing::info!(cert = %self.files.cert.display(), "certificates reloaded");
                count("ok");
                self.is_failing = false;
                self.sender.send_replace(config);
            }
            // Several files are written one by one: the next change follows.
            Err(error) if self.is_failing => tracing::debug!(%error, "cannot use the changed certificates yet"),
            Err(error) => {
                tracing::warn!(%error, "cannot use the changed certificates; the previous ones stay");
                count("failed");
                self.is_failing = true;
            }
        }
    }
}
