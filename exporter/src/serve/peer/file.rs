//! The file of other nodes: read when it changes, and used only as a whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use eyepiece_config::Peer;
use tokio::sync::mpsc;

use super::registry::{MAX_PEERS, PeerUpdate};
use crate::support::bounded_read::read_text;
use crate::support::file_watch::FileWatch;
use crate::support::incidents::Incidents;

/// The largest file: [`MAX_PEERS`] lines of 250 bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The error of reading the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("invalid line {line} of {}: {cause}; expected name=address, such as b=10.0.0.2:4244, or a comment with #", path.display())]
    Line { path: PathBuf, line: usize, cause: String },
    #[error("cannot use {}: it has more than {limit}", path.display())]
    TooLarge { path: PathBuf, limit: String },
}

/// The watched file.
pub(super) struct FileWatcher {
    path: PathBuf,
    /// The last error; the same error is logged once.
    error: Option<String>,
    /// The nodes that were sent last.
    peers: Option<Vec<Peer>>,
}

impl FileWatcher {
    /// Reads it for the first time.
    pub(super) fn new(path: PathBuf, incidents: &Incidents) -> (Self, Vec<Peer>) {
        let mut file = Self { path, error: None, peers: None };
        let found = file.read_changes(incidents).unwrap_or_default();
        (file, found)
    }

    /// Watches the file until the registry is dropped.
    pub(super) async fn run(mut self, updates: mpsc::Sender<PeerUpdate>, incidents: Incidents) {
        let mut watch = FileWatch::new(vec![self.path.clone()]);
        loop {
            if let Some(peers) = self.read_changes(&incidents)
                && updates.send(PeerUpdate::File(peers)).await.is_err()
            {
                return;
            }
            watch.changed().await;
        }
    }

    /// Returns the file's nodes if they changed.
    fn read_changes(&mut self, incidents: &Incidents) -> Option<Vec<Peer>> {
        match read(&self.path) {
            Ok(peers) => {
                self.error = None;
                if self.peers.as_ref() == Some(&peers) {
                    return None;
                }
                tracing::info!(path = %self.path.display(), peers = peers.len(), "read other nodes from the file");
                self.peers = Some(peers.clone());
                Some(peers)
            }
            Err(error) => {
                let text = error.to_string();
                if self.error.as_ref() != Some(&text) {
                    tracing::warn!(%error, "cannot use the file of other nodes; the previous nodes stay");
                    incidents.count("file");
                }
                self.error = Some(text);
                None
            }
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<Peer>, FileError> {
    match read_text(path, MAX_FILE_BYTES) {
        Ok(Some(text)) => parse(path, &text),
        Ok(None) => Err(FileError::TooLarge { path: path.to_owned(), limit: format!("{MAX_FILE_BYTES} bytes") }),
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }),
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Peer>, FileError> {
    let mut lines = BTreeMap::new();
    let mut peers = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let invalid = |cause| FileError::Line { path: path.to_owned(), line: number, cause };
        let peer: Peer = line.parse().map_err(invalid)?;
        if let Some(before) = lines.insert(peer.name.clone(), number) {
            return Err(invalid(format!("{:?} is in line {before} too", peer.name)));
        }
        peers.push(peer);
    }
    if peers.len() > MAX_PEERS {
        return Err(FileError::TooLarge { path: path.to_owned(), limit: format!("{MAX_PEERS} nodes") });
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse;

    #[test]
    fn lines_are_nodes_or_comments() {
        let parsed = |text: &str| match parse(Path::new("/p"), text) {
            Ok(peers) => peers.iter().map(|peer| format!("{peer} ")).collect(),
            Err(error) => error.to_string(),
        };
        const FORM: &str = "expected name=address, such as b=10.0.0.2:4244, or a comment with #";
        for (text, expected) in [
            ("", ""),
            ("# other nodes\n\n  b = 10.0.0.2:4244\r\nc/d=e.example\n", "b=10.0.0.2:4244 c/d=e.example "),
            ("b=1.2.3.4\n\nwhat", &format!("invalid line 3 of /p: \"what\" has no name=address form; {FORM}")),
            ("b=1.2.3.4\nb=1.2.3.5", &format!("invalid line 2 of /p: \"b\" is in line 1 too; {FORM}")),
            (
                "b=1.2.3.4:0",
                &format!(
                    "invalid line 1 of /p: \"b=1.2.3.4:0\" has the invalid port \"0\": expected 1 to 65535; {FORM}"
                ),
            ),
        ] {
            assert_eq!(parsed(text), *expected, "{text:?}");
        }
        let many: String = (0..=super::MAX_PEERS).map(|number| format!("n{number}=h\n")).collect();
        assert_eq!(parsed(&many), "cannot use /p: it has more than 16384 nodes");
    }
}
