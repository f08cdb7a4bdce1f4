//! Unix stream sockets in the file system: never over a live one, closed to others until bound, removed only if ours.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Group};
use tokio::net::{UnixListener, UnixSocket};

/// Connections that wait to be accepted: what the kernel allows by default (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;
/// How often the folder's lock is tried: others hold it for as long as a bind takes.
const LOCK_TRIES: u32 = 100;
/// The time between two of them.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there: taking the path would cut them off from their clients.
    #[error("{}: {} listens there already; stop it, or use another path", path.display(), crate::socket_owner::describe(*pid))]
    InUse {
        /// The path.
        path: PathBuf,
        /// The process, where the kernel tells.
        pid: Option<i32>,
    },
    /// Something else is there, which is not ours to remove.
    #[error("{}: there is something that is no socket; remove it, or use another path", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Whether the socket that is there is alive cannot be told.
    #[error("{}: there is a socket of which cannot be told whether anybody listens: {source}", path.display())]
    Unclear {
        /// The path.
        path: PathBuf,
        /// What connecting said.
        source: io::Error,
    },
    /// The path cannot be had.
    #[error("{}: cannot {action}: {source}", path.display())]
    System {
        /// The path that is meant.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A group by its name, or by its number, which need not have a name on this machine; none where there is none of that
/// name.
///
/// # Errors
/// The list of groups cannot be read.
pub fn group(name: &str) -> io::Result<Option<Gid>> {
    let named = Group::from_name(name)?.map(|group| group.gid);
    // chown(2) takes the largest number for "as it is".
    let number = || name.parse().ok().filter(|&number| number != libc::gid_t::MAX && !name.starts_with('+'));
    Ok(named.or_else(|| number().map(Gid::from_raw)))
}

/// Where to listen, and who may connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The path.
    pub path: PathBuf,
    /// Permission bits of the socket.
    pub mode: u32,
    /// Its group; none = the process's.
    pub group: Option<Gid>,
}

/// A socket that listens; dropping it removes its path, where that is still its own.
#[derive(Debug)]
pub struct Listener {
    // Dropped first: while the socket lives nobody else's file can have its inode number.
    path: Bound,
    socket: UnixListener,
}

/// A path that was bound.
#[derive(Debug)]
struct Bound {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Options {
    /// Binds and listens. Needs a tokio runtime.
    ///
    /// Between binding and listening nobody can connect, so mode and group hold before the first client. A lock on the
    /// folder keeps two that start at once from taking each other's socket for a stale one.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn listen(self) -> Result<Listener, ListenError> {
        let Self { path, mode, group } = self;
        let failed = |action| {
            let path = path.clone();
            move |source| ListenError::System { path, action, source }
        };
        let lock = lock(path.parent().unwrap_or(Path::new("/"))).await?;
        clear(&path).await?;
        let socket = UnixSocket::new_stream().map_err(failed("make a socket"))?;
        socket.bind(&path).map_err(failed("bind"))?;
        let bound = Bound::of(path.clone()).map_err(failed("look at the bound path"))?;
        std::os::unix::fs::chown(&path, None, group.map(Gid::as_raw)).map_err(failed("set the group"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(failed("set the mode"))?;
        let socket = socket.listen(BACKLOG).map_err(failed("listen"))?;
        drop(lock);
        Ok(Listener { path: bound, socket })
    }
}

impl Listener {
    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path.path
    }

    /// The socket, for accepting.
    pub const fn socket(&self) -> &UnixListener {
        &self.socket
    }
}

impl Bound {
    fn of(path: PathBuf) -> io::Result<Self> {
        let found = path.symlink_metadata()?;
        Ok(Self { device: found.dev(), inode: found.ino(), path })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let ours = |found: &std::fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if !self.path.symlink_metadata().is_ok_and(|found| ours(&found)) {
            tracing::warn!(path = %self.path.display(), "the socket's path is no longer ours, so it stays");
        } else if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

/// Takes the lock of a folder.
async fn lock(folder: &Path) -> Result<Flock<File>, ListenError> {
    let failed = |action, source| ListenError::System { path: folder.to_owned(), action, source };
    let mut file = File::open(folder).map_err(|source| failed("open the folder", source))?;
    for _ in 0..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((_, error)) => return Err(failed("lock the folder", error.into())),
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(failed("lock the folder", io::ErrorKind::WouldBlock.into()))
}

/// Makes the path free where nobody listens there any more.
async fn clear(path: &Path) -> Result<(), ListenError> {
    let failed = |action, source| ListenError::System { path: path.to_owned(), action, source };
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("look at the path", source)),
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::NoSocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    let socket = UnixSocket::new_stream().map_err(|source| failed("make a socket", source))?;
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
            tracing::info!(path = %path.display(), "removing a socket that nobody listens on");
            std::fs::remove_file(path).map_err(|source| failed("remove the stale socket", source))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ListenError::Unclear { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
