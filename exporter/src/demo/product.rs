//! eyepiece itself as a process on the node: `run`, with the demo's receiver for a collector.

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
use crate::source::datapath::{links, lock};

/// What it logs when it has hooked itself to the interfaces.
const WATCHING: &str = "watching";
/// How long that may take on a busy machine.
const START: Duration = Duration::from_secs(20);
/// Lines of its log that are kept for an error; what it says of its start is much less.
const LINES: usize = 64;
/// Its exit code where a privilege is missing.
const PRIVILEGE: i32 = crate::cli::Exit::Privilege as i32;

/// What holds for the demo, whatever the user's settings say: nothing is sent anywhere but to its own receiver.
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
    "otlp.logs.events.flow=true",
    "otlp.logs.events.agent=false",
    "otlp.logs.events.lost=false",
    "otlp.logs.events.debug=false",
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

/// The running process; dropping it kills it.
#[derive(Debug)]
pub(super) struct Product {
    child: Child,
    log: mpsc::Receiver<String>,
    _traces: Traces,
}

/// What a killed product may leave in the file system.
#[derive(Debug)]
struct Traces {
    /// The lock of the node's namespace, which nobody else can hold.
    lock: PathBuf,
    /// The folder was not there before.
    made_folder: bool,
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What was never made, or is removed already, is not there; a folder that others use now is not empty.
        drop(std::fs::remove_file(&self.lock));
        if self.made_folder {
            drop(std::fs::remove_dir(lock::FOLDER));
        }
    }
}

impl Product {
    /// Starts it in a namespace and waits until it watches: the process, and what it complained of on the way. To be
    /// called on a thread that outlives it.
    ///
    /// # Errors
    /// It ended, with what it said.
    pub(super) fn start(
        node: &Inside,
        receiver: SocketAddr,
        config: Option<PathBuf>,
        sets: &[(String, String)],
    ) -> Result<(Self, Vec<String>), AppError> {
        let program = std::env::current_exe().context("cannot find our own program")?;
        let inode = node.run(links::namespaces::own_inode).context("cannot look at the node's namespace")?;
        let folder = Path::new(lock::FOLDER);
        let traces = Traces { lock: lock::path(folder, inode), made_folder: !folder.exists() };
        let mut command = Command::new(program);
        command.arg("run");
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        command.args(sets.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]));
        command.args(SETTINGS.iter().flat_map(|setting| ["--set", setting]));
        command.args(["--endpoint", &format!("http://{receiver}")]);
        // Out of the terminal's foreground group: Ctrl-C is for the demo, which ends it in order.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = node.command(&mut command).spawn().context("cannot start eyepiece run")?;
        let log = read_lines(child.stderr.take().context("no pipe")?).context("cannot start a thread")?;
        let mut product = Self { child, log, _traces: traces };
        let complaints = product.wait_until_it_watches()?;
        Ok((product, complaints))
    }

    /// Waits for the line that says so: what it complained of before.
    fn wait_until_it_watches(&mut self) -> Result<Vec<String>, AppError> {
        let mut said = Vec::new();
        loop {
            match self.log.recv_timeout(START) {
                Ok(line) if line.contains(WATCHING) => return Ok(said.into_iter().filter_map(complaint).collect()),
                Ok(line) if said.len() < LINES => said.push(line),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(anyhow::anyhow!("eyepiece run does not start to watch:\n{}", said.concat()).into());
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().context("eyepiece run")?;
                    let said = said.concat().trim().trim_start_matches("eyepiece: ").to_owned();
                    if status.code() == Some(PRIVILEGE) {
                        let operation = said.trim_start_matches("missing privilege: ").to_owned();
                        return Err(AppError::MissingPrivilege { operation });
                    }
                    return Err(anyhow::anyhow!("eyepiece run ended ({status}): {said}").into());
                }
            }
        }
    }

    /// What it has complained of since it was asked the last time.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.log.try_iter().filter_map(complaint).collect()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It can't be asked.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to deliver what is queued and leave.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn ask_to_leave(&self) -> nix::Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)
    }
}

/// The lines of a log as they come. It is always read on, so that its writer never waits; lines that find no room are
/// left out.
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
fn complaint(line: impl AsRef<str>) -> Option<String> {
    let line = line.as_ref();
    let start = [" WARN ", " ERROR "].iter().find_map(|level| line.find(level))?;
    Some(line[start..].trim().to_owned())
}

impl Drop for Product {
    fn drop(&mut self) {
        // What it hooked itself to goes with its namespace and its descriptors.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::debug!(%error, "eyepiece run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, complaint};

    #[test]
    fn warnings_and_errors_are_complaints() {
        for (line, expected) in [
            ("2026-11-22T04:42:29Z  WARN eyepiece::app: slow\n", Some("WARN eyepiece::app: slow")),
            ("2026-11-22T04:42:29Z ERROR eyepiece::app: no\n", Some("ERROR eyepiece::app: no")),
            ("2026-11-22T04:42:29Z  INFO eyepiece::app: watching\n", None),
            ("", None),
        ] {
            assert_eq!(complaint(line).as_deref(), expected);
        }
    }

    #[test]
    fn no_setting_of_the_receiver_is_left_to_the_user() {
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
            // The endpoint is a flag, which wins over all.
            let is_set = SETTINGS.iter().any(|setting| setting.split_once('=').is_some_and(|(name, _)| name == key));
            assert!(is_set || key == "otlp.endpoint", "{key}");
        }
        assert!(found > 30, "{found}");
    }
}
