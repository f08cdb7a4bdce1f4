//! The provider of this machine: units, containers, pods and processes, by their control groups and by their sockets.

mod groups;
mod hierarchy;
mod process;
mod processes;
mod targets;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::{MetadataCgroup, Switch};
use eyepiece_semconv::metric;
use eyepiece_wire::Process;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::groups::Groups;
use self::hierarchy::Tree;
pub use self::processes::ProcessObserver;
use self::processes::{Processes, TooMany, remove};
use self::watch::FolderWatch;
use super::intake::BATCH;
use super::provider::{Change, ChangeReceiver, Condition, Key, Provider};
use crate::support::incidents::Incidents;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Pause between two scans, which find changes without a new folder: a removed one, a process that enters a namespace.
const SCAN_INTERVAL: Duration = Duration::from_secs(30);
/// Pause between two scans because events were lost.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// Pauses, in ms, before a new folder is looked at again: a runtime makes the folder first, then the process, then its
/// namespace. A container's only process may have ended a tenth of a second later.
const LOOK_PAUSES_MS: [u64; 8] = [10, 20, 30, 60, 120, 250, 1000, 4000];
/// Folders that wait for another look. Those beyond wait for the next scan.
const MAX_WAITING: usize = 1024;
/// The limit on a machine without a unified tree, or whose processes are all in its root.
const NOT_UNIFIED: &str =
    "no cgroup v2 groups: host sockets are named by their processes only, and those of UDP not at all";

/// The provider. Reading the namespaces of other users' processes needs `CAP_SYS_PTRACE`.
pub struct LocalProvider {
    groups: Groups,
    receiver: Arc<dyn ChangeReceiver>,
    incidents: Incidents,
    waiting: Vec<Waiting>,
    processes: Processes,
    /// Processes from the pipeline, where they are named already.
    observed: mpsc::Receiver<Process>,
    /// Whether the missing capability is logged.
    is_denied: bool,
    /// Whether the missing hierarchy is logged.
    is_limited: bool,
}

/// A folder to look at again.
struct Waiting {
    due: Instant,
    /// How many looks it had.
    looks: usize,
    folder: PathBuf,
}

impl LocalProvider {
    /// Creates the provider, which takes the processes of a [`ProcessObserver`]; `None` if the settings leave it out.
    pub fn new(
        config: &MetadataCgroup,
        observed: mpsc::Receiver<Process>,
        receiver: Arc<dyn ChangeReceiver>,
        telemetry: &Telemetry,
    ) -> Option<Self> {
        (config.enabled == Switch::On).then(|| Self::with_trees(Tree::all(), observed, receiver, telemetry))
    }

