//! A control group of a test's own, in every hierarchy of the machine, removed with what runs in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where control groups are mounted: the only hierarchy, or a folder for each.
const ROOT: &str = "/sys/fs/cgroup";

/// Timeout of removing a group.
const REMOVAL: Duration = Duration::from_secs(30);

/// A control group below the roots; dropping it ends its processes and removes it, whether we or a runtime made it.
#[derive(Debug)]
pub struct ControlGroup(String);

impl ControlGroup {
    /// The group of a name, which a runtime will make.
    pub const fn named(name: String) -> Self {
        Self(name)
    }

    /// Makes the group in every hierarchy.
    pub fn create(name: String) -> Result<Self> {
        let group = Self(name);
        for root in roots() {
            let folder = root.join(&group.0);
            std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(group)
    }

    /// Its path in every hierarchy.
    pub fn path(&self) -> String {
        format!("/{}", self.0)
    }

    /// Its folders: one for each hierarchy that has it.
    pub fn folders(&self) -> Vec<PathBuf> {
        roots().iter().map(|root| root.join(&self.0)).filter(|folder| folder.is_dir()).collect()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        self.folders().iter().for_each(|folder| remove(folder));
    }
}

/// The roots of the hierarchies: the mount itself, or with cgroup v1 the folders in it.
fn roots() -> Vec<PathBuf> {
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        return vec![ROOT.into()];
    }
    let entries = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    // Several controllers of one hierarchy have links to it.
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The processes of a group's folder.
pub fn processes(folder: &Path) -> Vec<Pid> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
}

/// Ends the processes of a folder and of those in it, and removes them.
fn remove(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    for pid in processes(folder) {
        kill(pid, Signal::SIGKILL).unwrap_or_else(|error| eprintln!("kill {pid}: {error}"));
    }
    // A shim may remove it at the same time.
    let remove = || (std::fs::remove_dir(folder).is_ok() || !folder.exists()).then_some(());
    let removed = crate::eventually(REMOVAL, "the control group is in use", remove);
    removed.unwrap_or_else(|error| eprintln!("{}: {error:#}", folder.display()));
}
