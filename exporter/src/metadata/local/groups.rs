//! The targets of control groups and network namespaces: by a scan of all, and by single new folders.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use eyepiece_flow::control_group::{Owner, unified_path};

use super::hierarchy::{Tree, id, walk};
use super::{process, targets};
use crate::metadata::provider::{Change, Key, Target};
use crate::support::network_namespace::own_inode;

/// The most folders of a tree that are read and watched: more than a machine of 250 pods has, ten times over.
pub(super) const MAX_FOLDERS: usize = 16_384;
/// Processes of a new folder that are looked at: a container's first ones are all in its namespace.
const FIRST_PROCESSES: usize = 4;

/// The entries that were sent, and the trees that they are read from.
#[derive(Debug, Default)]
pub(super) struct Groups {
    trees: Vec<Tree>,
    own_namespace: Option<u32>,
    entries: HashMap<Key, Target>,
    /// Whether a container's namespace could not be read because a capability is missing.
    is_denied: bool,
    /// Whether the unified tree has folders: without any, sockets of all processes have one group.
    is_unified: bool,
}

impl Groups {
    /// Knows no entry yet.
    pub(super) fn new(trees: Vec<Tree>) -> Self {
        Self { trees, own_namespace: own_inode().ok(), entries: HashMap::new(), is_denied: false, is_unified: false }
    }

    pub(super) fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// Returns whether a container's namespace could not be read because a capability is missing.
    pub(super) const fn is_denied(&self) -> bool {
        self.is_denied
    }

    /// Returns whether this machine's processes are in control groups of the unified tree, as of the last scan.
    pub(super) const fn is_unified(&self) -> bool {
        self.is_unified
    }

    /// The number of control groups with a target.
    pub(super) fn count(&self) -> usize {
        self.entries.keys().filter(|key| matches!(key, Key::ControlGroup(_))).count()
    }

    /// The current entries.
    pub(super) fn entries(&self) -> Vec<(Key, Target)> {
        self.entries.iter().map(|(key, target)| (key.clone(), target.clone())).collect()
    }

    /// Reads all folders and processes, and returns what changed. A removed folder's entry stays until then, since the
    /// last totals of its connections come later.
    pub(super) fn scan(&mut self) -> Vec<Change> {
        let mut found = HashMap::new();
        let unified = self.trees.iter().find(|tree| tree.is_unified).cloned();
        self.is_unified = false;
        if let Some(tree) = &unified {
            walk(tree.root.clone(), MAX_FOLDERS, |folder| {
                self.is_unified |= folder != tree.root;
                found.extend(entries_of_folder(tree, folder));
            });
        }
        for id in process::all() {
            let Some(text) = process::control_groups(id) else { continue };
            let owner = Owner::of_process(&text);
            // A path outside of our cgroup namespace begins with `/..` and has no folder here.
            let path = unified_path(&text).filter(|path| *path != "/" && !path.starts_with("/.."));
            if let Some(key) = path.and_then(|path| key_of(&unified.as_ref()?.folder_of(path)))
                && !found.contains_key(&key)
                && let Some(target) = targets::of_owner(&owner).or_else(|| targets::of_process(id))
            {
                found.insert(key, target);
            }
            let is_in_group = || process::control_groups(id).as_ref() == Some(&text);
            if let Some((key, target)) = self.entry_of_namespace(id, &owner, is_in_group) {
                // A container that joins another one's namespace does not take it over.
                let is_known = self.entries.get(&key) == Some(&target);
                if is_known || !found.contains_key(&key) {
                    found.insert(key, target);
                }
            }
        }
        self.replace_entries(found)
    }

