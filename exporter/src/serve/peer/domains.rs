//! Names whose addresses are other nodes, resolved periodically.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::PeerDomain;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::registry::PeerUpdate;
use crate::support::incidents::Incidents;

/// The longest look-up: twice the time that the system's resolver waits for one server (resolv.conf(5)).
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// A look-up in progress.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// Resolves a name.
pub type Resolve = Arc<dyn Fn(PeerDomain) -> Lookup + Send + Sync>;

/// Returns the system's resolver: /etc/hosts, DNS and other sources of nsswitch.conf(5).
pub fn system() -> Resolve {
    Arc::new(|domain| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((domain.host.as_str(), domain.port)).await?;
            Ok(found.collect())
        })
    })
}

/// One watched name.
pub(super) struct DomainWatch {
    pub(super) index: usize,
    pub(super) domain: PeerDomain,
    pub(super) refresh: Duration,
    pub(super) resolve: Resolve,
    pub(super) incidents: Incidents,
}

impl DomainWatch {
    /// Resolves the name until the registry is dropped. After a failed look-up the previous addresses stay.
    pub(super) async fn run(self, updates: mpsc::Sender<PeerUpdate>) {
        let mut is_failing = false;
        loop {
            let found = timeout(LOOKUP_TIMEOUT, (self.resolve)(self.domain.clone())).await;
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            match found {
                Ok(found) => {
                    is_failing = false;
                    if updates.send(PeerUpdate::Domain(self.index, of_one_family(found))).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(name = %self.domain, %error, "cannot resolve the name of other nodes; previous addresses stay");
                    }
                    is_failing = true;
                    self.incidents.count("dns");
                }
            }
            sleep(self.refresh).await;
        }
    }
}

/// Returns the IPv4 addresses if there are any, else the IPv6 ones: a node with both families is listed once.
fn of_one_family(found: Vec<SocketAddr>) -> BTreeSet<SocketAddr> {
    let (v4, v6): (BTreeSet<_>, BTreeSet<_>) = found.into_iter().partition(SocketAddr::is_ipv4);
    if v4.is_empty() { v6 } else { v4 }
}
