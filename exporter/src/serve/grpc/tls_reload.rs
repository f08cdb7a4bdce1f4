//! Reloads certificates when their files change; open connections keep theirs.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use super::metrics::ServerMetrics;
use super::tls::{TlsContents, TlsError, TlsFiles};
use crate::support::file_watch::FileWatch;
use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// The TLS configuration of the next connection.
pub(super) type CurrentTls = watch::Receiver<Arc<ServerConfig>>;

/// The owner of the certificates.
pub(super) struct TlsReloader {
    files: TlsFiles,
    /// The contents that were tried last; `None` if they could not be read.
    tried: Option<TlsContents>,
    /// Whether the last try failed; the failure is logged once.
    is_failing: bool,
    sender: watch::Sender<Arc<ServerConfig>>,
}

impl TlsReloader {
    /// Reads the files for the first time.
    pub(super) fn new(files: TlsFiles) -> Result<(Self, CurrentTls), TlsError> {
        let contents = files.read()?;
        let (sender, current) = watch::channel(files.config(&contents)?);
        Ok((Self { files, tried: Some(contents), is_failing: false, sender }, current))
    }

    /// Follows the files until a shutdown.
    pub(super) async fn run(mut self, metrics: ServerMetrics, mut stop: Stop) {
        let mut watch = FileWatch::new(self.files.paths());
        // A change between the first reading and the watch.
        self.reload(&metrics);
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                () = watch.changed() => self.reload(&metrics),
            }
        }
    }

    fn reload(&mut self, metrics: &ServerMetrics) {
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
                tracing::info!(cert = %self.files.cert.display(), "certificates reloaded");
                metrics.count_reload("ok");
                self.is_failing = false;
                self.sender.send_replace(config);
            }
            // Several files are written one by one: the next change follows.
            Err(error) if self.is_failing => tracing::debug!(%error, "cannot use the changed certificates yet"),
            Err(error) => {
                tracing::warn!(%error, "cannot use the changed certificates; the previous ones stay");
                metrics.count_reload("failed");
                self.is_failing = true;
            }
        }
    }
}
