//! Many clients of a Hubble server's `GetFlows`, good and bad: tests/peers/harness/load.go. And single calls: call.go.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Harness, pipe};

/// The streams of a load. All follow, unless they have their own request.
#[derive(Clone, Debug)]
pub struct Streams<'a> {
    /// Read as fast as they come.
    pub read: u32,
    /// Not read until [`Load::read_all`].
    pub unread: u32,
    /// Read, with a whitelist of [`entries`](Self::entries) filters.
    pub filtered: u32,
    /// Filters of the filtered; only the last one matches, so each flow costs them all.
    pub entries: u32,
    /// Read until [`Load::reset`], or [`reset_after`](Self::reset_after).
    pub resets: u32,
    /// Responses after which each of the [`resets`](Self::resets) is reset by itself; 0 is never.
    pub reset_after: u32,
    /// Streams that share one connection.
    pub per_connection: u32,
    /// An encoded `observer.GetFlowsRequest` in place of `{follow: true}`.
    pub request: Option<&'a [u8]>,
}

impl Default for Streams<'_> {
    fn default() -> Self {
        let none = Self {
            read: 0,
            unread: 0,
            filtered: 0,
            entries: 1000,
            resets: 0,
            reset_after: 0,
            per_connection: 100,
            request: None,
        };
        Self { read: 1, ..none }
    }
}

/// The result of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `read`, `unread`, `filtered` or `reset`.
    pub group: String,
    /// All responses, and their bytes as messages.
    pub responses: u64,
    /// See [`responses`](Self::responses).
    pub bytes: u64,
    /// Responses that are flows.
    pub flows: u64,
    /// Lost events, by the source's name (`HUBBLE_RING_BUFFER`).
    pub lost: BTreeMap<String, u64>,
    /// Responses with losses.
    pub lost_messages: u64,
    /// From the request to the last response.
    pub took: Duration,
    /// The code's name as Go has it (`OK`, `Canceled`, `ResourceExhausted`) and its text; `None` while it runs.
    pub end: Option<(String, String)>,
}

/// Running clients; all end with the value. Errors are the pipe's, which ends with the harness.
#[derive(Debug)]
pub struct Load {
    harness: Harness,
    streams: u32,
}

impl Load {
    /// Starts them against `HOST:PORT` or `unix:///PATH`; returns when all requests are sent, which is not yet when the
    /// server has begun to serve them: wait for a first flow where that matters.
    pub fn start(address: &str, streams: &Streams<'_>) -> Result<Self> {
        let mut arguments = vec!["observe-load".to_owned(), format!("-address={address}")];
        for (name, value) in [
            ("read", streams.read),
            ("unread", streams.unread),
            ("filtered", streams.filtered),
            ("entries", streams.entries),
            ("resets", streams.resets),
            ("reset-after", streams.reset_after),
            ("per-connection", streams.per_connection),
        ] {
            arguments.push(format!("-{name}={value}"));
        }
        arguments.extend(streams.request.map(|request| format!("-request={}", hex(request))));
        let mut harness = Harness::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        let line = harness.line()?;
        let count = line.strip_prefix("open ").with_context(|| line.clone())?.parse()?;
        Ok(Self { harness, streams: count })
    }

    /// Waits until each stream that is read, `reset` ones aside, has that many flows, lost ones counted, or has ended;
    /// false where that is not within the time.
    pub fn wait(&mut self, flows: u64, timeout: Duration) -> Result<bool> {
        match self.harness.ask(&format!("wait {flows} {}", timeout.as_secs_f64()))?.as_str() {
            "done" => Ok(true),
            "late" => Ok(false),
            other => anyhow::bail!("{other:?}"),
        }
    }

    /// From now on the unread are read, too.
    pub fn read_all(&mut self) -> Result<()> {
        self.done("read")
    }

    /// Resets the streams of `resets`.
    pub fn reset(&mut self) -> Result<()> {
        self.done("reset")
    }

    /// Returns the state of each stream so far: read ones first, then unread, filtered, reset ones.
    pub fn report(&mut self) -> Result<Vec<Report>> {
        let mut line = self.harness.ask("report")?;
        let mut reports = Vec::new();
        while line != "done" {
            reports.push(Report::read(&serde_json::from_str(&line)?).with_context(|| line.clone())?);
            line = self.harness.line()?;
        }
        ensure!(reports.len() == usize::try_from(self.streams)?, "{} reports of {}", reports.len(), self.streams);
        Ok(reports)
    }

    /// CPU time, memory: see [`Harness::pid`].
    pub fn pid(&self) -> u32 {
        self.harness.pid()
    }

    fn done(&mut self, line: &str) -> Result<()> {
        let answer = self.harness.ask(line)?;
        ensure!(answer == "done", "{answer:?} to {line}");
        Ok(())
    }
}

impl Report {
    fn read(line: &Value) -> Option<Self> {
        let number = |name: &str| line[name].as_u64();
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let lost = line["lost"].as_object()?.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)));
        Some(Self {
            group: text("group")?,
            responses: number("responses")?,
            bytes: number("bytes")?,
            flows: number("flows")?,
            lost: lost.collect(),
            lost_messages: number("lost_messages")?,
            took: Duration::from_nanos(number("nanoseconds")?),
            end: if line["ended"].as_bool()? { Some((text("code")?, text("message")?)) } else { None },
        })
    }
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// Each response's bytes.
    pub responses: Vec<Vec<u8>>,
    /// The code's name as Go has it: `OK`, `Unimplemented`, `ResourceExhausted` …
    pub code: String,
    /// The status's text.
    pub message: String,
    /// The response's metadata, `{name: [value, …]}`.
    pub header: Value,
    /// The metadata after the responses, of the same form.
    pub trailer: Value,
}

/// Calls any method (`/package.Service/Method`), known or not, with any bytes, unary or with a stream of responses.
/// Further arguments: `-size=N` adds an unknown field of N bytes, `-gzip`, `-responses=N` resets the call after N,
/// `-timeout=3s`, `-header=NAME=VALUE`.
///
/// # Errors
/// Fails if the harness is missing; an error of the call is part of the answer.
pub fn call(address: &str, method: &str, message: &[u8], further: &[&str]) -> Result<Called> {
    let message = hex(message);
    let arguments = ["call", "-address", address, "-method", method, "-message", &message];
    let read = |output: &mut super::Output| {
        let mut lines = String::new();
        output.read_to_string(&mut lines)?;
        Ok(lines)
    };
    let lines = pipe(&[&arguments[..], further].concat(), |_| Ok(()), read)?;
    let mut lines = lines.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let end = lines.pop().context("no answer")?;
    let bytes = |line: &Value| line["response"].as_str().and_then(from_hex).context("a response that is none");
    let text = |name: &str| end[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    Ok(Called {
        responses: lines.iter().map(bytes).collect::<Result<_>>()?,
        code: text("code")?,
        message: text("message")?,
        header: end["header"].clone(),
        trailer: end["trailer"].clone(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
