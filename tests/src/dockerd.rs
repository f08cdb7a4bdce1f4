//! A docker daemon of Debian's, with folders, mounts and a network namespace of its own, and an image of busybox.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::control_group::ControlGroup;
use crate::namespace::{Inside, Namespace, remove_leftovers, run_command};
use crate::peer;
use crate::process::Background;

/// Name of the image, whose one program is `/busybox`.
pub const IMAGE: &str = "example.org/team/busybox:1";

/// The program in the image; it needs no libraries.
const BUSYBOX: &str = "/bin/busybox";

/// Before the owner's process id in the names of namespaces, as those of the lab.
const PREFIX: &str = "ep-";

/// How long a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many seconds a command may take; one that hangs ends with the code 124.
const COMMAND_SECONDS: &str = "60";

/// Hides the machine's /run, where containerd has sockets at fixed places, and starts a command.
const OWN_RUN: [&str; 6] =
    ["--mount", "--propagation", "private", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\""];

/// A running daemon. Dropping it removes its containers, networks, mounts, processes and control groups.
#[derive(Debug)]
pub struct Dockerd {
    /// Killed first, not asked: docker 20.10 can hang in libnetwork when it removes many containers at a time.
    daemon: Option<Background>,
    /// Has all containers.
    group: ControlGroup,
    /// Ends containerd and its shims.
    namespace: Namespace,
    folder: TempDir,
}

impl Dockerd {
    /// Why there can be no daemon on this machine: the text for [`skip!`](crate::skip!).
    ///
    /// # Errors
    /// A sentence that names what is missing and its Debian package.
    pub fn available() -> Result<(), String> {
        peer::installed(&[("dockerd", "docker.io"), ("docker", "docker.io"), ("busybox", "busybox-static")])?;
        if !nix::unistd::geteuid().is_root() {
            return Err("dockerd wants root".to_owned());
        }
        Ok(())
    }

    /// Starts a daemon and imports the image.
    pub fn start() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        remove_leftovers(PREFIX)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-docker{number}", std::process::id());
        let (namespace, folder) = (Namespace::create(&name)?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("daemon.json"), "{}")?;
        let mut dockerd = Self { daemon: None, group: ControlGroup::named(name), namespace, folder };
        dockerd.run()?;
        let tar = dockerd.folder.path().join("image.tar");
        run_command(Command::new("tar").arg("-cf").arg(&tar).args(["-C", "/bin", "busybox"]), "")
            .with_context(|| format!("pack {BUSYBOX}"))?;
        dockerd.docker(&format!("import {} {IMAGE}", tar.display()))?;
        Ok(dockerd)
    }

    /// Path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// The network namespace that its networks are in.
    pub fn inside(&self) -> &Inside {
        &self.namespace
    }

    /// [`Self::run_docker`] with the words of a line.
    pub fn docker(&self, line: &str) -> Result<String> {
        self.run_docker(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a docker command and gives its output without blanks at its ends.
    pub fn run_docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("timeout");
        command.args([COMMAND_SECONDS, "docker", "-H"]).arg(format!("unix://{}", self.socket().display()));
        command.args(arguments);
        // No file of the user's changes what the client does.
        command.env("DOCKER_CONFIG", self.folder.path());
        let output = run_command(&mut command, "").with_context(|| self.last_lines())?;
        Ok(output.trim().to_owned())
    }

    /// Returns the last ten lines that the daemon wrote to standard error.
    fn last_lines(&self) -> String {
        let text = self.daemon.as_ref().map(Background::stderr).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Runs a container that sleeps; gives its id.
    pub fn sleep(&self, options: &str) -> Result<String> {
        self.docker(&format!("run -d {options} {IMAGE} /busybox sleep 600"))
    }

    /// Inode of a container's network namespace.
    pub fn namespace_of(&self, container: &str) -> Result<u32> {
        use std::os::unix::fs::MetadataExt as _;
        let pid = self.docker(&format!("inspect -f {{{{.State.Pid}}}} {container}"))?;
        Ok(u32::try_from(std::fs::metadata(format!("/proc/{pid}/ns/net"))?.ino())?)
    }

    /// Ends the daemon, and all containers with it.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.stop(Signal::SIGTERM, PATIENCE)?;
        }
        Ok(())
    }

    /// Starts the daemon again after [`Dockerd::stop`].
    pub fn run(&mut self) -> Result<()> {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = self.namespace.command("unshare");
        command.args(OWN_RUN).args(["sh", "dockerd", "--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--storage-driver", "vfs", "--cgroup-parent"]).arg(self.group.path());
        command.arg("--config-file").arg(path("daemon.json")).arg("--data-root").arg(path("data"));
        command.arg("--exec-root").arg(path("exec")).arg("--pidfile").arg(path("docker.pid"));
        command.arg("-H").arg(format!("unix://{}", self.socket().display()));
        let mut daemon = Background::spawn(&mut command)?;
        daemon.wait_for_line("API listen on", PATIENCE)?;
        self.daemon = Some(daemon);
        Ok(())
    }
}
