//! A control group of a test's own, removed with what runs in it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where control groups are mounted: the only hierarchy, or a folder for each.
const ROOT: &str = "/sys/fs/cgroup";
/// Where the unified hierarchy is mounted: beside those of cgroup v1, or alone.
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup/unified", ROOT];

/// Timeout of removing a group.
const REMOVAL: Duration = Duration::from_secs(30);

/// A control group below the roots of hierarchies; dropping it ends its processes and removes it, whether we or a runtime
/// made it, and an empty folder above it.
#[derive(Debug)]
pub struct ControlGroup {
    roots: Vec<PathBuf>,
    name: String,
}

impl ControlGroup {
    /// The group of a name in every hierarchy, which a runtime will make.
    pub fn named(name: String) -> Self {
        Self { roots: roots(), name }
    }

    /// Makes the group in every hierarchy.
    pub fn create(name: String) -> Result<Self> {
        Self::named(name).make()
    }

    /// Makes the group in the unified hierarchy alone, with a path of two names: `some.slice/some.service`.
    ///
    /// # Errors
    /// There is no unified hierarchy, or no right to change it.
    pub fn unified(name: String) -> Result<Self> {
        let root = UNIFIED.map(PathBuf::from).into_iter().find(|root| root.join("cgroup.procs").is_file());
        let root = root.context("the machine has no unified hierarchy of control groups")?;
        Self { roots: vec![root], name }.make()
    }

    fn make(self) -> Result<Self> {
        for root in &self.roots {
            let folder = root.join(&self.name);
            std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(self)
    }

    /// Its path in every hierarchy.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Its folders: one for each hierarchy that has it.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|root| root.join(&self.name)).filter(|folder| folder.is_dir()).collect()
    }

    /// Lets a command run in the group of the first hierarchy, from before its program starts.
    pub fn hold<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command> {
        let folder = self.folders().into_iter().next().context("the control group is not there")?;
        let processes = OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?;
        // SAFETY: between fork and exec only write(2) is called, which is async-signal-safe. 0 is the writer itself.
        Ok(unsafe { command.pre_exec(move || (&mut &processes).write_all(b"0")) })
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for folder in self.folders() {
            remove(&folder);
            // Another group of the test may be in the folder above.
            let _ = folder.parent().filter(|_| self.name.contains('/')).map(std::fs::remove_dir);
        }
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
