//! `eyepiece record` and the replay of its file as processes: an agent's stream in, the same flows out, exit codes.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use eyepiece_flow::event::{Event, RawEvent};
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, RECORD_LOST};
use eyepiece_flow::recording::format;
use eyepiece_flow::recording::format::{Reader, Record, Step};
use eyepiece_tests::eventually;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

/// Timeout of every wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A trace of a TCP segment, as an agent up to 1.18 sends it.
fn trace(port: u16) -> Vec<u8> {
    let mut data = vec![0; 48];
    (data[0], data[1], data[14]) = (4, 5, 1);
    data[2..4].copy_from_slice(&7_u16.to_le_bytes());
    let packet = [
        &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..],
        &[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
        &port.to_be_bytes(),
        &[1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0],
    ]
    .concat();
    data[8..12].copy_from_slice(&(packet.len() as u32).to_le_bytes());
    data[12..14].copy_from_slice(&(packet.len() as u16).to_le_bytes());
    [data, packet].concat()
}

fn message(value: &Payload<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    payload(&mut out, value);
    out
}

/// So many traces, a loss, and an undecodable payload.
fn stream(count: u16) -> Vec<u8> {
    let mut out = PAYLOAD_DESCRIPTOR.to_vec();
    for port in 0..count {
        out.extend(message(&Payload { data: &trace(1000 + port), cpu: 1, lost: 0, kind: EVENT_SAMPLE }));
    }
    out.extend(message(&Payload { data: &[], cpu: 3, lost: 42, kind: RECORD_LOST }));
    out.extend(message(&Payload { data: &[4, 1, 2], cpu: 1, lost: 0, kind: EVENT_SAMPLE }));
    out
}

fn eyepiece(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyepiece"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_") || name.starts_with("EYEPIECE_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    without_privileges(&mut command);
    command
}

/// Neither an agent's socket nor a file needs a privilege: the program gets none, not even as root.
fn without_privileges(command: &mut Command) {
    let drop_all = || {
        for capability in 0..64 {
            // SAFETY: takes numbers. A process without the privilege, or a kernel without the capability, has none to
            // drop.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec it only calls prctl(2), which is async-signal-safe.
    unsafe { command.pre_exec(drop_all) };
}

fn record(folder: &Path, file: &str, more: &[&str]) -> Command {
    let mut command = eyepiece(&["record", "--config", "/dev/null", "--set", "source.kind=cilium-monitor"]);
    command.arg("--set").arg(format!("cilium_monitor.socket={}", folder.join("m.sock").display()));
    command.arg("--raw").arg(folder.join(file)).args(more);
    command
}

/// Plays a file as fast as it goes, and prints flows.
fn replay(file: &Path) -> Output {
    replay_command(file).output().expect("run")
}

fn replay_command(file: &Path) -> Command {
    let arguments = ["run", "--config", "/dev/null", "--set", "source.kind=replay", "--set", "replay.speed=0"];
    let mut command = eyepiece(&arguments);
    command.arg("--set").arg(format!("replay.path={}", file.display()));
    command.args([
        "--protocol",
        "stdout",
        "--set",
        "otlp.metrics.enabled=false",
        "--set",
        "admin.listen=",
        "--set",
        "hubble.listen=",
    ]);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a line on standard error, then reads on in the background so that the writer never blocks.
fn wait_for(child: &mut Child, wanted: &str) {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(wanted));
    assert!(found, "it has ended without {wanted:?}");
    std::thread::spawn(move || lines.for_each(drop));
}

/// Lines of flows; a loss has a line too.
fn count_flows(printed: &str) -> usize {
    printed.lines().filter(|line| line.contains(" → ")).count()
}

#[test]
fn agent_stream_is_recorded_and_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = UnixListener::bind(folder.path().join("m.sock")).expect("bind");
    let child = record(folder.path(), "events", &[]).spawn().expect("start");
    let (mut connection, _) = listener.accept().expect("accept");
    connection.write_all(&stream(500)).expect("write");
    // What is on the socket at the signal is recorded too.
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("signal");
    let output = child.wait_with_output().expect("wait");
    let (summary, log) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{log}");
    let path = folder.path().join("events");
    let length = std::fs::metadata(&path).expect("the file").len();
    let expected = format!(
        "{}: 501 events, 1 notices of 42 events that the source lost, {length} bytes; \
         0 not recorded because the disk was too slow\n",
        path.display()
    );
    assert_eq!(summary, expected, "{log}");

    let output = replay(&path);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let flows = text(&output.stdout);
    assert_eq!(count_flows(&flows), 500, "{flows}");
    let missing = (1000..1500).find(|port| !flows.lines().any(|line| line.contains(&format!(":{port}"))));
    assert_eq!(missing, None);

    let bytes = std::fs::read(&path).expect("the file");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("cut");
    let output = replay(&path);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(count_flows(&text(&output.stdout)), 500);
    assert!(text(&output.stderr).contains("the last record is truncated"), "{}", text(&output.stderr));
}

#[test]
fn crash_keeps_recorded_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = UnixListener::bind(folder.path().join("m.sock")).expect("bind");
    let mut child = record(folder.path(), "events", &[]).spawn().expect("start");
    let (mut connection, _) = listener.accept().expect("accept");
    connection.write_all(&stream(300)).expect("write");
    let path = folder.path().join("events");
    let recorded = || {
        // 300 payloads of 102 bytes, and a record's head for each.
        std::fs::metadata(&path).is_ok_and(|file| file.len() > 300 * 130).then_some(())
    };
    eventually(TIMEOUT, "nothing is written", recorded).expect("a recording");
    child.kill().expect("kill");
    child.wait().expect("wait");
    let output = replay(&path);
    assert_eq!((output.status.code(), count_flows(&text(&output.stdout))), (Some(0), 300));
}

