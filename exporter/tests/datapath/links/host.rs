//! A separate host for each test: a network namespace, others beside it, and a watcher in it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eyepiece::metadata::{LinkTables, Publisher, Reader};
use eyepiece::source::datapath::links;
use eyepiece::source::datapath::links::{Config, Link, LinkEvent};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::interner::Symbols;

/// Timeout of expected events. Passing tests never wait that long.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The longest wait for one event.
const SLICE: Duration = Duration::from_millis(5);

/// Runs a test on a thread in a new network namespace, or reports by name that it was skipped.
pub(crate) fn isolated(name: &str, test: impl FnOnce() + Send + 'static) {
    let isolated = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).map(|()| {
            ip("link set lo up");
            test();
        })
    });
    match isolated.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eyepiece_tests::skip::record(name, &format!("no network namespace: {error}")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs `ip` in this thread's namespace.
pub(crate) fn ip(arguments: &str) {
    assert!(try_ip(arguments), "ip {arguments}");
}

/// As [`ip`], but it may fail.
pub(crate) fn try_ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().expect("ip of iproute2").success()
}

/// Another namespace, known by name, until it is dropped.
pub(crate) struct Other(pub(crate) String);

impl Other {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("eyl-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"));
        Self(name)
    }

    /// Runs `ip` there.
    pub(crate) fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.0));
    }

    pub(crate) fn inode(&self) -> u32 {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(format!("/run/netns/{}", self.0)).expect("namespace");
        u32::try_from(metadata.ino()).expect("32 bits")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        try_ip(&format!("netns del {}", self.0));
    }
}

/// A watcher, what it reported so far, and its snapshots.
pub(crate) struct Watched {
    pub(crate) links: links::Links,
    pub(crate) symbols: Symbols,
    pub(crate) reader: Reader,
    /// The current state from the events, by name.
    pub(crate) table: BTreeMap<String, Link>,
    pub(crate) synced: usize,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Watched {
    /// A watcher of this thread's namespace, with all present interfaces reported.
    pub(crate) fn start(config: Config) -> Self {
        let mut watched = Self::start_silent(config);
        watched.until("the first list", |watched| watched.synced == 1);
        watched
    }

    /// A watcher with unread events.
    pub(crate) fn start_silent(config: Config) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let symbols = Symbols::default();
        let publisher = Publisher::new(LinkTables::new(&symbols));
        let links = links::build(runtime.handle(), config, symbols.clone(), publisher.clone(), &Telemetry::default())
            .expect("a watcher");
        let reader = publisher.reader();
        Self { links, symbols, reader, table: BTreeMap::new(), synced: 0, runtime }
    }

    /// Reads events until the condition holds; the snapshot is the newest each time it is asked.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&mut Self) -> bool) {
        let found = eyepiece_tests::until(TIMEOUT, what, || {
            if condition(self) {
                return Some(());
            }
            // A snapshot comes without an event, so look again soon.
            let received = async { tokio::time::timeout(SLICE, self.links.events.recv()).await };
            if let Ok(event) = self.runtime.block_on(received) {
                self.take(event.expect("the watcher lives"));
            }
            self.reader.refresh();
            None
        });
        found.unwrap_or_else(|error| panic!("{error}: {:#?}", self.table));
    }

    /// Takes over an event, and checks that it fits to those before.
    pub(crate) fn take(&mut self, event: LinkEvent) {
        let known = |table: &BTreeMap<String, Link>, index| table.values().any(|link| link.ifindex == index);
        match event {
            LinkEvent::Appeared(link) => {
                assert!(!known(&self.table, link.ifindex), "appeared twice: {link:?}");
                self.table.insert(link.name.clone(), link);
            }
            LinkEvent::Changed(link) => {
                assert!(known(&self.table, link.ifindex), "changed before it appeared: {link:?}");
                self.table.retain(|_, old| old.ifindex != link.ifindex);
                self.table.insert(link.name.clone(), link);
            }
            LinkEvent::Gone { ifindex, name } => {
                assert_eq!(self.table.remove(&name).map(|link| link.ifindex), Some(ifindex), "gone: {name}");
            }
            LinkEvent::Synced => self.synced += 1,
        }
    }

    /// Returns the owner of an address, by the newest snapshot.
    pub(crate) fn end(&mut self, address: &str) -> (String, u16) {
        let end = self.reader.refresh().links().end(&address.parse().expect("an address"));
        (self.symbols.text(end.name).to_string(), end.endpoint)
    }

    /// Waits until an address has an owner.
    pub(crate) fn until_end(&mut self, address: &str, name: &str) {
        self.until(&format!("{address} = {name}"), |watched| watched.end(address).0 == name);
    }

    /// A link by name, which must be there.
    pub(crate) fn link(&self, name: &str) -> &Link {
        self.table.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.table.keys()))
    }
}
