//! Messages from a file in place of a server: lines of JSON, as `-o json` and Hubble's exporter write them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::path::Path;

use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::{Context, Filters};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::observer::ExportEvent;
use eyepiece_hubble::proto::observer::export_event::ResponseTypes;
use eyepiece_hubble::{decode, json};
use prost::Message as _;
use prost_types::Timestamp;

use super::request::Range;
use super::stream::Print;
use super::{Kind, ObserveError};
use crate::cli::observe::print::Lines;
use crate::support::thread_time::thread_cpu_time;

/// A line at most; one that is longer is passed over. Flows have some thousand bytes.
const MAX_LINE: usize = 16 << 20;
/// Messages that `--last` holds back at most, as Hubble's command line.
const MAX_LAST: u64 = 1_000_000;
/// Bytes of text that are written at once.
const CHUNK: usize = 64 << 10;

/// What of a file is asked for, beside its time.
pub(super) struct Wanted {
    pub(super) kind: Kind,
    /// For flows.
    pub(super) filters: Filters,
}

impl Wanted {
    fn has(&self, event: &ExportEvent) -> bool {
        match (self.kind, &event.response_types) {
            (Kind::Flows, Some(ResponseTypes::Flow(_))) if self.filters.is_empty() => true,
            (Kind::Flows, Some(ResponseTypes::Flow(flow))) => {
                let mut flow = flow.clone();
                // Where lines of a flow log have them.
                flow.time = flow.time.or(event.time);
                if flow.node_name.is_empty() {
                    flow.node_name.clone_from(&event.node_name);
                }
                let encoded = flow.encode_to_vec().into();
                let context = Context { node: &Node::default(), names: &NoLookup, clock: thread_cpu_time };
                self.filters.matches(&Observed::Flow(decode::flow(flow, encoded)), &context)
            }
            // Losses and nodes concern everybody.
            (Kind::Flows, Some(ResponseTypes::LostEvents(_) | ResponseTypes::NodeStatus(_)))
            | (Kind::Agent, Some(ResponseTypes::AgentEvent(_)))
            | (Kind::Debug, Some(ResponseTypes::DebugEvent(_))) => true,
            _ => false,
        }
    }
}

/// Reads a file, `-` being standard input, and prints what is wanted and in the range.
pub(super) fn read(
    path: &Path,
    range: Range,
    wanted: &Wanted,
    silent: bool,
    printer: &mut impl Print<ExportEvent>,
) -> Result<(), ObserveError> {
    let failed = |source| ObserveError::Input { path: path.to_owned(), source };
    let file: Box<dyn io::Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    let held = !range.first && range.number > 0 && range.number != u64::MAX;
    if held && range.number > MAX_LAST {
        return Err(ObserveError::Usage(format!("--last: from a file at most {MAX_LAST}")));
    }
    let mut lines = Lines::default();
    let mut last = VecDeque::new();
    let mut reader = Reader { from: BufReader::with_capacity(CHUNK, file), number: 0, strict: true, line: Vec::new() };
    let mut count = 0;
    while !(range.first && count >= range.number) {
        let event = match reader.next().map_err(failed)? {
            Read::End => break,
            Read::Event(event) => event,
            Read::Wrong(wrong) => {
                lines.err.push_str(&format!("eyepiece: line {}: {wrong}\n", reader.number));
                write(&mut lines, silent)?;
                continue;
            }
        };
        if !is_within(event.time.as_ref(), &range) || !wanted.has(&event) {
            continue;
        }
        count += 1;
        if held {
            if last.len() as u64 >= range.number {
                last.pop_front();
            }
            last.push_back(event);
        } else {
            printer.print(&event, &mut lines);
            // A pipe's reader sees what is there.
            if lines.out.len() >= CHUNK || reader.from.buffer().is_empty() {
                write(&mut lines, silent)?;
            }
        }
    }
    for event in last {
        printer.print(&event, &mut lines);
        if lines.out.len() >= CHUNK {
            write(&mut lines, silent)?;
        }
    }
    printer.finish(&mut lines);
    write(&mut lines, silent)
}

fn write(lines: &mut Lines, silent: bool) -> Result<(), ObserveError> {
    let mut out = io::stdout().lock();
    out.write_all(lines.out.as_bytes())?;
    out.flush()?;
    if !silent && !lines.err.is_empty() {
        crate::cli::output::complain(lines.err.trim_end_matches('\n'));
    }
    *lines = Lines::default();
    Ok(())
}

fn is_within(time: Option<&Timestamp>, range: &Range) -> bool {
    let key = |time: &Timestamp| (time.seconds, time.nanos);
    // Without a time: 1970, as protobuf's own default.
    let time = time.map(key).unwrap_or_default();
    range.since.as_ref().is_none_or(|since| key(since) <= time)
        && range.until.as_ref().is_none_or(|until| time <= key(until))
}

struct Reader<R> {
    from: BufReader<R>,
    /// Of the line that was read last, from 1 on.
    number: u64,
    /// Whether a field that we do not know is told; only the first one is.
    strict: bool,
    line: Vec<u8>,
}

enum Read {
    End,
    Event(Box<ExportEvent>),
    Wrong(String),
}

impl<R: io::Read> Reader<R> {
    fn next(&mut self) -> io::Result<Read> {
        loop {
            self.line.clear();
            self.number += 1;
            let taken = self.from.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
            if taken == 0 {
                return Ok(Read::End);
            }
            if taken == MAX_LINE && self.line.last() != Some(&b'\n') {
                self.from.skip_until(b'\n')?;
                return Ok(Read::Wrong(format!("longer than {MAX_LINE} bytes, passed over")));
            }
            let Ok(text) = std::str::from_utf8(&self.line) else {
                return Ok(Read::Wrong("no UTF-8, passed over".to_owned()));
            };
            if !text.trim().is_empty() {
                let text = text.to_owned();
                return Ok(self.parse(&text));
            }
        }
    }

    fn parse(&mut self, text: &str) -> Read {
        match json::read(text, self.strict) {
            Ok(event) => Read::Event(Box::new(event)),
            Err(error) if !self.strict => Read::Wrong(format!("no event in JSON, passed over: {error}")),
            Err(error) => match json::read(text, false) {
                // A newer server's; it is told once, and what we know of it is printed.
                Ok(event) => {
                    self.strict = false;
                    self.kept_aside(event, &error.to_string())
                }
                Err(error) => Read::Wrong(format!("no event in JSON, passed over: {error}")),
            },
        }
    }

    fn kept_aside(&self, event: ExportEvent, error: &str) -> Read {
        crate::cli::output::complain(&format!(
            "eyepiece: line {}: something newer than we know is left out: {error}",
            self.number
        ));
        Read::Event(Box::new(event))
    }
}