    fn with_trees(
        trees: Vec<Tree>,
        observed: mpsc::Receiver<Process>,
        receiver: Arc<dyn ChangeReceiver>,
        telemetry: &Telemetry,
    ) -> Self {
        Self {
            groups: Groups::new(trees),
            receiver,
            incidents: Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS),
            waiting: Vec::new(),
            processes: Processes::default(),
            observed,
            is_denied: false,
            is_limited: false,
        }
    }

    /// Follows the control groups until a shutdown. A scan blocks the thread for some 20 µs a process.
    pub async fn run(mut self, mut stop: Stop) {
        let mut watch = self.watch();
        self.groups.scan();
        self.receiver.replace(Provider::Local, self.groups.entries());
        self.report();
        let mut scanned = Instant::now();
        let mut next_scan = scanned + SCAN_INTERVAL;
        let mut processes = Vec::with_capacity(BATCH);
        loop {
            let next_look = self.waiting.iter().map(|waiting| waiting.due).min().unwrap_or(next_scan);
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                created = created(watch.as_mut()) => match (created, &mut watch) {
                    (Some(folders), Some(watch)) => self.enqueue(&folders, watch),
                    _ => {
                        self.incidents.count("events_lost");
                        // Watched anew, with the folders whose events were lost.
                        watch = self.watch();
                        next_scan = next_scan.min(scanned + MIN_INTERVAL);
                    }
                },
                taken = self.observed.recv_many(&mut processes, BATCH) => match taken {
                    0 => return,
                    _ => self.add(processes.drain(..)),
                },
                () = sleep_until(next_look.min(next_scan)) => {}
            }
            self.report_denied();
            let now = Instant::now();
            self.look(now);
            if now >= next_scan {
                let changes = self.groups.scan();
                self.send(changes);
                remove(&*self.receiver, &self.processes.scan());
                self.report();
                scanned = Instant::now();
                next_scan = scanned + SCAN_INTERVAL;
            }
        }
    }

    /// Watches all trees. Without inotify only scans see what is new.
    fn watch(&self) -> Option<FolderWatch> {
        let mut watch = FolderWatch::new()
            .inspect_err(|error| {
                self.incidents.count("watch");
                tracing::warn!(%error, "cannot watch control groups; they are scanned at intervals");
            })
            .ok()?;
        for tree in self.groups.trees() {
            watch.add(&tree.root);
        }
        self.report_partial(&mut watch);
        Some(watch)
    }

    fn report_partial(&self, watch: &mut FolderWatch) {
        if watch.take_partial() {
            self.incidents.count("watch");
            tracing::info!("cannot watch all control groups (fs.inotify.max_user_watches); scans see the others");
        }
    }

    /// Takes new folders, and those already in them.
    fn enqueue(&mut self, folders: &[PathBuf], watch: &mut FolderWatch) {
        let due = Instant::now();
        for folder in folders.iter().flat_map(|folder| watch.add(folder)) {
            if self.waiting.len() == MAX_WAITING {
                self.incidents.count("queue_full");
                break;
            }
            self.waiting.push(Waiting { due, looks: 0, folder });
        }
        self.report_partial(watch);
    }

    /// Looks at the folders whose time has come.
    fn look(&mut self, now: Instant) {
        let mut changes = Vec::new();
        let mut later = Vec::new();
        for mut waiting in std::mem::take(&mut self.waiting) {
            if waiting.due <= now {
                let (found, is_settled) = self.groups.look(&waiting.folder);
                changes.extend(found);
                let Some(pause) = LOOK_PAUSES_MS.get(waiting.looks).filter(|_| !is_settled) else { continue };
                (waiting.due, waiting.looks) = (now + Duration::from_millis(*pause), waiting.looks + 1);
            }
            later.push(waiting);
        }
        self.waiting = later;
        self.send(changes);
    }

    /// Looks up the owners of processes that the pipeline has seen.
    fn add(&mut self, processes: impl Iterator<Item = Process>) {
        let mut changes = Vec::new();
        for process in processes {
            match self.processes.add(&process) {
                Ok(owner) => changes.extend(owner.map(|owner| Change::Set(Key::Process(process.id), owner))),
                Err(TooMany) => {
                    self.incidents.count("processes_full");
                    remove(&*self.receiver, &[process.id]);
                }
            }
        }
        if !changes.is_empty() {
            self.receiver.apply(Provider::Local, changes);
        }
        self.report();
    }

    /// Reports what is known, and logs once what is missing on this machine.
    fn report(&mut self) {
        let is_limited = !self.groups.is_unified();
        if is_limited && !std::mem::replace(&mut self.is_limited, true) {
            tracing::info!("{NOT_UNIFIED}");
        }
        let condition = if is_limited { Condition::Limited(NOT_UNIFIED.to_owned()) } else { Condition::Current };
        self.receiver.report(Provider::Local, condition, self.groups.count());
        self.receiver.report(Provider::Process, Condition::Current, self.processes.count());
    }

    /// Logs once that namespaces cannot be read.
    fn report_denied(&mut self) {
        if self.groups.is_denied() && !self.is_denied {
            self.is_denied = true;
            self.incidents.count("namespaces_denied");
            tracing::warn!("cannot read the network namespaces of containers: it needs the capability SYS_PTRACE");
        }
    }

    fn send(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.receiver.apply(Provider::Local, changes);
            self.report();
        }
    }
}

