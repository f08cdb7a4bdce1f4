//! The provider `docker`: names of containers, from docker or from podman's compatible socket.
//!
//! It lists the running containers at the start, follows events, and looks at each container that an event names again:
//! an event may be outdated, what docker answers then is not. A listing once a minute finds what events have
//! missed, and a daemon that no longer answers. While docker cannot be reached, the last state stays.
//!
//! To wire it, `app` passes the settings of `[metadata.docker]` and the registry of names to [`build`], and spawns the
//! future on the runtime `metadata`. With `CAP_SYS_PTRACE` the network namespace of a container is that of its first
//! process; without, that of docker's own file of it, which podman lacks.

mod client;
mod container;
mod convert;
mod entity;
mod error;
mod follower;
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

/// Returns the provider's task, which ends with `stop`; `None` if the settings switch it off.
pub fn build(
    config: &Docker,
    receiver: Arc<dyn ChangeReceiver>,
    telemetry: &Telemetry,
    stop: Stop,
) -> Option<impl Future<Output = ()> + Send + 'static> {
    (config.enabled != Enabled::Off).then(|| Follower::new(config, receiver, telemetry).run(stop))
}

#[cfg(test)]
mod tests;
