//! Reads messages from a file in place of a server: lines of JSON, as `-o json` and Hubble's exporter write them.

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

use super::error::ObserveError;
use super::events::EventKind;
use super::print::Lines;
use super::request::Range;
use super::stream::Print;
use crate::cli::output;
use crate::support::thread_time::thread_cpu_time;

/// The longest line, in bytes; longer ones are skipped. Flows have some thousand bytes.
const MAX_LINE: usize = 16 << 20;
/// The most messages that `--last` holds back, as in Hubble's command line.
const MAX_LAST: u64 = 1_000_000;
/// Bytes of text in one write.
const CHUNK: usize = 64 << 10;

/// Selects messages of a file, beside their time.
pub(super) struct Selection {
    pub(super) kind: EventKind,
    /// The filters that flows must pass.
    pub(super) filters: Filters,
}

impl Selection {
    fn matches(&self, event: &ExportEvent) -> bool {
        match (self.kind, &event.response_types) {
            (EventKind::Flows, Some(ResponseTypes::Flow(_))) if self.filters.is_empty() => true,
            (EventKind::Flows, Some(ResponseTypes::Flow(flow))) => {
                let mut flow = flow.clone();
                // Lines of a flow log have them beside the flow.
                flow.time = flow.time.or(event.time);
                if flow.node_name.is_empty() {
                    flow.node_name.clone_from(&event.node_name);
                }
                let encoded = flow.encode_to_vec().into();
                let context = Context { node: &Node::default(), names: &NoLookup, clock: thread_cpu_time };
                self.filters.matches(&Observed::Flow(decode::flow(flow, encoded)), &context)
            }
            // No filter applies to losses and node states.
            (EventKind::Flows, Some(ResponseTypes::LostEvents(_) | ResponseTypes::NodeStatus(_)))
            | (EventKind::Agent, Some(ResponseTypes::AgentEvent(_)))
            | (EventKind::Debug, Some(ResponseTypes::DebugEvent(_))) => true,
            _ => false,
        }
    }
}

/// Reads a file, `-` for standard input, and prints the messages of the selection and the range.
pub(super) fn read(
    path: &Path,
    range: Range,
    selection: &Selection,
    silent: bool,
    printer: &mut impl Print<ExportEvent>,
) -> Result<(), ObserveError> {
    let failed = |source| ObserveError::Input { path: path.to_owned(), source };
    let mut reader = Reader::open(path).map_err(failed)?;
    let is_last = !range.first && range.number > 0 && range.number != u64::MAX;
    if is_last && range.number > MAX_LAST {
        return Err(ObserveError::Usage(format!("--last: from a file at most {MAX_LAST}")));
    }
    let mut lines = Lines::default();
    let mut last = VecDeque::new();
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
        if !is_within(event.time.as_ref(), &range) || !selection.matches(&event) {
            continue;
        }
        count += 1;
        if is_last {
            last.push_back(event);
            if last.len() as u64 > range.number {
                last.pop_front();
            }
        } else {
            printer.print(&event, &mut lines);
            // The reader of a pipe gets the lines so far.
            write_some(&mut lines, reader.from.buffer().is_empty(), silent)?;
        }
    }
    for event in last {
        printer.print(&event, &mut lines);
        write_some(&mut lines, false, silent)?;
    }
    printer.finish(&mut lines);
    write(&mut lines, silent)
}

/// Writes the lines if they are many, or if the next one is not there yet.
fn write_some(lines: &mut Lines, is_idle: bool, silent: bool) -> Result<(), ObserveError> {
    if is_idle || lines.out.len() >= CHUNK { write(lines, silent) } else { Ok(()) }
}

fn write(lines: &mut Lines, silent: bool) -> Result<(), ObserveError> {
    let mut out = io::stdout().lock();
    out.write_all(lines.out.as_bytes())?;
    out.flush()?;
    if !silent && !lines.err.is_empty() {
        output::print_error(lines.err.trim_end_matches('\n'));
    }
    *lines = Lines::default();
    Ok(())
}

fn is_within(time: Option<&Timestamp>, range: &Range) -> bool {
    let key = |time: &Timestamp| (time.seconds, time.nanos);
    // Without a time: 1970, the default of protobuf.
    let time = time.map(key).unwrap_or_default();
    range.since.as_ref().is_none_or(|since| key(since) <= time)
        && range.until.as_ref().is_none_or(|until| time <= key(until))
}

struct Reader {
    from: BufReader<Box<dyn io::Read>>,
    /// The number of the last line, from 1.
    number: u64,
    /// Whether unknown fields are reported; only the first one is.
    strict: bool,
    line: Vec<u8>,
}

enum Read {
    End,
    Event(Box<ExportEvent>),
    Wrong(String),
}

impl Reader {
    fn open(path: &Path) -> io::Result<Self> {
        let file: Box<dyn io::Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        Ok(Self { from: BufReader::with_capacity(CHUNK, file), number: 0, strict: true, line: Vec::new() })
    }

    fn next(&mut self) -> io::Result<Read> {
        loop {
            self.line.clear();
            self.number += 1;
            let length = self.from.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
            if length == 0 {
                return Ok(Read::End);
            }
            if length == MAX_LINE && self.line.last() != Some(&b'\n') {
                self.from.skip_until(b'\n')?;
                return Ok(Read::Wrong(format!("longer than {MAX_LINE} bytes, skipped")));
            }
            let Ok(text) = std::str::from_utf8(&self.line) else {
                return Ok(Read::Wrong("no UTF-8, skipped".to_owned()));
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
            Err(error) if !self.strict => Read::Wrong(format!("no event in JSON, skipped: {error}")),
            Err(error) => match json::read(text, false) {
                // Of a newer server: reported once, and printed without the unknown field.
                Ok(event) => {
                    self.strict = false;
                    let number = self.number;
                    output::print_error(&format!("eyepiece: line {number}: an unknown field is left out: {error}"));
                    Read::Event(Box::new(event))
                }
                Err(error) => Read::Wrong(format!("no event in JSON, skipped: {error}")),
            },
        }
    }
}
