//! `eyepiece run` as a process on the node, with the demo's receiver for a collector.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace::Inside;
use crate::app::AppError;
use crate::exit_code::Exit;
use crate::source::datapath::lock;
use crate::support::network_namespace;

/// The log message at the end of its start.
const WATCHING: &str = "watching";
/// Timeout of the start on a busy machine.
const START: Duration = Duration::from_secs(20);
/// Lines of its log that are kept for an error; a start logs far fewer.
const LINES: usize = 64;
/// Its exit code if a privilege is missing.
const PRIVILEGE: i32 = Exit::Privilege as i32;

/// Settings that override the user's: the product sends only to the demo's receiver.
const SETTINGS: &[&str] = &[
    "otlp.protocol=grpc",
    "otlp.headers=",
    "otlp.compression=none",
    "otlp.timeout=10s",
    "otlp.tls.ca=",
    "otlp.tls.cert=",
    "otlp.tls.key=",
    "otlp.service_name=eyepiece",
    "otlp.resource_attributes=",
    "otlp.logs.enabled=true",
    "otlp.logs.endpoint=",
    "otlp.logs.protocol=",
    "otlp.logs.headers=",
    "otlp.logs.compression=",
    "otlp.logs.timeout=",
    "otlp.logs.tls.ca=",
    "otlp.logs.tls.cert=",
    "otlp.logs.tls.key=",
    "otlp.logs.queue_records=65536",
    "otlp.logs.batch_records=4096",
    "otlp.logs.batch_bytes=3MiB",
    "otlp.logs.delay=100ms",
    "otlp.logs.in_flight=2",
    "otlp.logs.attribute_count_limit=",
    "otlp.logs.attribute_value_length_limit=",
    "otlp.logs.events.flow=true",
    "otlp.logs.events.agent=false",
    "otlp.logs.events.lost=false",
    "otlp.logs.events.debug=false",
    "otlp.logs.events.entity=false",
    "otlp.logs.entity_interval=5m",
    "otlp.metrics.enabled=true",
    "otlp.metrics.endpoint=",
    "otlp.metrics.protocol=",
    "otlp.metrics.headers=",
    "otlp.metrics.compression=",
    "otlp.metrics.timeout=",
    "otlp.metrics.tls.ca=",
    "otlp.metrics.tls.cert=",
    "otlp.metrics.tls.key=",
    "otlp.metrics.interval=1s",
    "otlp.metrics.temporality=cumulative",
    "otlp.metrics.table=false",
    "metrics.naming=semconv",
    "metrics.contexts.source=name",
    "metrics.contexts.destination=name",
    "datapath.drops=true",
    "datapath.interfaces.include=*",
    "datapath.interfaces.exclude=",
    "source.kind=datapath",
    "monitor.socket=",
    "node.name=demo",
    "admin.listen=",
    "hubble.listen=",
    "log.level=info",
    "log.format=text",
];

/// The running process; its drop kills it.
#[derive(Debug)]
pub(super) struct Product {
    child: Child,
    log: mpsc::Receiver<String>,
    _leftovers: Leftovers,
}

/// Files that a killed product may leave; its drop removes them.
#[derive(Debug)]
struct Leftovers {
    /// The lock of the node's namespace, which no other process holds.
    lock: PathBuf,
    /// Whether the folder did not exist before.
    made_folder: bool,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        // Errors are expected: the file may be gone, and a folder that others use is not empty.
        drop(std::fs::remove_file(&self.lock));
        if self.made_folder {
            drop(std::fs::remove_dir(lock::FOLDER));
        }
    }
}

