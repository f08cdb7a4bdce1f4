//! The wiring of our own datapath: interfaces, programs, the kernel's names.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::{Feed, Parts, Running};
use crate::app::AppError;
use crate::app::mapping;
use crate::app::names::{Kernel, MachineNames};
use crate::source::datapath;
use crate::source::datapath::links;
use crate::source::datapath::links::Links;
use crate::source::datapath::object::Transport;
use crate::source::datapath::{Datapath, privileges};
use crate::support::capabilities;

/// The datapath and the watcher that feeds it; whoever drops it detaches everything.
pub(in crate::app) struct Attached {
    /// The watcher's own: its threads hold capabilities that the others have given up.
    runtime: Option<Runtime>,
    links: JoinHandle<Result<(), links::LinksError>>,
    datapath: Option<Datapath>,
}

impl Attached {
    /// Whether the watcher has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.links.is_finished()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // The watcher's end is the attacher's: everything is detached then.
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
pub(super) fn build(parts: &Parts<'_>) -> Result<Feed, AppError> {
    let settings = parts.settings;
    let watch = links::Config {
        filter: mapping::filter(&settings.datapath.interfaces),
        observer: parts.told.clone(),
        ..links::Config::default()
    };
    let runtime = runtime().context("cannot watch interfaces")?;
    let (symbols, publisher) = (parts.symbols.clone(), parts.publisher.clone());
    let Links { events, mut learner, inventory, task, .. } =
        links::build(runtime.handle(), watch, symbols.clone(), publisher.clone(), parts.telemetry)
            .context("cannot watch interfaces")?;
    let config = mapping::datapath(settings);
    let (datapath, reader, synced) = datapath::build(&config, events, parts.telemetry)?;
    let names = MachineNames::new(Kernel::Running(datapath.names().clone()), publisher, symbols);
    let hooks = (datapath.hooks().clone(), datapath.mode());
    // From here on whatever fails detaches: filters of clsact would stay behind.
    let attached = Attached { runtime: Some(runtime), links: task, datapath: Some(datapath) };
    let mut feed = Feed::new(reader, names, Running::Datapath(attached));
    feed.learn = Box::new(move |ifindex, address, now| learner.learn(ifindex, address, now));
    feed.reads_with = privileges::of_reading();
    if config.programs.transport == Transport::Perf {
        feed.reads_with = feed.reads_with.with(privileges::of_perf_buffers());
    }
    feed.hooks = Some(hooks);
    feed.interfaces = Some(inventory);
    feed.synced = Some(synced);
    Ok(feed)
}
