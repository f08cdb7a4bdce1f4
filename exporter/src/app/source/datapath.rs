//! The wiring of our own datapath: interfaces, programs, the kernel's names.

use anyhow::Context as _;
use eyepiece_config::Transport;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::app::error::AppError;
use crate::app::feed::{Feed, SourceDeps, SourceGuard};
use crate::app::mapping;
use crate::app::names::{KernelNameSource, MachineNames};
use crate::source::datapath;
use crate::source::datapath::links;
use crate::source::datapath::links::Links;
use crate::source::datapath::{Datapath, privileges};
use crate::support::capabilities;

/// The datapath and the watcher that feeds it; its drop detaches everything.
struct Attached {
    /// The watcher's own: its threads hold capabilities that the others have given up.
    runtime: Option<Runtime>,
    links: JoinHandle<Result<(), links::LinksError>>,
    datapath: Option<Datapath>,
}

impl SourceGuard for Attached {
    fn failure(&self) -> Option<&'static str> {
        self.links.is_finished().then_some("the watcher of interfaces has ended")
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // The attacher ends with the watcher, and detaches everything.
        self.links.abort();
        if let Some(datapath) = self.datapath.take() {
            datapath.stop();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("links")
        .on_thread_start(|| capabilities::keep(privileges::OF_WATCHING))
        .enable_all()
        .build()
}

/// Loads the programs and begins to attach them.
pub(super) fn build(deps: &SourceDeps<'_>) -> Result<Feed, AppError> {
    let settings = deps.settings;
    let watch = links::Config {
        filter: settings.datapath.interfaces.clone(),
        observer: deps.endpoint_observer.clone(),
        ..links::Config::default()
    };
    let runtime = runtime().context("cannot watch interfaces")?;
    let (symbols, publisher) = (deps.symbols.clone(), deps.publisher.clone());
    let Links { events, mut learner, inventory, task, .. } =
        links::build(runtime.handle(), watch, symbols.clone(), publisher.clone(), deps.telemetry)
            .context("cannot watch interfaces")?;
    let config = mapping::datapath(settings);
    let (datapath, reader, synced) = datapath::build(&config, events, deps.telemetry)?;
    let names = MachineNames::new(KernelNameSource::Running(datapath.names().clone()), publisher);
    let hooks = (datapath.hooks().clone(), datapath.mode());
    // An error from here on detaches: filters of clsact would otherwise stay behind.
    let attached = Attached { runtime: Some(runtime), links: task, datapath: Some(datapath) };
    let mut feed = Feed::new(reader, names, attached);
    feed.learn = Box::new(move |ifindex, address, now| learner.learn(ifindex, address, now));
    feed.reads_with = privileges::of_reading();
    if config.programs.transport == Transport::Perf {
        feed.reads_with = feed.reads_with.with(privileges::of_perf_buffers());
    }
    feed.control.views.hooks = Some(hooks);
    feed.control.views.interfaces = Some(inventory);
    feed.control.synced = Some(synced);
    Ok(feed)
}