    /// Reads one new folder and returns what changed, and whether a process of it was seen in a namespace of its own
    /// or none is to be expected.
    pub(super) fn look(&mut self, folder: &Path) -> (Vec<Change>, bool) {
        let tree = self.trees.iter().find(|tree| folder.starts_with(&tree.root));
        let Some((tree, path)) = tree.and_then(|tree| Some((tree, tree.path_of(folder)?))) else {
            return (Vec::new(), true);
        };
        self.is_unified |= tree.is_unified;
        let owner = Owner::of_path(path);
        let mut found = entries_of_folder(tree, folder);
        let processes = process::of_group(folder, FIRST_PROCESSES);
        let namespace = processes.iter().find_map(|id| {
            let is_in_group = || process::of_group(folder, usize::MAX).contains(id);
            self.entry_of_namespace(*id, &owner, is_in_group)
        });
        let is_settled = namespace.is_some() || !matches!(owner, Owner::Container { .. } | Owner::Pod(_));
        found.extend(namespace);
        let changes = found.into_iter().filter(|(key, target)| self.entries.get(key) != Some(target));
        let changes: Vec<_> = changes.map(|(key, target)| Change::Set(key, target)).collect();
        for change in &changes {
            if let Change::Set(key, target) = change {
                self.entries.insert(key.clone(), target.clone());
            }
        }
        (changes, is_settled)
    }

    /// The namespace of a container's or pod's process, unless it is the host's.
    ///
    /// The process can have ended and its id be in use again. So `is_in_group` is called after the namespace was read, and
    /// returns whether the process is still in the owner's control group.
    fn entry_of_namespace(
        &mut self,
        process: u32,
        owner: &Owner<'_>,
        is_in_group: impl FnOnce() -> bool,
    ) -> Option<(Key, Target)> {
        if !matches!(owner, Owner::Container { .. } | Owner::Pod(_)) {
            return None;
        }
        let namespace = process::namespace(process);
        self.is_denied |= namespace.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let namespace = namespace.ok().filter(|inode| Some(*inode) != self.own_namespace && is_in_group())?;
        Some((Key::Namespace(namespace), targets::of_owner(owner)?))
    }

    fn replace_entries(&mut self, found: HashMap<Key, Target>) -> Vec<Change> {
        let gone = self.entries.keys().filter(|key| !found.contains_key(*key)).cloned().map(Change::Remove);
        let new = found.iter().filter(|(key, target)| self.entries.get(*key) != Some(*target));
        let changes = gone.chain(new.map(|(key, target)| Change::Set(key.clone(), target.clone()))).collect();
        self.entries = found;
        changes
    }
}

/// The entries of a folder whose path names its owner. A pod's container leads to the pod until a provider has the
/// container itself, such as Kubernetes once the kubelet has reported it.
fn entries_of_folder(tree: &Tree, folder: &Path) -> Vec<(Key, Target)> {
    let owner = tree.path_of(folder).filter(|_| tree.is_unified).map(Owner::of_path).unwrap_or_default();
    let (Some(target), Some(key)) = (targets::of_owner(&owner), key_of(folder)) else { return Vec::new() };
    match owner {
        Owner::Container { id, pod: Some(_) } => {
            let container = Key::Container(id.into());
            vec![(key, Target::Key(container.clone())), (container, target)]
        }
        _ => vec![(key, target)],
    }
}