/// Returns new folders; never, if nothing is watched.
async fn created(watch: Option<&mut FolderWatch>) -> Option<Vec<PathBuf>> {
    match watch {
        Some(watch) => watch.created().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::sync::Arc;
    use std::time::Duration;

    use eyepiece_config::{MetadataCgroup, Switch};
    use eyepiece_tests::ControlGroup;
    use eyepiece_wire::Process;
    use tokio::sync::mpsc;

    use super::hierarchy::{Tree, id};
    use super::{LocalProvider, NOT_UNIFIED, process};
    use crate::metadata::recorder::Recorder;
    use crate::support::shutdown;
    use crate::support::telemetry::Telemetry;

    const A: &str = "3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e";

    /// Follows new groups below a folder.
    async fn follow(root: &Path, make: impl Fn(&Path)) {
        let recorder = Arc::new(Recorder::default());
        let trees = vec![Tree { root: root.to_owned(), is_unified: true }];
        let (_sender, observed) = mpsc::channel(1);
        let provider = LocalProvider::with_trees(trees, observed, recorder.clone(), &Telemetry::default());
        let (stopper, stop) = shutdown::channel();
        let task = tokio::spawn(provider.run(stop));
        let lines = recorder.wait_for(&format!("Local limited 0: {NOT_UNIFIED}")).await;
        assert_eq!(lines[0], "Local replace");
        let scope = root.join("eyepiece-test.slice").join(format!("docker-{A}.scope"));
        make(&scope);
        let key = id(&scope).unwrap();
        let lines = recorder.wait_for("Local current 1").await;
        assert!(lines.contains(&format!("  ControlGroup({key}) -> Container(\"{A}\")")), "{lines:?}");
        stopper.send_replace(Some(tokio::time::Instant::now()));
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn new_groups_are_sent() {
        let root = tempfile::tempdir().unwrap();
        follow(root.path(), |scope| fs::create_dir_all(scope).unwrap()).await;
    }

    /// The kernel's own tree, where it may be written.
    #[tokio::test]
    async fn real_groups_are_sent() {
        let Some(tree) = Tree::all().into_iter().find(|tree| tree.is_unified) else {
            eyepiece_tests::skip!("the machine has no unified tree of control groups");
        };
        let root = tree.root.join(format!("eyepiece-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&root) {
            eyepiece_tests::skip!("cannot create {}: {error}", root.display());
        }
        follow(&root, |scope| fs::create_dir_all(scope).unwrap()).await;
        for folder in
            [root.join(format!("eyepiece-test.slice/docker-{A}.scope")), root.join("eyepiece-test.slice"), root]
        {
            fs::remove_dir(folder).unwrap();
        }
    }

    /// A process in a container's group, wherever the kernel has one: its own text names the group.
    #[tokio::test]
    async fn process_leads_to_its_container() {
        let path = format!("eyepiece-{}-process/docker-{A}.scope", std::process::id());
        let group = match ControlGroup::unified(path) {
            Ok(group) => group,
            Err(error) => eyepiece_tests::skip!("{error:#}"),
        };
        let mut command = Command::new("sleep");
        let mut child = group.hold(command.arg("60")).unwrap().spawn().unwrap();
        let recorder = Arc::new(Recorder::default());
        let (sender, observed) = mpsc::channel(2);
        let provider = LocalProvider::with_trees(Vec::new(), observed, recorder.clone(), &Telemetry::default());
        let (_stopper, stop) = shutdown::channel();
        let task = tokio::spawn(provider.run(stop));
        let ids = [child.id(), std::process::id()].map(|id| process::id_of(id).unwrap());
        for id in ids {
            sender.send(Process { id, ..Process::default() }).await.unwrap();
        }
        let lines = recorder.wait_for("Process current 2").await;
        let [contained, _] = ids;
        assert!(lines.contains(&format!("  Process({contained}) -> Container(\"{A}\")")), "{lines:?}");
        drop(sender);
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn off_is_no_provider() {
        let config = MetadataCgroup { enabled: Switch::Off };
        let (_sender, observed) = mpsc::channel(1);
        assert!(LocalProvider::new(&config, observed, Arc::new(Recorder::default()), &Telemetry::default()).is_none());
    }
}
