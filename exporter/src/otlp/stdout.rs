//! Prints flows and events as readable lines instead of sending them.

use std::io::{self, Write};
use std::sync::Arc;

use eyepiece_semconv::attribute;
use tokio::time::Instant;
use tracing::info;

use super::config::Signal;
use super::delivery::Counters;
use super::event_line;
use super::line::{self, Reader, Words};
use super::queue::{self, Item, LogSink, Queue};
use super::wanted::Wanted;
use crate::names::Names;
use crate::observed::Observed;
use crate::parser::time::date;
use crate::stop::{self, Stop};
use crate::symbols::Symbols;
use crate::telemetry::Telemetry;

/// Text that is written at once: a pipe's capacity.
const CHUNK: usize = 64 * 1024;

/// The task that prints; see [`build`].
pub struct Printer<W> {
    queue: Queue,
    reader: Reader,
    words: Words,
    out: W,
    text: String,
    /// Records in `text`.
    pending: u64,
    counters: Counters,
}

/// A sink for flows, and the task behind it. Its writing blocks while the reader of a pipe does: run it on a thread
/// of its own ([`spawn_thread`](super::logs::spawn_thread)); what finds no room in the queue meanwhile is counted.
pub fn build<W: Write>(
    capacity: usize,
    wanted: Wanted,
    symbols: Symbols,
    names: Arc<dyn Names>,
    out: W,
    telemetry: &Telemetry,
) -> (LogSink, Printer<W>) {
    let counters = Counters::new(telemetry, Signal::Logs);
    let (sink, queue) = queue::channel(capacity, capacity, wanted, counters.clone());
    let (words, text) = (Words::default(), String::with_capacity(CHUNK + 1024));
    (sink, Printer { queue, reader: Reader::new(symbols, names), words, out, text, pending: 0, counters })
}