fn key_of(folder: &Path) -> Option<Key> {
    id(folder).map(Key::ControlGroup)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::sys::stat::Mode;

    use super::Groups;
    use crate::metadata::local::hierarchy::{Tree, id};
    use crate::metadata::provider::{Change, Key, Target};

    const A: &str = "3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e";

    fn groups(root: &Path) -> Groups {
        Groups::new(vec![Tree { root: root.to_owned(), is_unified: true }])
    }

    fn container() -> Target {
        Target::Key(Key::Container(A.into()))
    }

    /// Scans, and leaves out the namespaces of containers that run on the machine.
    fn scan(groups: &mut Groups) -> Vec<Change> {
        let mut changes = groups.scan();
        changes.retain(|change| {
            matches!(change, Change::Set(Key::ControlGroup(_), _) | Change::Remove(Key::ControlGroup(_)))
        });
        changes
    }

    #[test]
    fn folders_lead_to_owners_until_scan() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("system.slice/a.service");
        fs::create_dir_all(&service).unwrap();
        let mut groups = groups(root.path());
        let changes = scan(&mut groups);
        let key = Key::ControlGroup(id(&service).unwrap());
        assert!(matches!(&changes[..], [Change::Set(set, Target::Entity(_))] if *set == key), "{changes:?}");
        assert_eq!((scan(&mut groups), groups.count()), (vec![], 1), "nothing new");
        let scope = root.path().join(format!("system.slice/docker-{A}.scope"));
        fs::create_dir(&scope).unwrap();
        let new = Key::ControlGroup(id(&scope).unwrap());
        assert_eq!(groups.look(&scope), (vec![Change::Set(new.clone(), container())], false), "no process yet");
        assert_eq!(groups.look(&scope), (vec![], false));
        assert_eq!(groups.look(&service), (vec![], true), "of the host's namespace");
        fs::remove_dir(&scope).unwrap();
        assert_eq!(groups.count(), 2, "until the next scan");
        assert_eq!(scan(&mut groups), [Change::Remove(new)]);
    }

    #[test]
    fn container_of_pod_leads_on() {
        const UID: &str = "1b5e4a3c-0d2f-4e61-8a7b-9c0d1e2f3a4b";
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(format!("kubepods/besteffort/pod{UID}/{A}"));
        fs::create_dir_all(&folder).unwrap();
        let (group, pod) = (Key::ControlGroup(id(&folder).unwrap()), Key::Pod(UID.into()));
        let expected =
            vec![Change::Set(group, container()), Change::Set(Key::Container(A.into()), Target::Key(pod.clone()))];
        let mut groups = groups(root.path());
        assert_eq!(groups.look(&folder), (expected, false));
        assert_eq!(groups.count(), 1);
        let of_pod = Change::Set(Key::ControlGroup(id(folder.parent().unwrap()).unwrap()), Target::Key(pod));
        assert_eq!(scan(&mut groups), [of_pod], "the pod's own group");
        fs::remove_dir_all(root.path().join("kubepods")).unwrap();
        assert_eq!(scan(&mut groups).len(), 2);
        assert!(!groups.entries.contains_key(&Key::Container(A.into())));
    }

    #[test]
    fn namespace_leads_to_container_of_process() {
        let root = tempfile::tempdir().unwrap();
        let scope = root.path().join(format!("docker/{A}"));
        fs::create_dir_all(&scope).unwrap();
        fs::write(scope.join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        let mut groups = groups(root.path());
        let own = groups.own_namespace.take().unwrap();
        let (changes, is_settled) = groups.look(&scope);
        assert!(is_settled);
        assert!(changes.contains(&Change::Set(Key::Namespace(own), container())), "{changes:?}");
        groups.own_namespace = Some(own);
        groups.entries = HashMap::new();
        let (changes, is_settled) = groups.look(&scope);
        assert!(!is_settled && changes.len() == 1, "the host's namespace has no container: {changes:?}");
    }

    #[test]
    fn namespace_of_reused_id_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let scope = root.path().join(format!("docker/{A}"));
        fs::create_dir_all(&scope).unwrap();
        // The first reader finds this process, later ones find none.
        let processes = scope.join("cgroup.procs");
        nix::unistd::mkfifo(&processes, Mode::S_IRWXU).unwrap();
        let mut groups = groups(root.path());
        groups.own_namespace = None;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut writer = OpenOptions::new().write(true).open(&processes).unwrap();
                writeln!(writer, "{}", std::process::id()).unwrap();
                drop(writer);
                while !is_over.load(Ordering::Relaxed) {
                    drop(OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&processes));
                }
            });
            let found = groups.look(&scope);
            is_over.store(true, Ordering::Relaxed);
            let expected = Change::Set(Key::ControlGroup(id(&scope).unwrap()), container());
            assert_eq!(found, (vec![expected], false));
        });
    }
}
