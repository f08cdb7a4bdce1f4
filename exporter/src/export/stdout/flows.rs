//! Prints flows and events to standard output, in columns.

use std::io::{self, Write};
use std::sync::Arc;

use eyepiece_config::{LogEvents, Signal};
use eyepiece_flow::lookup::NameLookup;
use eyepiece_flow::record::Observed;
use eyepiece_flow::rfc3339::civil;
use eyepiece_semconv::attribute;
use tokio::time::Instant;
use tracing::info;

use super::row::{self, Row};
use crate::export::otlp::counters::ExportCounters;
use crate::export::otlp::queue;
use crate::export::otlp::queue::{Item, LogSink, Queue, Record};
use crate::export::text::flow_line::{FlowTextLookup, FlowTexts};
use crate::export::text::{entity_line, event_line};
use crate::support::paint::{Color, Paint};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Bytes of one write: a pipe's capacity.
const CHUNK: usize = 64 * 1024;

/// Nanoseconds of a day.
const DAY: u64 = 86_400 * 1_000_000_000;

/// The printer's task; see [`build`].
pub struct Printer<W> {
    queue: Queue,
    lookup: FlowTextLookup,
    texts: FlowTexts,
    row: Row,
    /// Day of the last heading, in days since the Unix epoch.
    day: Option<u64>,
    paint: Paint,
    out: W,
    text: String,
    /// Records in `text`.
    pending: u64,
    counters: ExportCounters,
}

/// Builds a sink for flows and its task. The task blocks while the reader of a pipe is slow, so it needs a thread of its
/// own ([`spawn_thread`](crate::support::task_thread::spawn_thread)). Records that find no room in the queue meanwhile are
/// counted.
pub fn build<W: Write>(
    capacity: usize,
    kinds: LogEvents,
    names: Arc<dyn NameLookup>,
    (out, paint): (W, Paint),
    telemetry: &Telemetry,
) -> (LogSink, Printer<W>) {
    let counters = ExportCounters::new(telemetry, Signal::Logs);
    let (sink, queue) = queue::channel(capacity, capacity, kinds, counters.clone());
    let (texts, row, text) = (FlowTexts::default(), Row::default(), String::with_capacity(CHUNK + 1024));
    let lookup = FlowTextLookup::new(names);
    (sink, Printer { queue, lookup, texts, row, day: None, paint, out, text, pending: 0, counters })
}