impl<W: Write> Printer<W> {
    /// Prints until told to stop (then what is left, until the deadline), until all sinks are gone, or until nobody
    /// reads any more: a closed pipe is an end, not an error.
    ///
    /// # Errors
    /// Writing failed in another way.
    pub async fn run(mut self, mut stop: Stop) -> io::Result<()> {
        match self.print(&mut stop).await {
            Err(error) => {
                self.queue.set_broken();
                self.counters.closed.add(self.pending);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    return Err(error);
                }
                info!({ attribute::EYEPIECE_SIGNAL } = "logs", "standard output was closed: no more flows are printed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn print(&mut self, stop: &mut Stop) -> io::Result<()> {
        loop {
            let item = tokio::select! {
                _ = stop::requested(stop) => None,
                item = self.queue.next() => item,
            };
            let Some(item) = item else { break };
            self.item(&item)?;
            while stop.borrow().is_none()
                && let Some(item) = self.queue.try_next()
            {
                self.item(&item)?;
            }
            self.flush()?;
            self.reader.refresh();
        }
        self.queue.close();
        let deadline = *stop.borrow();
        while deadline.is_none_or(|deadline| Instant::now() < deadline)
            && let Some(item) = self.queue.try_next()
        {
            self.item(&item)?;
        }
        self.flush()
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        for (index, observed) in item.observed().enumerate() {
            time(observed.time(), &mut self.text);
            self.text.push_str(": ");
            let start = self.text.len();
            match observed {
                Observed::Flow(flow) => {
                    self.reader.read(flow, &mut self.words);
                    line::write(flow, &self.words, &mut self.text);
                }
                other => event_line::write(other, &mut self.reader, &mut self.text),
            }
            // A name with a control character must not command a terminal.
            if self.text[start..].contains(char::is_control) {
                let clean = self.text[start..].replace(char::is_control, "?");
                self.text.replace_range(start.., &clean);
            }
            self.text.push('\n');
            self.pending += 1;
            if self.text.len() >= CHUNK
                && let Err(error) = self.flush()
            {
                // The rest of this item is in no queue any more.
                self.pending += (item.len() - index - 1) as u64;
                return Err(error);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending > 0 {
            self.out.write_all(self.text.as_bytes())?;
            self.out.flush()?;
            self.text.clear();
            self.counters.delivered.add(std::mem::take(&mut self.pending));
        }
        Ok(())
    }
}

/// Appends ns since the Unix epoch as in RFC 3339, in UTC with milliseconds.
fn time(ns: u64, out: &mut String) {
    let (seconds, milliseconds) = (ns / 1_000_000_000, ns / 1_000_000 % 1000);
    let (year, month, day) = date((seconds / 86_400).cast_signed());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let text = format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z");
    // Writing to a String can't fail.
    std::fmt::Write::write_fmt(out, text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Counters, Wanted, build, time};
    use crate::flow::{EventType, Flow, Verdict};
    use crate::names::NoNames;
    use crate::observed::Observed;
    use crate::otlp::config::Signal;
    use crate::stop;
    use crate::symbols::Symbols;
    use crate::telemetry::Telemetry;

    #[test]
    fn times() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_795_305_600, "2026-11-22T00:00:00.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let mut out = String::new();
            time(seconds * 1_000_000_000 + 7_999_999, &mut out);
            assert_eq!(out, expected);
        }
    }

    /// Takes `room` bytes, then is closed.
    #[derive(Clone)]
    struct Pipe {
        text: Arc<Mutex<Vec<u8>>>,
        room: usize,
        kind: io::ErrorKind,
    }

    impl io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut text = self.text.lock().unwrap();
            if text.len() + bytes.len() > self.room {
                return Err(self.kind.into());
            }
            text.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn print(room: usize, kind: io::ErrorKind, batches: &[usize]) -> (io::Result<()>, String, Counters) {
        let telemetry = Telemetry::default();
        let pipe = Pipe { text: Arc::default(), room, kind };
        let symbols = Symbols::default();
        let mut flow = Flow::empty(EventType { kind: 1, subtype: 133 });
        flow.drop_reason = 133;
        flow.verdict = Verdict::Dropped;
        flow.source.name = symbols.intern("a\u{1b}[31m");
        let (sink, printer) = build(100_000, Wanted::default(), symbols, Arc::new(NoNames), pipe.clone(), &telemetry);
        let (_sender, receiver) = stop::channel();
        for &records in batches {
            sink.try_send(Arc::new(vec![Observed::Flow(flow.clone()); records]));
        }
        drop(sink);
        let result = printer.run(receiver).await;
        let text = String::from_utf8(pipe.text.lock().unwrap().clone()).unwrap();
        (result, text, Counters::new(&telemetry, Signal::Logs))
    }

    #[tokio::test]
    async fn prints_every_flow_in_a_line() {
        let (result, text, counters) = print(usize::MAX, io::ErrorKind::Other, &[1, 2, 3000]).await;
        result.unwrap();
        assert_eq!(text.lines().count(), 3003);
        assert_eq!(text.lines().next(), Some("1970-01-01T00:00:00.000Z: POLICY_DENIED DROPPED"));
        assert!(!text.contains('\u{1b}'));
        assert_eq!(counters.delivered.get(), 3003);
    }

    #[tokio::test]
    async fn a_closed_pipe_ends_it_and_every_flow_is_counted() {
        for room in [0, 70_000, 150_000] {
            let (result, text, counters) = print(room, io::ErrorKind::BrokenPipe, &[1, 5000, 10]).await;
            result.unwrap();
            assert_eq!(text.lines().count() as u64, counters.delivered.get());
            assert_eq!(counters.delivered.get() + counters.closed.get(), 5011, "{room}");
            assert!(counters.closed.get() > 0);
        }
        let (result, ..) = print(0, io::ErrorKind::StorageFull, &[1]).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn what_is_left_at_the_deadline_is_counted() {
        let telemetry = Telemetry::default();
        let (sink, printer) =
            build(10, Wanted::default(), Symbols::default(), Arc::new(NoNames), io::sink(), &telemetry);
        let (sender, receiver) = stop::channel();
        sink.try_send(Arc::new(vec![Observed::Flow(Flow::empty(EventType::default())); 7]));
        sender.send_replace(Some(Instant::now() - Duration::from_secs(1)));
        printer.run(receiver).await.unwrap();
        let counters = Counters::new(&telemetry, Signal::Logs);
        assert_eq!(counters.delivered.get() + counters.shutdown.get(), 7);
    }
}
