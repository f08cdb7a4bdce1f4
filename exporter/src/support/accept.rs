//! The accept loop of all servers: retries after failures, and logs panics of tasks.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tokio::time::sleep;

use super::log_limit::LogLimit;

/// Pause after a failed accept (no file descriptors left), so that the loop does not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients at one address. Failures in a row are logged at intervals, and their end once.
#[derive(Debug)]
pub struct AcceptRetry {
    server: &'static str,
    address: String,
    lines: LogLimit,
    /// Failures since the last success.
    failed: u64,
}

impl AcceptRetry {
    /// Creates one for a server's address; both are for the log.
    pub fn new(server: &'static str, address: &impl ToString) -> Self {
        Self { server, address: address.to_string(), lines: LogLimit::new(1), failed: 0 }
    }

    /// Returns the next client of `accept`, which is called again after a failure and a pause. Dropping the future
    /// loses no client.
    pub async fn next<T, F: Future<Output = io::Result<T>>>(&mut self, mut accept: impl FnMut() -> F) -> T {
        let Self { server, address, lines, failed } = self;
        loop {
            match accept().await {
                Ok(client) => {
                    if *failed > 0 {
                        tracing::info!(server, address, failed, "clients are accepted again");
                        lines.reset();
                        *failed = 0;
                    }
                    return client;
                }
                Err(error) => {
                    if lines.allows(Instant::now()) {
                        tracing::warn!(%error, server, address, "cannot accept clients");
                    }
                    *failed += 1;
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Logs a panic of one of a server's tasks.
pub fn log_panic(server: &str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, server, "a server's task panicked");
    }
}
