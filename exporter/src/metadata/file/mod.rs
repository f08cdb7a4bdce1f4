//! The provider of names from a file: read when it changes, used as a whole or not at all.

mod format;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use eyepiece_config::MetadataFile;
use eyepiece_semconv::metric;

use self::format::{Content, Mistake};
use super::provider::{ChangeReceiver, Condition, Provider};
use crate::support::bounded_read::read_text;
use crate::support::file_watch::FileWatch;
use crate::support::incidents::Incidents;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};

/// The largest file: 64 bytes for each address that it may name.
const MAX_BYTES: u64 = 4 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Invalid { path: PathBuf, source: Mistake },
    #[error("cannot use {}: it has more than {MAX_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
}

/// The provider.
pub struct FileProvider {
    path: PathBuf,
    receiver: Arc<dyn ChangeReceiver>,
    failures: Number,
    /// The content that was sent last, and the time at which it was read.
    current: Option<(Content, SystemTime)>,
    /// The last error; the same error is logged once.
    error: Option<String>,
}

impl FileProvider {
    /// Creates the provider; `None` if the settings name no file.
    pub fn new(config: &MetadataFile, receiver: Arc<dyn ChangeReceiver>, telemetry: &Telemetry) -> Option<Self> {
        let failures = Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS).number("file");
        Some(Self { path: config.path.clone()?, receiver, failures, current: None, error: None })
    }

    /// Follows the file until a shutdown. Needs a tokio runtime.
    pub async fn run(mut self, mut stop: Stop) {
        let mut watch = FileWatch::new(vec![self.path.clone()]);
        loop {
            self.update();
            tokio::select! {
                _ = shutdown::requested(&mut stop) => return,
                () = watch.changed() => {}
            }
        }
    }

    /// Reads the file and sends its content if that is another one.
    fn update(&mut self) {
        match read(&self.path) {
            Ok(content) => self.accept(content),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    fn accept(&mut self, content: Content) {
        let has_changed = self.current.as_ref().is_none_or(|(current, _)| *current != content);
        if has_changed {
            tracing::info!(path = %self.path.display(), entries = content.entries.len(), "read the file of names");
            self.receiver.replace(Provider::File, content.entries.clone());
        }
        if self.error.take().is_some() || has_changed {
            self.receiver.report(Provider::File, Condition::Current, content.objects);
        }
        self.current = Some((content, SystemTime::now()));
    }

    fn refuse(&mut self, error: String) {
        if self.error.as_ref() == Some(&error) {
            return;
        }
        tracing::warn!(%error, "cannot use the file of names; the former content stays");
        self.failures.add(1);
        let (condition, objects) = match &self.current {
            Some((content, since)) => (Condition::Stale { since: *since, error: error.clone() }, content.objects),
            None => (Condition::Connecting(Some(error.clone())), 0),
        };
        self.receiver.report(Provider::File, condition, objects);
        self.error = Some(error);
    }
}

/// Checks a file without using it.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn check_file(path: &Path) -> Result<(), String> {
    read(path).map(drop).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Content, FileError> {
    let path = || path.to_owned();
    match read_text(&path(), MAX_BYTES) {
        Ok(Some(text)) => format::parse(&text).map_err(|source| FileError::Invalid { path: path(), source }),
        Ok(None) => Err(FileError::TooLarge { path: path() }),
        Err(source) => Err(FileError::Read { path: path(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use eyepiece_config::MetadataFile;

    use super::FileProvider;
    use crate::metadata::recorder::Recorder;
    use crate::support::shutdown;
    use crate::support::telemetry::Telemetry;

    const ONE: &str = "[[name]]\nname = 'one'\naddresses = ['192.0.2.1']\n";

    #[test]
    fn mistake_keeps_former_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.toml");
        let (recorder, telemetry) = (Arc::new(Recorder::default()), Telemetry::default());
        let config = MetadataFile { path: Some(path.clone()) };
        let mut provider = FileProvider::new(&config, recorder.clone(), &telemetry).unwrap();
        let mut step = |text: Option<&str>| {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            provider.update();
            recorder.take()
        };
        let path = folder.path().join("names.toml");
        let path = path.display();
        let missing = format!("cannot read {path}: No such file or directory (os error 2)");
        assert_eq!(step(None), [format!("File connecting 0: {missing}")]);
        assert_eq!(step(None), [""; 0], "logged once");
        assert_eq!(step(Some(ONE)), ["File replace", "  Address(192.0.2.1) -> Named one", "File current 1"]);
        assert_eq!(step(Some(ONE)), [""; 0], "the same content");
        let error = format!("{path}: invalid line 1, key a: unknown field `a`, expected `name` or `service`");
        assert_eq!(step(Some("a = 1")), [format!("File stale 1: {error}")]);
        assert_eq!(step(Some("# as before\na = 1")).len(), 1, "another error");
        assert_eq!(step(Some(ONE)), ["File current 1"], "mended");
        let large = "#".repeat(super::MAX_BYTES as usize + 1);
        assert_eq!(step(Some(&large)), [format!("File stale 1: cannot use {path}: it has more than 4194304 bytes")]);
        assert_eq!(step(Some("")), ["File replace", "File current 0"]);
        assert_eq!(telemetry.samples()[0].value, 4);
    }

    #[tokio::test]
    async fn changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.toml");
        std::fs::write(&path, ONE).unwrap();
        let recorder = Arc::new(Recorder::default());
        let config = MetadataFile { path: Some(path.clone()) };
        let provider = FileProvider::new(&config, recorder.clone(), &Telemetry::default()).unwrap();
        let (stopper, stop) = shutdown::channel();
        let task = tokio::spawn(provider.run(stop));
        recorder.wait_for("File current 1").await;
        std::fs::write(&path, ONE.replace("one", "two")).unwrap();
        recorder.wait_for("  Address(192.0.2.1) -> Named two").await;
        stopper.send_replace(Some(tokio::time::Instant::now()));
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    }

    #[test]
    fn no_path_is_no_provider() {
        let recorder = Arc::new(Recorder::default());
        assert!(FileProvider::new(&MetadataFile::default(), recorder, &Telemetry::default()).is_none());
    }
}
