//! The wiring of the monitor: binds its socket, taps the source, then serves.

use std::path::Path;

use anyhow::Context as _;
use eyepiece_config::{Settings, SourceKind};
use tokio::runtime::Runtime;

use super::error::{AppError, SettingError};
use super::running::Phase;
use super::socket;
use crate::metadata::Publisher;
use crate::pipeline;
use crate::serve::monitor::agent::Agent;
use crate::serve::monitor::endpoints::EndpointFollower;
use crate::serve::monitor::fanout::Fanout;
use crate::serve::monitor::notification::Notification;
use crate::serve::monitor::notifier::{Inbox, Notifier, notifier};
use crate::serve::monitor::server;
use crate::serve::monitor::server::STALL;
use crate::serve::monitor::tap::Tap;
use crate::source::Source;
use crate::source::cilium_monitor::connection::identity;
use crate::source::datapath::links::notifier::{Change, EndpointObserver};
use crate::support::clock::unix_now;
use crate::support::source_address::source_address;
use crate::support::telemetry::Telemetry;
use crate::support::unix_listener::{self, Listener};

/// The bound socket, and the receivers of the tap's events.
pub(super) struct Monitor {
    socket: Option<Listener>,
    queue: Option<usize>,
    fanout: Fanout,
    /// `None` in dry mode, and if the events are not our own.
    notifier: Option<Notifier>,
    /// Notifies of endpoints, once there is an observer.
    endpoints: Option<EndpointFollower>,
    telemetry: Telemetry,
}

impl Monitor {
    /// Binds the socket, if one is set, before anything else is touched. Early clients wait in the kernel's queue.
    pub(super) fn bind(
        runtime: &Runtime,
        settings: &Settings,
        telemetry: &Telemetry,
    ) -> Result<(Self, Inbox), AppError> {
        let socket = match socket_config(settings)? {
            Some(config) => {
                socket::make_folder(&config.path);
                Some(runtime.block_on(config.listen()).context("monitor.socket")?)
            }
            None => None,
        };
        if let Some(socket) = &socket {
            check_not_own(settings, socket.path())?;
        }
        let queue = Some(settings.monitor.queue as usize).filter(|&payloads| payloads > 0);
        let (notifier, inbox) = notifier(telemetry, unix_now);
        // The stream of another agent, or of a recording, stays unchanged.
        let is_own = settings.source.kind == SourceKind::Datapath;
        let notifier = Some(notifier).filter(|_| is_own && !settings.node.dry_mode);
        let (fanout, telemetry) = (Fanout::new(telemetry), telemetry.clone());
        Ok((Self { socket, queue, fanout, notifier, endpoints: None, telemetry }, inbox))
    }

    /// Returns the observer that the source notifies of endpoints; it does nothing without a notifier.
    pub(super) fn endpoint_observer(&mut self, publisher: &Publisher) -> EndpointObserver {
        let Some(notifier) = self.notifier.clone() else { return EndpointObserver::default() };
        // One address for both families, as that of Cilium's node.
        let host = || source_address(true).or_else(|| source_address(false));
        let endpoints = EndpointFollower::new(publisher, notifier, host);
        self.endpoints = Some(endpoints.clone());
        EndpointObserver::new(move |change| match change {
            Change::Created(id, interface) => endpoints.created(id, interface),
            Change::Deleted(id, interface) => endpoints.deleted(id, interface),
            Change::Learned(address, endpoint) => endpoints.learned(address, endpoint),
            Change::Forgotten(address) => endpoints.forgotten(address),
        })
    }

    /// Wraps the source for the pipeline: the tap copies events to clients.
    pub(super) fn tap(&self, source: Box<dyn Source>, inbox: Inbox) -> Box<dyn Source> {
        Box::new(Tap::new(source, &self.fanout, inbox))
    }

    /// Returns the agent, which starts the source for its first subscriber.
    pub(super) fn agent(&self, pipeline: pipeline::Handle) -> Agent {
        Agent::new(pipeline, self.fanout.clone())
    }

    /// Serves clients, and follows the names of endpoints.
    pub(super) fn serve(self, runtime: &Runtime, agent: Agent, components: &mut Phase) -> StartNotification {
        let Self { socket, queue, notifier, endpoints, telemetry, .. } = self;
        if let Some(socket) = socket {
            tracing::info!(path = %socket.path().display(), queue, "serving the monitor socket");
            let server = server::Config { socket, queue, stall: STALL, agent, telemetry };
            let stop = components.stop.clone();
            components.tasks.spawn_on(server.run(stop), runtime.handle());
        }
        if let Some(endpoints) = endpoints {
            components.tasks.spawn_on(endpoints.run(components.stop.clone()), runtime.handle());
        }
        StartNotification(notifier)
    }
}

/// The notification that the program has started, yet to be sent.
#[must_use]
pub(super) struct StartNotification(Option<Notifier>);

impl StartNotification {
    /// Sends it at the end of the start, as Cilium's agent does, to consumers and to clients that have connected by now.
    pub(super) fn notify(self) {
        if let Some(notifier) = self.0 {
            notifier.send(Notification::Started { time: unix_now() });
        }
    }
}

/// Refuses to read the socket that we serve, by any path: compares the files, since the socket is bound now.
fn check_not_own(settings: &Settings, bound: &Path) -> Result<(), AppError> {
    let agent = Path::new(&settings.cilium_monitor.socket);
    let is_same = identity(agent).is_some_and(|file| Some(file) == identity(bound));
    if settings.source.kind != SourceKind::CiliumMonitor || !is_same {
        return Ok(());
    }
    Err(SettingError {
        key: "monitor.socket",
        wrong: format!(
            "{} is also cilium_monitor.socket, {}: eyepiece would read what it serves",
            bound.display(),
            agent.display()
        ),
        right: "use another path",
    }
    .into())
}

/// The socket's path, mode and group; `None` if it is off.
fn socket_config(settings: &Settings) -> Result<Option<unix_listener::Config>, AppError> {
    let monitor = &settings.monitor;
    let Some(path) = monitor.socket.clone() else { return Ok(None) };
    let group = socket::group("monitor.group", &monitor.group)?;
    Ok(Some(unix_listener::Config { path, mode: monitor.mode, group }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use eyepiece_config::{Settings, SourceKind};

    use super::check_not_own;

    #[test]
    fn own_socket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _ours = UnixListener::bind(at("ours")).unwrap();
        let _agent = UnixListener::bind(at("agent")).unwrap();
        symlink(at("ours"), at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for (name, is_ours) in
            [("ours", true), ("link", true), ("folder/../ours", true), ("agent", false), ("missing", false)]
        {
            for kind in [SourceKind::CiliumMonitor, SourceKind::Datapath] {
                let mut settings = Settings::default();
                (settings.source.kind, settings.cilium_monitor.socket) = (kind, at(name).display().to_string());
                let refused = check_not_own(&settings, &at("ours")).map_err(|error| error.to_string());
                assert_eq!(refused.is_err(), is_ours && kind == SourceKind::CiliumMonitor, "{name} {kind:?}");
                assert!(refused.err().is_none_or(|error| error.starts_with("monitor.socket: ")), "{name}");
            }
        }
    }
}
