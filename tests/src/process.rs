//! Processes in the background: their output is collected, they are killed with their value.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::eventually;

/// A running process.
#[derive(Debug)]
pub struct Background {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// Timeout of reading a process's output after its end; a child of the process may keep the pipe open.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);

/// The content of a pipe so far, and whether it has ended.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>);

impl Output {
    fn collect(pipe: Option<impl Read + Send + 'static>) -> Self {
        let output = Self::default();
        let Some(mut pipe) = pipe else { return output };
        let shared = output.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                shared.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            }
            shared.1.store(true, Ordering::Release);
        });
        output
    }

    fn has_ended(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Background {
    /// Starts a command, see [`crate::Inside::command`].
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let (stdout, stderr) = (Output::collect(child.stdout.take()), Output::collect(child.stderr.take()));
        Ok(Self { name, child, stdout, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Returns its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a line on standard error that contains a text; an error with all of it when the process ends before.
    pub fn wait_for_line(&mut self, text: &str, timeout: Duration) -> Result<String> {
        let find = |output: String| output.lines().find(|line| line.contains(text)).map(str::to_owned);
        let what = format!("{} has not written {text:?}", self.name);
        let line = eventually(timeout, &what, || {
            // Asked before the output is looked at, which has all that was written once its pipe has ended too.
            let ended = self.child.try_wait().ok().flatten().filter(|_| self.stderr.has_ended());
            find(self.stderr()).map(Ok).or_else(|| ended.map(Err))
        });
        match line {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(status)) => anyhow::bail!("{what} before it ended, {status}:\n{}", self.stderr()),
            Err(error) => Err(error.context(self.stderr())),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// Returns its exit status if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, and for what it has written.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("{} has not ended", self.name);
        let status = eventually(timeout, &what, || self.child.try_wait().transpose())
            .map_err(|error| error.context(self.stderr()))?
            .with_context(|| what.clone())?;
        let is_read = || [&self.stdout, &self.stderr].iter().all(|output| output.has_ended());
        // A child that keeps a pipe open does not change how this process ended.
        eventually(OUTPUT_TIMEOUT, "its output", || is_read().then_some(())).unwrap_or_default();
        Ok(status)
    }

    /// Sends a signal, waits for the end, returns the exit code; 128 + signal if a signal ended it.
    pub fn stop(&mut self, signal: Signal, timeout: Duration) -> Result<i32> {
        self.signal(signal)?;
        let status = self.wait(timeout)?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }

    /// Returns the number of its open file descriptors.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// CPU time it has used, user and system.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The second field is a name in parentheses that may hold blanks; 14 and 15 are utime and stime, proc(5).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().filter_map(|&at: &usize| fields.get(at)?.parse::<u64>().ok()).sum();
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100).cast_unsigned();
        Ok(Duration::from_millis(ticks * 1000 / per_second))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        if self.child.kill().is_ok()
            && let Err(error) = self.child.wait()
        {
            eprintln!("{}: {error}", self.name);
        }
    }
}
