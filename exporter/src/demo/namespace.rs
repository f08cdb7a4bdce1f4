//! Network namespaces without a name: each is held by a child process and ends with it.
//!
//! A descriptor is not enough: eyepiece finds endpoints' namespaces by their processes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, pause, pipe2, setpgid, write};

/// A namespace and the process that holds it; its drop ends the process.
#[derive(Debug)]
pub(super) struct Namespace {
    holder: Pid,
    inside: Inside,
}

/// The way into a namespace; cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Inside(Arc<File>);

impl Namespace {
    /// Creates a namespace. Call it while the program has one thread: the process is a fork that does not exec.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_SYS_ADMIN`; else the error of `fork` or `unshare`.
    pub(super) fn create() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        let parent = getpid();
        // SAFETY: the caller has one thread, so the child's memory is consistent; the child makes only system calls.
        match unsafe { fork() }? {
            ForkResult::Child => hold(parent, &write),
            ForkResult::Parent { child } => {
                drop(write);
                let mut answer = [0; 4];
                let entered =
                    File::from(read).read_exact(&mut answer).and_then(|()| match i32::from_ne_bytes(answer) {
                        0 => File::open(format!("/proc/{child}/ns/net")),
                        error => Err(io::Error::from_raw_os_error(error)),
                    });
                match entered {
                    Ok(file) => Ok(Self { holder: child, inside: Inside(Arc::new(file)) }),
                    Err(error) => {
                        end(child);
                        Err(error)
                    }
                }
            }
        }
    }

    /// The way in.
    pub(super) const fn inside(&self) -> &Inside {
        &self.inside
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        end(self.holder);
    }
}

/// Kills a holder and waits for it.
fn end(holder: Pid) {
    if let Err(error) = kill(holder, Signal::SIGKILL).and_then(|()| waitpid(holder, None)) {
        tracing::debug!(%error, "cannot end the holder of a namespace");
    }
}

/// The holder: enters a new namespace, writes an error number to the parent, then sleeps.
fn hold(parent: Pid, report: &OwnedFd) -> ! {
    let entered = prctl::set_pdeathsig(Signal::SIGKILL)
        // Out of the terminal's foreground group, so that Ctrl-C signals only the parent.
        .and_then(|()| setpgid(Pid::from_raw(0), Pid::from_raw(0)))
        .and_then(|()| unshare(CloneFlags::CLONE_NEWNET));
    let answer = entered.err().unwrap_or(Errno::from_raw(0)) as i32;
    let reported = write(report, &answer.to_ne_bytes());
    // No signal comes from a parent that died before `set_pdeathsig`.
    while reported.is_ok() && getppid() == parent {
        pause();
    }
    // SAFETY: ends the process without the parent's exit handlers.
    unsafe { libc::_exit(0) }
}

impl Inside {
    /// The namespace's descriptor.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Runs a closure in the namespace, on a thread of its own. Sockets that it opens stay there.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the closure's error.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let entered = || setns(self.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from).and_then(|()| work());
        std::thread::scope(|scope| scope.spawn(entered).join())
            .unwrap_or_else(|_| Err(io::Error::other("a thread in a namespace panicked")))
    }

    /// Starts a thread in the namespace.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn spawn(
        &self,
        name: &str,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<()>>> {
        let inside = self.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            setns(inside.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Makes a command start in the namespace, and end with the thread that starts it.
    pub(super) fn command<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let inside = self.clone();
        let parent = getpid();
        let enter = move || {
            setns(inside.as_fd(), CloneFlags::CLONE_NEWNET)?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
        };
        // SAFETY: between fork and exec only setns(2), prctl(2) and getppid(2) are called, no memory is allocated.
        unsafe { command.pre_exec(enter) }
    }
}
