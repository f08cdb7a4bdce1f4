//! Listening Unix stream sockets. A live socket is never replaced, and only our own is removed.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::AtFlags;
use nix::unistd::{Gid, Group, fchownat, geteuid};
use tokio::net::{UnixListener, UnixSocket};

use crate::support::file_lock;
use crate::support::file_lock::{Lock, LockOutcome};

/// Connections that wait to be accepted: the kernel's default limit (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;
/// Attempts to take the lock: another process holds it for as long as a bind takes.
const LOCK_TRIES: u32 = 100;
/// The time between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The error of listening on a socket.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ListenError {
    /// Another process answers there: replacing its socket would disconnect it from its clients.
    #[error("cannot listen on {}: {} listens there already; stop it, or use another path", path.display(), crate::support::socket_owner::describe(*pid))]
    InUse {
        /// The path.
        path: PathBuf,
        /// The process, if the kernel reports it.
        pid: Option<i32>,
    },
    /// The path is a file of another type.
    #[error("cannot listen on {}: the path exists and is not a socket; remove it, or use another path", path.display())]
    NoSocket { path: PathBuf },
    /// The socket at the path may be alive.
    #[error("cannot listen on {}: cannot check whether the existing socket is in use: {source}", path.display())]
    Unclear { path: PathBuf, source: io::Error },
    /// Another process of this user prepares the same path and does not finish.
    #[error("cannot listen on {}: another process holds {}", path.display(), lock.display())]
    Locked { path: PathBuf, lock: PathBuf },
    /// A system call failed.
    #[error("cannot listen on {}: cannot {action}: {source}", path.display())]
    System { path: PathBuf, action: &'static str, source: io::Error },
}

/// Looks up a group by its name or number; a number needs no name on this machine. Returns `None` for an unknown name.
///
/// # Errors
/// The list of groups cannot be read.
pub fn group(name: &str) -> io::Result<Option<Gid>> {
    let named = Group::from_name(name)?.map(|group| group.gid);
    // The largest number means "unchanged" to chown(2).
    let number = || name.parse().ok().filter(|&number| number != libc::gid_t::MAX && !name.starts_with('+'));
    Ok(named.or_else(|| number().map(Gid::from_raw)))
}

/// Path and permissions of a socket.
#[derive(Clone, Debug)]
pub struct Config {
    /// The path.
    pub path: PathBuf,
    /// Permission bits of the socket.
    pub mode: u32,
    /// Its group; `None` stands for the process's group.
    pub group: Option<Gid>,
}

/// A listening socket. Dropping it removes its path unless another file is there by now.
#[derive(Debug)]
pub struct Listener {
    // Dropped first: while the socket is open no other file can have its inode number.
    path: Bound,
    socket: UnixListener,
}

/// A bound path.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Config {
    /// Binds and listens. Needs a tokio runtime.
    ///
    /// No client can connect between bind and listen, so mode and group hold before the first one. A lock file beside the
    /// socket keeps two starting processes from mistaking each other's socket for a stale one. The folder itself is not
    /// locked, since any user may lock it.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(self) -> Result<Listener, ListenError> {
        let Self { path, mode, group } = self;
        let failed = |action| {
            let path = path.clone();
            move |source| ListenError::System { path, action, source }
        };
        let lock = lock(&path).await?;
        clear(&path).await?;
        let socket = UnixSocket::new_stream().map_err(failed("create a socket"))?;
        socket.bind(&path).map_err(failed("bind"))?;
        let file = pin(&path).map_err(failed("open the bound path"))?;
        let bound = Bound::of(path.clone(), &file).map_err(failed("read the bound path's metadata"))?;
        set_group(&file, group).map_err(failed("set the group"))?;
        set_mode(&file, mode).map_err(failed("set the mode"))?;
        let socket = socket.listen(BACKLOG).map_err(failed("listen"))?;
        drop(lock);
        Ok(Listener { path: bound, socket })
    }
}

impl Listener {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path.path
    }

    /// The socket, for accepting.
    pub const fn socket(&self) -> &UnixListener {
        &self.socket
    }
}

impl Bound {
    fn of(path: PathBuf, file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { device: found.dev(), inode: found.ino(), path })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let ours = |found: &std::fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if !self.path.symlink_metadata().is_ok_and(|found| ours(&found)) {
            tracing::warn!(path = %self.path.display(), "another file has replaced the socket, so it is not removed");
        } else if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

/// Opens the socket's file for its metadata alone (`O_PATH`). Changes through the descriptor reach this file, even if the
/// path names another one meanwhile.
fn pin(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)?;
    let found = file.metadata()?;
    if !found.file_type().is_socket() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another process has replaced it"));
    }
    Ok(file)
}

fn set_group(file: &File, group: Option<Gid>) -> io::Result<()> {
    Ok(fchownat(file, "", None, group, AtFlags::AT_EMPTY_PATH)?)
}

/// Sets the mode by the descriptor's path: `fchmod` takes no descriptor of `O_PATH`, and `fchmodat2` came with Linux 6.6.
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(format!("/proc/self/fd/{}", file.as_raw_fd()), Permissions::from_mode(mode))
}

/// Locks a socket's path.
async fn lock(path: &Path) -> Result<Lock, ListenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    for _ in 0..LOCK_TRIES {
        match file_lock::take(lock.clone()) {
            Ok(LockOutcome::Acquired(lock)) => return Ok(lock),
            Ok(LockOutcome::HeldBy(_)) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(source) => {
                let is_missing = source.kind() == io::ErrorKind::NotFound;
                let action = if is_missing { "find its folder" } else { "lock the file beside it (.lock)" };
                return Err(ListenError::System { path: path.to_owned(), action, source });
            }
        }
    }
    Err(ListenError::Locked { path: path.to_owned(), lock })
}

/// Removes a stale socket from the path.
async fn clear(path: &Path) -> Result<(), ListenError> {
    let failed = |action, source| ListenError::System { path: path.to_owned(), action, source };
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("read the path's metadata", source)),
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NoSocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    let socket = UnixSocket::new_stream().map_err(|source| failed("create a socket", source))?;
    match socket.connect(path).await {
        Ok(stream) => {
            let pid = stream.peer_cred().ok().and_then(|owner| owner.pid());
            Err(ListenError::InUse { path: path.to_owned(), pid })
        }
        // Its queue of connections is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(ListenError::InUse { path: path.to_owned(), pid: None })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "removing a stale socket");
            std::fs::remove_file(path).map_err(|source| failed("remove the stale socket", source))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ListenError::Unclear { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