impl<W: Write> Printer<W> {
    /// Prints until all sinks are dropped, until a stop (then until its deadline), or until the pipe is closed.
    ///
    /// # Errors
    /// Standard output cannot be written for another reason.
    pub async fn run(mut self, mut stop: Stop) -> io::Result<()> {
        match self.print(&mut stop).await {
            Err(error) => {
                self.queue.set_broken();
                self.counters.closed.add(self.pending);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    return Err(error);
                }
                info!({ attribute::EYEPIECE_SIGNAL } = "logs", "standard output was closed, no more flows are printed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn print(&mut self, stop: &mut Stop) -> io::Result<()> {
        loop {
            let item = tokio::select! {
                _ = shutdown::requested(stop) => None,
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
            self.lookup.refresh();
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
        self.lookup.enter(item.names());
        for (index, record) in item.entries().enumerate() {
            self.heading(record.time());
            if let Record::Observed(Observed::Flow(flow)) = record {
                self.lookup.read(flow, &mut self.texts);
                self.row.fill(flow, &self.texts);
                self.row.write(self.paint, &mut self.text);
            } else {
                self.event(record);
            }
            self.pending += 1;
            if self.text.len() >= CHUNK
                && let Err(error) = self.flush()
            {
                // The rest of this item is not in the queue any more.
                self.pending += (item.records() - index - 1) as u64;
                return Err(error);
            }
        }
        Ok(())
    }

    fn event(&mut self, record: Record<'_>) {
        row::clock(record.time(), self.paint, &mut self.text);
        self.text.push(' ');
        let start = self.text.len();
        match record {
            Record::Observed(observed) => event_line::write(observed, &mut self.lookup, &mut self.text),
            Record::Entity(event) => entity_line::write(event, &mut self.text),
        }
        row::clean(&mut self.text, start);
        self.text.push('\n');
    }

    /// Appends the date before the first line of each day: lines only have the time of day.
    fn heading(&mut self, time: u64) {
        let day = time / DAY;
        if self.day.replace(day) == Some(day) {
            return;
        }
        // A u64 of nanoseconds ends in the year 2554.
        let date = civil((day * DAY / 1_000_000_000).cast_signed(), 0).unwrap_or_default().date();
        self.text.push_str(&self.paint.text(Color::Dim, format_args!("{date} UTC")));
        self.text.push('\n');
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use eyepiece_flow::event::{Lost, LostSource};
    use eyepiece_flow::flow::{EventType, Flow, Verdict};
    use eyepiece_flow::interner::Symbols;
    use eyepiece_flow::lookup::{BatchNames, NoLookup};
    use eyepiece_flow::record::{Batch, Observed};
    use tokio::time::Instant;

    use super::{DAY, ExportCounters, LogEvents, Paint, build};
    use crate::metadata::{LinkTables, NameSnapshot};
    use crate::support::shutdown;
    use crate::support::telemetry::Telemetry;
    use eyepiece_config::Signal;

    /// Accepts `room` bytes, then is closed.
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

    async fn print(room: usize, kind: io::ErrorKind, batches: &[usize]) -> (io::Result<()>, String, ExportCounters) {
        let telemetry = Telemetry::default();
        let pipe = Pipe { text: Arc::default(), room, kind };
        let mut links = LinkTables::new(&Symbols::default());
        let mut flow = Flow::empty(EventType { kind: 1, subtype: 133 });
        flow.drop_reason = 133;
        flow.verdict = Verdict::Dropped;
        flow.source.name = links.intern("a\u{1b}[31m");
        let out = (pipe.clone(), Paint(false));
        let (sink, printer) = build(100_000, LogEvents::default(), Arc::new(NoLookup), out, &telemetry);
        let (_sender, receiver) = shutdown::channel();
        let names: Arc<dyn BatchNames> = Arc::new(NameSnapshot::from(links));
        for &records in batches {
            let flows = vec![Observed::Flow(flow.clone()); records];
            sink.try_send(Batch::with_names(flows, Arc::clone(&names)));
        }
        drop(sink);
        let result = printer.run(receiver).await;
        let text = String::from_utf8(pipe.text.lock().unwrap().clone()).unwrap();
        let text = text.strip_prefix("1970-01-01 UTC\n").unwrap_or_default().to_owned();
        (result, text, ExportCounters::new(&telemetry, Signal::Logs))
    }

    #[tokio::test]
    async fn every_flow_is_a_line() {
        let (result, text, counters) = print(usize::MAX, io::ErrorKind::Other, &[1, 2, 3000]).await;
        result.unwrap();
        assert_eq!(text.lines().count(), 3003);
        let expected = "00:00:00.00 a?[31m                 ✗                                     DROPPED POLICY_DENIED";
        assert_eq!(text.lines().next(), Some(expected));
        assert_eq!(counters.delivered.get(), 3003);
    }

    #[tokio::test]
    async fn each_day_has_its_heading() {
        let pipe = Pipe { text: Arc::default(), room: usize::MAX, kind: io::ErrorKind::Other };
        let out = (pipe.clone(), Paint(false));
        let telemetry = Telemetry::default();
        let (sink, printer) = build(10, LogEvents::default(), Arc::new(NoLookup), out, &telemetry);
        let day = DAY * 20_786;
        for time in [day, day + DAY - 1, day + DAY] {
            let lost = Lost { source: LostSource::KernelBuffer, cpu: Some(2), count: 7, time };
            sink.try_send(Batch::new(vec![Observed::Lost(lost)]));
        }
        drop(sink);
        printer.run(shutdown::channel().1).await.unwrap();
        let text = String::from_utf8(pipe.text.lock().unwrap().clone()).unwrap();
        let event = "EVENTS LOST: PERF_EVENT_RING_BUFFER 7 (CPU 2)";
        let expected =
            format!("2026-11-29 UTC\n00:00:00.00 {event}\n23:59:59.99 {event}\n2026-11-30 UTC\n00:00:00.00 {event}\n");
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn closed_pipe_counts_every_flow() {
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
    async fn rest_at_deadline_is_counted() {
        let telemetry = Telemetry::default();
        let (sink, printer) =
            build(10, LogEvents::default(), Arc::new(NoLookup), (io::sink(), Paint(false)), &telemetry);
        let (sender, receiver) = shutdown::channel();
        sink.try_send(Batch::new(vec![Observed::Flow(Flow::empty(EventType::default())); 7]));
        sender.send_replace(Some(Instant::now() - Duration::from_secs(1)));
        printer.run(receiver).await.unwrap();
        let counters = ExportCounters::new(&telemetry, Signal::Logs);
        assert_eq!(counters.delivered.get() + counters.shutdown.get(), 7);
    }
}
