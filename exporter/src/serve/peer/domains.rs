//! Names whose addresses are other nodes, looked up again and again.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::PeerDomain;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Incidents;
use crate::serve::peer::registry::Told;

/// The longest that a look-up may take: twice what the system's resolver waits for one server (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(10);

/// A look-up.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// Looks a name up.
pub type Resolve = Arc<dyn Fn(PeerDomain) -> Resolving + Send + Sync>;

/// The system's resolver: /etc/hosts, DNS, whatever the machine asks.
pub fn system() -> Resolve {
    Arc::new(|domain| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((domain.host.as_str(), domain.port)).await?;
            Ok(found.collect())
        })
    })
}

/// A name that is followed.
pub(super) struct Domain {
    pub(super) index: usize,
    pub(super) domain: PeerDomain,
    pub(super) refresh: Duration,
    pub(super) resolve: Resolve,
    pub(super) incidents: Incidents,
}

impl Domain {
    /// Follows it until the owner is gone. Where it cannot be looked up, what was known stays.
    pub(super) async fn run(self, told: mpsc::Sender<Told>) {
        let mut is_failing = false;
        loop {
            let late = || io::Error::from(io::ErrorKind::TimedOut);
            let found = timeout(PATIENCE, (self.resolve)(self.domain.clone())).await.unwrap_or_else(|_| Err(late()));
            match found {
                Ok(found) => {
                    is_failing = false;
                    if told.send(Told::Domain(self.index, of_one_family(found))).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(name = %self.domain, %error, "cannot look up other nodes, what was known stays");
                    }
                    is_failing = true;
                    self.incidents.count("dns");
                }
            }
            sleep(self.refresh).await;
        }
    }
}

/// The IPv4 addresses where there are any: a node that has both is still one.
fn of_one_family(found: Vec<SocketAddr>) -> BTreeSet<SocketAddr> {
    let (v4, v6): (BTreeSet<_>, BTreeSet<_>) = found.into_iter().partition(SocketAddr::is_ipv4);
    if v4.is_empty() { v6 } else { v4 }
}
