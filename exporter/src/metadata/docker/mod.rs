//! The provider `docker`: names of containers, from docker or from podman's compatible socket.
//!
//! It lists the running containers at the start, follows events, and looks at each container that an event names again:
//! an event may be outdated, what docker answers then is not. A listing once a minute finds what events have
//! missed, and a daemon that no longer answers. While docker cannot be reached, the last state stays.
//!
//! With `CAP_SYS_PTRACE` the network namespace of a container is that of its first process; without, that of docker's own
//! file of it, which podman lacks.

mod client;
mod container;
mod convert;
mod entity;
mod error;
mod follower;
mod inspections;
mod metrics;
mod namespace;
mod pending;
mod state;
mod transport;

use std::sync::Arc;

use eyepiece_config::{Docker, Enabled};

use self::follower::Follower;
use super::provider::ChangeReceiver;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// The provider.
pub struct DockerProvider(Follower);

impl DockerProvider {
    /// Creates the provider; `None` if the settings switch it off.
    pub fn new(config: &Docker, receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> Option<Self> {
        (config.enabled != Enabled::Off).then(|| Self(Follower::new(config, receiver, telemetry)))
    }

    /// Follows docker until a shutdown. Needs a tokio runtime.
    pub async fn run(self, stop: Stop) {
        self.0.run(stop).await;
    }
}

#[cfg(test)]
mod tests;