#[test]
fn record_ends_at_time_or_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = record(folder.path(), "short", &["--duration", "100ms"]).output().expect("run");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(": 0 events, "), "{}", text(&output.stdout));
    assert_eq!(replay(&folder.path().join("short")).status.code(), Some(0));

    let listener = UnixListener::bind(folder.path().join("m.sock")).expect("bind");
    let mut child = record(folder.path(), "small", &["--max-bytes", "100KiB"]).spawn().expect("start");
    wait_for(&mut child, "recording to ");
    let (mut connection, _) = listener.accept().expect("accept");
    let stream = stream(100);
    connection.write_all(&stream).expect("write");
    // It leaves in the middle, so writing ends with an error.
    while connection.write_all(&stream[PAYLOAD_DESCRIPTOR.len()..]).is_ok() {}
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("; stopped at the limit, "), "{}", text(&output.stdout));
    // A record of this stream has some 130 bytes.
    let length = std::fs::metadata(folder.path().join("small")).expect("the file").len();
    assert!(length <= 100 << 10 && length > (100 << 10) - 500, "{length}");
    assert_eq!(summarised(&output), held(&folder.path().join("small")));
}

/// Events that the summary reports.
fn summarised(output: &Output) -> usize {
    let summary = text(&output.stdout);
    let events = summary.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
    events.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{summary:?} {}", text(&output.stderr)))
}

/// Payloads that a recording holds; it must be whole to its end.
fn held(file: &Path) -> usize {
    let bytes = std::fs::read(file).expect("the file");
    assert_eq!(format::check_head(&bytes[..format::HEAD]), Ok(()));
    let (mut reader, mut rest, mut count) = (Reader::default(), &bytes[format::HEAD..], 0);
    while !rest.is_empty() {
        let Step::Record { record, size, .. } = reader.next(rest) else { panic!("no record: {:?}", reader.next(rest)) };
        count += usize::from(matches!(record, Record::Event(Event::Raw(_))));
        rest = &rest[size..];
    }
    count
}

#[test]
fn record_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("there"), "precious").expect("a file");
    let output = record(folder.path(), "there", &["--duration", "100ms"]).output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("only --force replaces an existing file"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(folder.path().join("there")).expect("the file"), b"precious");
    let output = record(folder.path(), "there", &["--duration", "100ms", "--force"]).output().expect("run");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (more, code) in [
        (&["--duration", "0s"], 64),
        (&["--max-bytes", "many"], 64),
        (&["--max-bytes", "1B"], 64),
        (&["--set", "replay.speed=-1"], 78),
        (&["--set", "source.kind=hubble"], 78),
    ] {
        let output = record(folder.path(), "other", more).output().expect("run");
        assert_eq!(output.status.code(), Some(code), "{more:?} {}", text(&output.stderr));
        assert!(!folder.path().join("other").exists(), "{more:?}");
    }
    let output = record(folder.path(), "no/folder", &[]).output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output.stderr).contains("--force"), "{}", text(&output.stderr));
    let output = record(folder.path(), "warned", &["--duration", "100ms"])
        .env("OTEL_METRIC_EXPORT_INTERVAL", "soon")
        .output()
        .expect("run");
    assert!(text(&output.stderr).contains("OTEL_METRIC_EXPORT_INTERVAL"), "{}", text(&output.stderr));
    for (name, wrong) in [("none", "No such file or directory"), ("text", "/text: expected a file of eyepiece record")]
    {
        std::fs::write(folder.path().join("text"), "neither head nor record").expect("a file");
        let output = replay(&folder.path().join(name));
        assert_eq!(output.status.code(), Some(78));
        let errors = text(&output.stderr);
        assert!(errors.contains("replay.path (from --set replay.path): ") && errors.contains(wrong), "{errors}");
    }
}

