//! The monitor's wiring: the socket before anything else, the tap behind the source, the server once it can be read.

use std::path::Path;

use anyhow::Context as _;
use eyepiece_config::{Settings, SourceKind};
use nix::unistd::Gid;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{AppError, hubble};
use crate::pipeline;
use crate::serve::monitor::agent::Agent;
use crate::serve::monitor::fanout::Fanout;
use crate::serve::monitor::notification::Notification;
use crate::serve::monitor::notifier::{Inbox, Notifier, notifier};
use crate::serve::monitor::server;
use crate::serve::monitor::server::STALL;
use crate::serve::monitor::tap::Tap;
use crate::source::Source;
use crate::source::cilium_monitor::connection::identity;
use crate::source::datapath::clock::unix_now;
use crate::source::datapath::links::notifier::{Change, EndpointObserver};
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;
use crate::support::unix_listener;
use crate::support::unix_listener::{Listener, Options};

/// Identity of our endpoints, as long as nothing gives them one.
const NO_IDENTITY: u32 = 0;

/// What is there before there is a source.
pub(super) struct Monitor {
    socket: Option<Listener>,
    queue: Option<usize>,
    fanout: Fanout,
    /// None in dry mode, and where the events are not our own.
    notifier: Option<Notifier>,
    telemetry: Telemetry,
}

impl Monitor {
    /// Binds the socket, where one is wanted: what is wrong with it shows before anything else is touched. Clients
    /// that come early wait in the kernel's queue.
    pub(super) fn bind(
        runtime: &Runtime,
        settings: &Settings,
        telemetry: &Telemetry,
    ) -> Result<(Self, Inbox), AppError> {
        let socket = match options(settings)? {
            Some(options) => {
                hubble::make_folder(&options.path);
                Some(runtime.block_on(options.listen()).context("monitor.socket")?)
            }
            None => None,
        };
        if let Some(socket) = &socket {
            not_our_own(settings, socket.path())?;
        }
        let queue = Some(settings.monitor.queue as usize).filter(|&payloads| payloads > 0);
        let (notifier, inbox) = notifier(telemetry, unix_now);
        // Another agent's stream, or a recording, stays what it is.
        let own = settings.source.kind == SourceKind::Datapath;
        let notifier = Some(notifier).filter(|_| own && !settings.node.dry_mode);
        Ok((Self { socket, queue, fanout: Fanout::new(telemetry), notifier, telemetry: telemetry.clone() }, inbox))
    }

    /// Who is told of endpoints.
    pub(super) fn told(&self) -> EndpointObserver {
        match self.notifier.clone() {
            Some(notifier) => EndpointObserver::new(move |change| notifier.send(notification(change))),
            None => EndpointObserver::default(),
        }
    }

    /// The source as the pipeline reads it.
    pub(super) fn tap(&self, source: Box<dyn Source>, inbox: Inbox) -> Box<dyn Source> {
        Box::new(Tap::new(source, &self.fanout, inbox))
    }

    /// Who hands out events.
    pub(super) fn agent(&self, pipeline: pipeline::Handle) -> Agent {
        Agent::new(pipeline, self.fanout.clone())
    }

    /// Lets clients in.
    pub(super) fn serve(self, runtime: &Runtime, agent: Agent, tasks: &mut JoinSet<()>, stop: Stop) -> Starting {
        let Self { socket, queue, notifier, telemetry, .. } = self;
        if let Some(socket) = socket {
            tracing::info!(path = %socket.path().display(), queue, "monitor listener");
            let server = server::Config { socket, queue, stall: STALL, agent, telemetry };
            tasks.spawn_on(server.run(stop), runtime.handle());
        }
        Starting(notifier)
    }
}

/// Owes the notification that we have started.
#[must_use]
pub(super) struct Starting(Option<Notifier>);

impl Starting {
    /// Tells that everything is up, as Cilium's agent does at the end of its start: to consumers, and to clients that
    /// came in while we were starting. Who comes later does not hear of it, there as here.
    pub(super) fn finish(self) {
        if let Some(notifier) = self.0 {
            notifier.send(Notification::Started { time: unix_now() });
        }
    }
}

/// Refuses to read what we serve ourselves, whatever names the path has: the socket is bound now, so its file tells.
fn not_our_own(settings: &Settings, bound: &Path) -> Result<(), AppError> {
    let agent = Path::new(&settings.cilium_monitor.socket);
    let is_same = identity(agent).is_some_and(|file| Some(file) == identity(bound));
    if settings.source.kind != SourceKind::CiliumMonitor || !is_same {
        return Ok(());
    }
    Err(AppError::Setting {
        key: "monitor.socket",
        wrong: format!(
            "{} is the socket of cilium_monitor.socket, {}, too: we would read what we serve ourselves",
            bound.display(),
            agent.display()
        ),
        right: "use another path",
    })
}

/// Where and how to listen; none where it is switched off.
fn options(settings: &Settings) -> Result<Option<Options>, AppError> {
    let monitor = &settings.monitor;
    let Some(path) = monitor.socket.clone() else { return Ok(None) };
    let group = group("monitor.group", &monitor.group)?;
    Ok(Some(Options { path, mode: monitor.mode, group }))
}

/// The id of a group that a setting names; none where it names none.
pub(super) fn group(key: &'static str, name: &str) -> Result<Option<Gid>, AppError> {
    if name.is_empty() {
        return Ok(None);
    }
    let group = unix_listener::group(name).with_context(|| format!("{key}: the groups cannot be read"))?;
    let missing = || AppError::Setting {
        key,
        wrong: format!("there is no group {name:?} on this machine"),
        right: "add it, use a group's number, or leave the key empty",
    };
    group.ok_or_else(missing).map(Some)
}

fn notification(change: Change) -> Notification {
    match change {
        Change::Created(endpoint, interface) => Notification::EndpointCreated { endpoint, interface },
        Change::Deleted(endpoint, interface) => Notification::EndpointDeleted { endpoint, interface },
        Change::Learned { address, before, .. } => {
            Notification::AddressUpserted { address, identity: NO_IDENTITY, old_identity: before.map(|_| NO_IDENTITY) }
        }
        Change::Forgotten { address, .. } => Notification::AddressDeleted { address, identity: NO_IDENTITY },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use eyepiece_config::{Settings, SourceKind};

    use super::not_our_own;

    #[test]
    fn a_socket_of_ours_is_not_read_whatever_it_is_called() {
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
                let refused = not_our_own(&settings, &at("ours")).map_err(|error| error.to_string());
                assert_eq!(refused.is_err(), is_ours && kind == SourceKind::CiliumMonitor, "{name} {kind:?}");
                assert!(refused.err().is_none_or(|error| error.starts_with("monitor.socket: ")), "{name}");
            }
        }
    }
}
