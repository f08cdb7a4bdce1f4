//! Runs Cilium's own code in the peer `harness`, and exchanges frames with it by pipes.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::peer;

pub mod filters;
pub mod load;
pub mod metrics;
pub mod observer;

/// The peer's name.
pub const NAME: &str = "harness";

/// Bytes of cpu, lost and kind in front of a record's data.
const RECORD_HEADER: usize = 24;

/// No frame is longer.
const MAX_FRAME: usize = 16 << 20;

/// The harness's standard input.
pub type Input = BufWriter<ChildStdin>;
/// The harness's standard output.
pub type Output = BufReader<ChildStdout>;

/// Runs a sub-command: one thread writes its input, which ends then, while this one reads its output.
pub fn pipe<T>(
    arguments: &[&str],
    write: impl FnOnce(&mut Input) -> Result<()> + Send,
    read: impl FnOnce(&mut Output) -> Result<T>,
) -> Result<T> {
    pipe_through(NAME, arguments, write, read)
}

/// As [`pipe`], of another peer.
pub fn pipe_through<T>(
    peer: &str,
    arguments: &[&str],
    write: impl FnOnce(&mut Input) -> Result<()> + Send,
    read: impl FnOnce(&mut Output) -> Result<T>,
) -> Result<T> {
    let mut harness = Harness::start_peer(peer, arguments)?;
    let Harness { child, input, output, .. } = &mut harness;
    let (written, found) = std::thread::scope(|scope| {
        let input = input.take();
        let writer = scope.spawn(|| {
            let mut input = input.context("its input is taken")?;
            write(&mut input)?;
            input.flush().context("the harness's input")
        });
        let found = read(output);
        if found.is_err()
            && let Err(error) = child.kill()
        {
            // It would wait for its output to be read, and the writer for it.
            eprintln!("harness: {error}");
        }
        (writer.join(), found)
    });
    let found = found?;
    harness.wait()?;
    written.map_err(|_| anyhow::anyhow!("the writer has panicked"))??;
    Ok(found)
}

/// A running sub-command.
#[derive(Debug)]
pub struct Harness {
    child: Child,
    name: String,
    input: Option<Input>,
    output: Output,
}

impl Harness {
    /// Starts a sub-command.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_peer(NAME, arguments)
    }

    fn start_peer(peer: &str, arguments: &[&str]) -> Result<Self> {
        let program = peer::find(peer).map_err(anyhow::Error::msg)?;
        let name = [&[peer], arguments].concat().join(" ");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| name.clone())?;
        let input = child.stdin.take().map(|pipe| BufWriter::with_capacity(1 << 16, pipe));
        let output = child.stdout.take().context("no pipe")?;
        Ok(Self { child, name, input, output: BufReader::with_capacity(1 << 16, output) })
    }

    /// Cilium's monitor server, listening at `monitor1_2.sock` in a folder (not below /run); needs root.
    /// [`ask`](Self::ask) sends a command; tests/peers/harness/server.go has the list.
    pub fn monitor_server(folder: &Path, payloads: &Path, further: &[&str]) -> Result<Self> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
        let (folder, payloads) = (text(folder)?, text(payloads)?);
        let mut arguments = vec!["serve-monitor", "-folder", &folder, "-payloads", &payloads];
        arguments.extend(further);
        let mut server = Self::start(&arguments)?;
        let first = server.line()?;
        ensure!(first == "started", "{}: {first:?}", server.name);
        Ok(server)
    }

    /// Sends a line and gives the answer.
    pub fn ask(&mut self, line: &str) -> Result<String> {
        let input = self.input.as_mut().context("its input has ended")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).with_context(|| format!("{}: {line}", self.name))?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "{} has ended", self.name);
        Ok(line.trim_end().to_owned())
    }

    fn input(&mut self) -> Result<&mut Input> {
        self.input.as_mut().context("its input has ended")
    }

    fn flush(&mut self) -> Result<()> {
        let name = self.name.clone();
        self.input()?.flush().context(name)
    }

    /// Its process id, which /proc has its CPU time and memory by.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends its input and waits for its end.
    pub fn wait(&mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "{}: {status}", self.name);
        Ok(())
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        if self.child.kill().is_ok()
            && let Err(error) = self.child.wait()
        {
            eprintln!("{}: {error}", self.name);
        }
    }
}

/// Writes a frame: the length as a little-endian u32, then the bytes.
pub fn write_frame(out: &mut impl Write, frame: &[u8]) -> Result<()> {
    out.write_all(&u32::try_from(frame.len())?.to_le_bytes())?;
    Ok(out.write_all(frame)?)
}

/// Writes a frame with its kind as the first byte.
fn write_tagged(out: &mut impl Write, kind: u8, body: &[u8]) -> Result<()> {
    out.write_all(&u32::try_from(body.len() + 1)?.to_le_bytes())?;
    out.write_all(&[kind])?;
    Ok(out.write_all(body)?)
}

/// Reads a frame; false at the end.
pub fn read_frame(input: &mut impl BufRead, frame: &mut Vec<u8>) -> Result<bool> {
    if input.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let mut length = [0; 4];
    input.read_exact(&mut length).context("inside a frame's length")?;
    let length = usize::try_from(u32::from_le_bytes(length))?;
    ensure!(length <= MAX_FRAME, "a frame of {length} bytes");
    frame.resize(length, 0);
    input.read_exact(frame).context("inside a frame")?;
    Ok(true)
}

/// A payload as the harness's records hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The CPU.
    pub cpu: i64,
    /// Events lost.
    pub lost: u64,
    /// 9 for an event, 2 for losses.
    pub kind: i64,
    /// The monitor payload.
    pub data: Vec<u8>,
}

impl Record {
    /// Writes it as a frame.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        out.write_all(&u32::try_from(RECORD_HEADER + self.data.len())?.to_le_bytes())?;
        out.write_all(&self.cpu.to_le_bytes())?;
        out.write_all(&self.lost.to_le_bytes())?;
        out.write_all(&self.kind.to_le_bytes())?;
        Ok(out.write_all(&self.data)?)
    }

    /// The record in a frame.
    pub fn read(frame: &[u8]) -> Result<Self> {
        let (header, data) = frame.split_at_checked(RECORD_HEADER).context("a record that is too short")?;
        let number = |at: usize| Ok::<_, anyhow::Error>(<[u8; 8]>::try_from(&header[at..at + 8])?);
        Ok(Self {
            cpu: i64::from_le_bytes(number(0)?),
            lost: u64::from_le_bytes(number(8)?),
            kind: i64::from_le_bytes(number(16)?),
            data: data.to_vec(),
        })
    }
}
