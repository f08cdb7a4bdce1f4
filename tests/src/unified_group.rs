//! Control groups of the unified tree, which processes of a test run in.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::eventually;

/// Where the unified tree is mounted: beside those of cgroup v1, or alone.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// How long the processes of a group may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A control group. Dropping it ends its processes and removes it, and the folder above it if that is empty.
#[derive(Debug)]
pub struct UnifiedGroup(PathBuf);

impl UnifiedGroup {
    /// Makes a group with a path of two names: `some.slice/some.service`.
    ///
    /// # Errors
    /// There is no unified tree, or no right to change it.
    pub fn create(path: &str) -> Result<Self> {
        let root = ROOTS.map(Path::new).into_iter().find(|root| root.join("cgroup.procs").is_file());
        let Some(root) = root else { bail!("the machine has no unified tree of control groups") };
        let folder = root.join(path);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }

    /// Lets a command run in the group, from before its program starts.
    pub fn hold<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command> {
        let processes = OpenOptions::new().write(true).open(self.0.join("cgroup.procs"))?;
        // SAFETY: between fork and exec only write(2) is called, which is async-signal-safe. 0 is the writer itself.
        Ok(unsafe { command.pre_exec(move || (&mut &processes).write_all(b"0")) })
    }

    fn remove(&self) -> Result<()> {
        File::options().write(true).open(self.0.join("cgroup.kill"))?.write_all(b"1")?;
        // A process leaves the group when its parent has waited for it.
        eventually(PATIENCE, "the end of a control group", || fs::remove_dir(&self.0).ok())?;
        if let Some(slice) = self.0.parent() {
            // Another group of the test may be in it.
            let _ = fs::remove_dir(slice);
        }
        Ok(())
    }
}

impl Drop for UnifiedGroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("{}: {error:#}", self.0.display());
        }
    }
}