/// A FIFO in a folder.
fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    path
}

fn term(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("signal");
}

/// Signals the child once it catches signals, which it does before it opens anything.
fn term_while_it_starts(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let caught = || {
        let status = std::fs::read_to_string(&status).expect("its status");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim().to_owned();
        let is_caught = u64::from_str_radix(&mask, 16).expect("a number") & 1 << (libc::SIGTERM - 1) != 0;
        is_caught.then_some(())
    };
    eventually(TIMEOUT, "TERM is not caught", caught).expect("a handler");
    term(child);
}

#[test]
fn replay_stops_before_first_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = pipe(folder.path());
    let mut child = replay_command(&pipe).spawn().expect("start");
    term_while_it_starts(&child);
    assert_eq!(child.wait().expect("wait").code(), Some(0), "no writer of the pipe");
    let magic = b"\x89EPRAW\r\n";
    for bytes in [&b""[..], magic] {
        let mut child = replay_command(Path::new("-")).stdin(Stdio::piped()).spawn().expect("start");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(bytes).expect("write");
        term_while_it_starts(&child);
        assert_eq!(child.wait().expect("wait").code(), Some(0), "{bytes:?}");
    }
}

#[test]
fn replay_stops_within_endless_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = pipe(folder.path());
    let mut child = replay_command(&pipe).spawn().expect("start");
    let writer = std::thread::spawn(move || {
        let mut pipe = File::options().write(true).open(pipe).expect("open");
        pipe.write_all(&format::head()).expect("write");
        // Until the reader is gone.
        while pipe.write_all(&[0; 65_536]).is_ok() {}
    });
    wait_for(&mut child, "the recording is damaged");
    term(&child);
    assert_eq!(child.wait().expect("wait").code(), Some(0));
    writer.join().expect("the writer");
}

#[test]
fn pipe_without_reader_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    pipe(folder.path());
    let output = record(folder.path(), "pipe", &["--force"]).output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("a pipe without a reader"), "{}", text(&output.stderr));
}

/// Records a stream of a MiB to a pipe that is open and not read.
fn record_to_a_full_pipe(folder: &Path, drain: &str) -> (Child, File, UnixStream) {
    let reader = File::options().read(true).write(true).open(pipe(folder)).expect("open");
    let listener = UnixListener::bind(folder.join("m.sock")).expect("bind");
    let mut child = record(folder, "pipe", &["--force", "--set", drain]).spawn().expect("start");
    let (mut connection, _) = listener.accept().expect("accept");
    connection.write_all(&stream(10_000)).expect("write");
    wait_for(&mut child, "recording to ");
    (child, reader, connection)
}

#[test]
fn blocked_file_is_bounded_by_drain() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, reader, _connection) = record_to_a_full_pipe(folder.path(), "node.drain=200ms");
    term(&child);
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(1));
    let summary = text(&output.stdout);
    assert!(summary.contains("the file took no more within node.drain, 10002 came behind it"), "{summary}");
    drop(reader);
}

#[test]
fn second_signal_ends_blocked_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, reader, _connection) = record_to_a_full_pipe(folder.path(), "node.drain=60s");
    let code = loop {
        term(&child);
        if let Some(status) = child.try_wait().expect("wait") {
            break status.code();
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(code, Some(1));
    drop(reader);
}

#[test]
fn full_file_ends_with_whole_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = UnixListener::bind(folder.path().join("m.sock")).expect("bind");
    let mut command = record(folder.path(), "full", &[]);
    let limit = || {
        let limit = libc::rlimit { rlim_cur: 65_536, rlim_max: 65_536 };
        // SAFETY: both take what lives until they return. An ignored signal stays ignored in what is started: write(2)
        // then fails as a full disk does: some bytes first and an error at the next call.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
        }
        Ok(())
    };
    // SAFETY: between fork and exec it only calls signal(2) and setrlimit(2), which are async-signal-safe.
    unsafe { command.pre_exec(limit) };
    let child = command.spawn().expect("start");
    let (mut connection, _) = listener.accept().expect("accept");
    // It may leave in the middle.
    drop(connection.write_all(&stream(2000)));
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(1));
    let (path, summary) = (folder.path().join("full"), text(&output.stdout));
    assert!(summary.contains("stopped behind the last whole record: File too large"), "{summary}");
    let length = std::fs::metadata(&path).expect("the file").len();
    assert!(length > 65_000 && summary.contains(&format!(", {length} bytes; ")), "{length} {summary}");
    assert_eq!(summarised(&output), held(&path));
}