impl Product {
    /// Starts it in a namespace, waits until it watches, and returns its warnings. Call it on a thread that outlives it.
    ///
    /// # Errors
    /// It ended; the error holds its log.
    pub(super) fn start(
        node: &Inside,
        receiver: SocketAddr,
        config: Option<PathBuf>,
        sets: &[(String, String)],
    ) -> Result<(Self, Vec<String>), AppError> {
        let program = std::env::current_exe().context("cannot find our own program")?;
        let inode = node.run(network_namespace::own_inode).context("cannot read the node's namespace")?;
        let folder = Path::new(lock::FOLDER);
        let leftovers = Leftovers { lock: lock::path(folder, inode), made_folder: !folder.exists() };
        let mut command = Command::new(program);
        command.arg("run");
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        command.args(sets.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]));
        command.args(SETTINGS.iter().flat_map(|setting| ["--set", setting]));
        command.args(["--endpoint", &format!("http://{receiver}")]);
        // Out of the terminal's foreground group: the demo handles Ctrl-C, and ends it in order.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = node.command(&mut command).spawn().context("cannot start eyepiece run")?;
        let log = read_lines(child.stderr.take().context("eyepiece run has no standard error")?)
            .context("cannot start a thread")?;
        let mut product = Self { child, log, _leftovers: leftovers };
        let warnings = product.wait_until_it_watches()?;
        Ok((product, warnings))
    }

    /// Waits for the end of the start; returns warnings and errors of the log.
    fn wait_until_it_watches(&mut self) -> Result<Vec<String>, AppError> {
        let mut log = Vec::new();
        loop {
            match self.log.recv_timeout(START) {
                Ok(line) if line.contains(WATCHING) => return Ok(log.into_iter().filter_map(warning).collect()),
                Ok(line) if log.len() < LINES => log.push(line),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(anyhow::anyhow!("eyepiece run does not start to watch:\n{}", log.concat()).into());
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().context("cannot wait for eyepiece run")?;
                    let log = log.concat().trim().trim_start_matches("eyepiece: ").to_owned();
                    if status.code() == Some(PRIVILEGE) {
                        let operation = log.trim_start_matches("missing privilege: ").to_owned();
                        return Err(AppError::MissingPrivilege { operation });
                    }
                    return Err(anyhow::anyhow!("eyepiece run ended ({status}): {log}").into());
                }
            }
        }
    }

    /// Warnings and errors of its log since the last call.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.log.try_iter().filter_map(warning).collect()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends SIGTERM: it delivers queued telemetry and ends.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn terminate(&self) -> nix::Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)
    }
}

/// The lines of a log as they arrive. The thread drops lines without room, so that the writer never waits.
fn read_lines(log: ChildStderr) -> std::io::Result<mpsc::Receiver<String>> {
    let (sender, lines) = mpsc::sync_channel(LINES);
    let read = move || {
        let mut log = BufReader::new(log);
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|length| length > 0) {
            let sent = sender.try_send(std::mem::take(&mut line));
            if matches!(sent, Err(mpsc::TrySendError::Disconnected(_))) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("product-log".to_owned()).spawn(read).map(|_| lines)
}

/// A line of the log from its level on, where that is a warning or an error.
fn warning(line: impl AsRef<str>) -> Option<String> {
    let line = line.as_ref();
    let start = [" WARN ", " ERROR "].iter().find_map(|level| line.find(level))?;
    Some(line[start..].trim().to_owned())
}

impl Drop for Product {
    fn drop(&mut self) {
        // Its hooks go with its namespace and its descriptors.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::debug!(%error, "cannot kill eyepiece run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, warning};

    #[test]
    fn log_lines_are_warnings_by_level() {
        for (line, expected) in [
            ("2026-11-22T04:42:29Z  WARN eyepiece::app: slow\n", Some("WARN eyepiece::app: slow")),
            ("2026-11-22T04:42:29Z ERROR eyepiece::app: no\n", Some("ERROR eyepiece::app: no")),
            ("2026-11-22T04:42:29Z  INFO eyepiece::app: watching\n", None),
            ("", None),
        ] {
            assert_eq!(warning(line).as_deref(), expected);
        }
    }

    #[test]
    fn every_otlp_key_is_overridden() {
        let reference = eyepiece_config::reference();
        let mut table = "";
        let mut found = 0;
        for line in reference.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                table = name;
            }
            let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#') && table.starts_with("otlp"))
            else {
                continue;
            };
            let key = format!("{table}.{key}");
            found += 1;
            // The endpoint is a flag, which overrides all others.
            let is_set = SETTINGS.iter().any(|setting| setting.split_once('=').is_some_and(|(name, _)| name == key));
            assert!(is_set || key == "otlp.endpoint", "{key}");
        }
        assert!(found > 30, "{found}");
    }
}
