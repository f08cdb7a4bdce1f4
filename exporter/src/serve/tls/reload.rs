//! Reloads certificates when their files change; open connections keep theirs.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use super::files::{TlsContents, TlsError, TlsFiles};
use crate::support::file_watch::FileWatch;
use crate::support::shutdown;
use crate::support::shutdown::Stop;

/// The TLS configuration of the next connection.
pub(crate) type CurrentTls = watch::Receiver<Arc<ServerConfig>>;

/// The owner of the certificates.
pub(crate) struct TlsReloader {
    files: TlsFiles,
    /// The application protocol, as in ALPN.
    protocol: &'static [u8],
    /// The contents that were tried last; `None` if they could not be read.
    tried: Option<TlsContents>,
    /// Whether the last try failed; the failure is logged once.
    is_failing: bool,
    sender: watch::Sender<Arc<ServerConfig>>,
}

impl TlsReloader {
    /// Reads the files for the first time.
    pub(crate) fn new(files: TlsFiles, protocol: &'static [u8]) -> Result<(Self, CurrentTls), TlsError> {
        let contents = files.read()?;
        let (sender, current) = watch::channel(files.config(&contents, protocol)?);
        Ok((Self { files, protocol, tried: Some(contents), is_failing: false, sender }, current))
    }

    /// Follows the files until a shutdown, on a thread without capabilities. `count` counts changes by outcome: `ok` or
    /// `failed`.
    pub(crate) async fn run(mut self, count: impl Fn(&'static str), mut stop: Stop) {
        let mut watch = FileWatch::new(self.files.paths());
        if self.can_reload() {
            // A change between the first reading and the watch.
            self.reload(&count);
        }
        loop {
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                () = watch.changed() => self.reload(&count),
            }
        }
    }

    /// Returns whether the files can be read again; logs those that only the capabilities of the start could read.
    fn can_reload(&self) -> bool {
        let mut can_reload = true;
        for path in self.files.paths() {
            let Some(permissions) = denied(&path) else { continue };
            can_reload = false;
            tracing::warn!(
                file = %path.display(),
                %permissions,
                "cannot read a file of certificates or keys again, as CAP_DAC_OVERRIDE is dropped after the start: when \
                 it changes, the former one stays; let the user of this process read it"
            );
        }
        can_reload
    }

    fn reload(&mut self, count: impl Fn(&'static str)) {
        let read = self.files.read();
        if let Ok(contents) = &read
            && self.tried.as_ref() == Some(contents)
        {
            return;
        }
        self.tried = None;
        let result = read.and_then(|contents| {
            let config = self.files.config(&contents, self.protocol);
            self.tried = Some(contents);
            config
        });
        match result {
            Ok(config) => {
                tracing::info!(cert = %self.files.cert.display(), "certificates reloaded");
                count("ok");
                self.is_failing = false;
                self.sender.send_replace(config);
            }
            // Several files are written one by one: the next change follows.
            Err(error) if self.is_failing => tracing::debug!(%error, "cannot use the changed certificates yet"),
            Err(error) => {
                tracing::warn!(%error, "cannot use the changed certificates; the previous ones stay");
                count("failed");
                self.is_failing = true;
            }
        }
    }
}

/// Returns mode and owner of a file that the calling thread must not read; `None` for others.
fn denied(path: &Path) -> Option<String> {
    let error = File::open(path).err().filter(|error| error.kind() == io::ErrorKind::PermissionDenied)?;
    Some(match path.metadata() {
        Ok(file) => format!("mode {:04o}, owner {}:{}", file.mode() & 0o7777, file.uid(), file.gid()),
        // A folder of its path is not permitted either.
        Err(_) => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::denied;
    use crate::support::capabilities;
    use crate::support::capabilities::Capabilities;

    #[test]
    fn file_of_dropped_capability_is_denied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "").unwrap();
        let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        for (mode, expected) in [(0o600, None), (0o040, Some(format!("mode 0040, owner {user}:{group}")))] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let confined = || {
                capabilities::keep(Capabilities::NONE);
                denied(&path)
            };
            let found = std::thread::scope(|scope| scope.spawn(confined).join().unwrap());
            assert_eq!(found, expected, "{mode:o}");
        }
        assert_eq!(denied(&folder.path().join("none")), None);
    }
}
