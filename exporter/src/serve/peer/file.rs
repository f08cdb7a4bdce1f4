//! The file of other nodes: read when it changes, and all of it or nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use eyepiece_config::Peer;
use tokio::sync::mpsc;

use super::Incidents;
use crate::serve::peer::registry::{MAX_PEERS, Told};
use crate::support::file_watch::FileWatch;

/// The largest file: [`MAX_PEERS`] lines of 250 bytes.
const FILE_MAX: u64 = 4 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: line {line}: {wrong}; a line is name=address, such as b=10.0.0.2:4244, or begins with #", path.display())]
    Line { path: PathBuf, line: usize, wrong: String },
    #[error("{}: has more than {most}", path.display())]
    TooLarge { path: PathBuf, most: String },
}

/// A file that is followed.
pub(super) struct File {
    path: PathBuf,
    /// What was wrong with it, where something was: it is told once.
    wrong: Option<String>,
    /// What was told last.
    peers: Option<Vec<Peer>>,
}

impl File {
    /// Reads it for the first time.
    pub(super) fn new(path: PathBuf, incidents: &Incidents) -> (Self, Vec<Peer>) {
        let mut file = Self { path, wrong: None, peers: None };
        let found = file.look(incidents).unwrap_or_default();
        (file, found)
    }

    /// Follows it until the owner is gone.
    pub(super) async fn run(mut self, told: mpsc::Sender<Told>, incidents: Incidents) {
        let mut watch = FileWatch::new(vec![self.path.clone()]);
        loop {
            if let Some(peers) = self.look(&incidents)
                && told.send(Told::File(peers)).await.is_err()
            {
                return;
            }
            watch.changed().await;
        }
    }

    /// What is in it, where that is something new.
    fn look(&mut self, incidents: &Incidents) -> Option<Vec<Peer>> {
        match read(&self.path) {
            Ok(peers) => {
                self.wrong = None;
                if self.peers.as_ref() == Some(&peers) {
                    return None;
                }
                tracing::info!(path = %self.path.display(), peers = peers.len(), "other nodes read from the file");
                self.peers = Some(peers.clone());
                Some(peers)
            }
            Err(error) => {
                let wrong = error.to_string();
                if self.wrong.as_ref() != Some(&wrong) {
                    tracing::warn!(%error, "the file of other nodes cannot be used, what was known of them stays");
                    incidents.count("file");
                }
                self.wrong = Some(wrong);
                None
            }
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<Peer>, FileError> {
    use io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text));
    match read {
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }),
        Ok(size) if size as u64 > FILE_MAX => {
            Err(FileError::TooLarge { path: path.to_owned(), most: format!("{FILE_MAX} bytes") })
        }
        Ok(_) => parse(path, &text),
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Peer>, FileError> {
    let mut lines = BTreeMap::new();
    let mut peers = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |wrong| FileError::Line { path: path.to_owned(), line: number, wrong };
        let peer: Peer = line.parse().map_err(wrong)?;
        if let Some(before) = lines.insert(peer.name.clone(), number) {
            return Err(wrong(format!("{:?} is in line {before} already", peer.name)));
        }
        peers.push(peer);
    }
    if peers.len() > MAX_PEERS {
        return Err(FileError::TooLarge { path: path.to_owned(), most: format!("{MAX_PEERS} nodes") });
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse;

    #[test]
    fn lines() {
        let parsed = |text: &str| match parse(Path::new("/p"), text) {
            Ok(peers) => peers.iter().map(|peer| format!("{peer} ")).collect(),
            Err(error) => error.to_string(),
        };
        const FORM: &str = "a line is name=address, such as b=10.0.0.2:4244, or begins with #";
        for (text, expected) in [
            ("", ""),
            ("# who else\n\n  b = 10.0.0.2:4244\r\nc/d=e.example\n", "b=10.0.0.2:4244 c/d=e.example "),
            ("b=1.2.3.4\n\nwhat", &format!("/p: line 3: \"what\" has no name=address form; {FORM}")),
            ("b=1.2.3.4\nb=1.2.3.5", &format!("/p: line 2: \"b\" is in line 1 already; {FORM}")),
            ("b=1.2.3.4:0", &format!("/p: line 1: \"b=1.2.3.4:0\" has the port \"0\", which is none; {FORM}")),
        ] {
            assert_eq!(parsed(text), *expected, "{text:?}");
        }
        let many: String = (0..=super::MAX_PEERS).map(|number| format!("n{number}=h\n")).collect();
        assert_eq!(parsed(&many), "/p: has more than 16384 nodes");
    }
}