#[test]
fn failed_recording_changes_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("old"), "precious").expect("a file");
    let wrong = ["--export", "--set", "admin.listen=", "--set", "hubble.listen=", "--set"];
    let wrong = [&wrong[..], &["otlp.endpoint=https://localhost:1", "--set", "otlp.tls.ca=/nope/ca.pem"]].concat();
    let output = record(folder.path(), "new", &wrong).output().expect("run");
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(!folder.path().join("new").exists());
    let output = record(folder.path(), "old", &[&wrong[..], &["--force"]].concat()).output().expect("run");
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(std::fs::read(folder.path().join("old")).expect("the file"), b"precious");
}

/// Returns a recording of traces at these times.
fn recording(times: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = format::head().to_vec();
    for (port, time) in (1000..).zip(times) {
        let event = RawEvent { time, cpu: 0, data: &trace(port), traffic: None, kernel_drop: None };
        format::write_event(&Event::Raw(event), time, &mut bytes);
    }
    bytes
}

#[test]
fn long_pause_is_logged_and_interruptible() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jump");
    // The clock was set from 1970 to 2023 while recording.
    std::fs::write(&path, recording([1, 2, 3, 1_700_000_000_000_000_000])).expect("a file");
    let mut child = replay_command(&path).args(["--set", "replay.speed=1"]).spawn().expect("start");
    wait_for(&mut child, "the next event is in 19675 days; replay.speed = 0 does not wait");
    term(&child);
    let output = child.wait_with_output().expect("wait");
    assert_eq!((output.status.code(), count_flows(&text(&output.stdout))), (Some(0), 3));
}

#[test]
fn damage_is_summed_at_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged");
    let mut bytes = recording(0..10);
    let record = (bytes.len() - format::HEAD) / 10;
    for at in [2, 5, 7] {
        bytes[format::HEAD + at * record + format::RECORD_HEAD] ^= 1;
    }
    std::fs::write(&path, &bytes).expect("a file");
    let output = replay(&path);
    assert_eq!(count_flows(&text(&output.stdout)), 7);
    let expected = format!("skipped because of damage reason=\"record_body\" places=3 bytes={}", 3 * record);
    assert!(text(&output.stderr).contains(&expected), "{}", text(&output.stderr));
}

/// A terminal, one end of which plays a recording and then fails with EIO, as a broken disk does.
fn breaking(recording: Vec<u8>) -> (File, std::thread::JoinHandle<()>) {
    let master =
        File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx").expect("a terminal");
    let (locked, flags) = (0_i32, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
    // Not openpty(3): what other tests start at the same time would inherit the end that is to be closed.
    // SAFETY: the number lives until the call returns; the second call takes flags.
    let slave = unsafe {
        libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked);
        libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags)
    };
    assert!(slave >= 0, "the terminal's other end");
    // SAFETY: it was just opened, and nothing else has it.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    // SAFETY: all bits zero are a valid termios: no processing at all, which cfmakeraw completes.
    let mut raw: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: both take a form that lives until they return, and a descriptor that is ours.
    unsafe {
        libc::cfmakeraw(&raw mut raw);
        libc::tcsetattr(slave.as_raw_fd(), libc::TCSANOW, &raw const raw);
    }
    let writer = std::thread::spawn(move || File::from(slave).write_all(&recording).expect("write"));
    (master, writer)
}

#[test]
fn events_before_source_failure_are_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (terminal, writer) = breaking(recording(0..500));
    let output = replay_command(Path::new("-")).stdin(terminal).output().expect("run");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(count_flows(&text(&output.stdout)), 500, "{}", text(&output.stderr));
    writer.join().expect("the writer");

    let (terminal, writer) = breaking(recording(0..500));
    let more = ["--set", "source.kind=replay", "--set", "replay.path=-", "--set", "replay.speed=0"];
    let output = record(folder.path(), "again", &more).stdin(terminal).output().expect("run");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!((summarised(&output), held(&folder.path().join("again"))), (500, 500));
    writer.join().expect("the writer");
}
