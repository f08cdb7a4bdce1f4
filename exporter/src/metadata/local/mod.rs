//! The provider of this machine: units, containers, pods and processes, by their control groups.

mod groups;
mod hierarchy;
mod process;
mod targets;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::{MetadataCgroup, Switch};
use eyepiece_semconv::metric;
use tokio::time::{Instant, sleep_until};

use self::groups::Groups;
use self::hierarchy::Tree;
use self::watch::FolderWatch;
use super::provider::{Change, ChangeReceiver, Condition, Provider};
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
const LOOKS: [u64; 8] = [10, 20, 30, 60, 120, 250, 1000, 4000];
/// Folders that wait for another look. Those beyond wait for the next scan.
const MAX_WAITING: usize = 1024;

/// The provider. Reading the namespaces of other users' processes needs `CAP_SYS_PTRACE`.
pub struct LocalProvider {
    groups: Groups,
    receiver: Arc<dyn ChangeReceiver>,
    incidents: Incidents,
    waiting: Vec<Waiting>,
    /// Whether the missing capability is logged.
    is_denied: bool,
}

/// A folder to look at again.
struct Waiting {
    due: Instant,
    /// How many looks it had.
    looks: usize,
    folder: PathBuf,
}

impl LocalProvider {
    /// Creates the provider; `None` if the settings leave it out.
    pub fn new(config: &MetadataCgroup, receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> Option<Self> {
        (config.enabled == Switch::On).then(|| Self::with_trees(Tree::all(), receiver, telemetry))
    }

    fn with_trees(trees: Vec<Tree>, receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> Self {
        Self {
            groups: Groups::new(trees),
            receiver,
            incidents: Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS),
            waiting: Vec::new(),
            is_denied: false,
        }
    }

    /// Follows the control groups until a shutdown. A scan blocks the thread for some 20 µs a process.
    pub async fn run(mut self, mut stop: Stop) {
        let mut watch = self.watch();
        self.groups.scan();
        self.receiver.replace(Provider::Local, self.groups.entries());
        self.receiver.report(Provider::Local, Condition::Current, self.groups.count());
        let mut scanned = Instant::now();
        let mut next_scan = scanned + SCAN_INTERVAL;
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
                () = sleep_until(next_look.min(next_scan)) => {}
            }
            self.report_denied();
            let now = Instant::now();
            self.look(now);
            if now >= next_scan {
                let changes = self.groups.scan();
                self.send(changes);
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
                let Some(pause) = LOOKS.get(waiting.looks).filter(|_| !is_settled) else { continue };
                (waiting.due, waiting.looks) = (now + Duration::from_millis(*pause), waiting.looks + 1);
            }
            later.push(waiting);
        }
        self.waiting = later;
        self.send(changes);
    }

    /// Logs once that namespaces cannot be read.
    fn report_denied(&mut self) {
        if self.groups.is_denied() && !self.is_denied {
            self.is_denied = true;
            self.incidents.count("namespaces_denied");
            tracing::warn!("cannot read the network namespaces of containers: it needs the capability SYS_PTRACE");
        }
    }

    fn send(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.receiver.apply(Provider::Local, changes);
            self.receiver.report(Provider::Local, Condition::Current, self.groups.count());
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
    use std::sync::Arc;
    use std::time::Duration;

    use eyepiece_config::{MetadataCgroup, Switch};

    use super::LocalProvider;
    use super::hierarchy::{Tree, id};
    use crate::metadata::recorder::Recorder;
    use crate::support::shutdown;
    use crate::support::telemetry::Telemetry;

    const A: &str = "3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e";

    /// Follows new groups below a folder.
    async fn follow(root: &Path, make: impl Fn(&Path)) {
        let recorder = Arc::new(Recorder::default());
        let trees = vec![Tree { root: root.to_owned(), is_unified: true }];
        let provider = LocalProvider::with_trees(trees, recorder.clone(), &Telemetry::default());
        let (stopper, stop) = shutdown::channel();
        let task = tokio::spawn(provider.run(stop));
        let lines = recorder.wait_for("Local current 0").await;
        assert_eq!(lines[0], "Local replace");
        let scope = root.join("eyepiece-test.slice").join(format!("docker-{A}.scope"));
        make(&scope);
        let key = id(&scope).unwrap();
        recorder.wait_for(&format!("  ControlGroup({key}) -> Container(\"{A}\")")).await;
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

    #[test]
    fn off_is_no_provider() {
        let config = MetadataCgroup { enabled: Switch::Off };
        assert!(LocalProvider::new(&config, Arc::new(Recorder::default()), &Telemetry::default()).is_none());
    }
}
