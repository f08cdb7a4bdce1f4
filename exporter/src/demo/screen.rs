//! Writes the demo's output: an introduction, a line for each flow, tables, and next steps, in 100 columns.

use std::io::{self, Write};

use eyepiece_semconv::{attribute, metric};

use super::arrived::Series;
use crate::export::stdout::row::Row;
use crate::support::paint::{Color, Paint};

/// The output, and whether it has colours.
pub(super) struct Screen<W> {
    out: W,
    paint: Paint,
}

impl Screen<io::Stdout> {
    /// Standard output, with colours if it is a terminal and `NO_COLOR` is not set.
    pub(super) fn stdout() -> Self {
        Self { out: io::stdout(), paint: Paint::stdout() }
    }
}

impl<W: Write> Screen<W> {
    /// Writes the introduction.
    pub(super) fn introduction(&mut self, seconds: u64) -> io::Result<()> {
        let title = self.paint.text(Color::Bold, "eyepiece demo");
        writeln!(
            self.out,
            "{title}: three hosts in network namespaces of this machine, and what eyepiece sees of them.\n\
             \n  \
             client 10.0.1.2 ──┐\n  \
             web    10.0.2.2 ──┼── node: routes between them, and runs `eyepiece run`\n  \
             dns    10.0.3.2 ──┘       └── OTLP (gRPC) ──▶ a receiver in this demo, which writes what follows\n\
             \n\
             It takes {seconds} s; Ctrl-C ends it sooner. Nothing else on this machine is touched.\n"
        )
    }

    /// Writes that a step of the preparation begins.
    pub(super) fn step(&mut self, text: &str) -> io::Result<()> {
        let mark = self.paint.text(Color::Dim, "·");
        writeln!(self.out, "{mark} {text}")?;
        self.out.flush()
    }

    /// Writes warnings and errors of eyepiece's log.
    pub(super) fn warnings(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            let line = self.paint.text(Color::Red, line.replace(char::is_control, "?"));
            writeln!(self.out, "! {line}")?;
        }
        self.out.flush()
    }

    /// Writes a heading: the client's next step.
    pub(super) fn step_heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint.text(Color::Cyan, format!("▸ {text}"));
        writeln!(self.out, "\n{text}")?;
        self.out.flush()
    }

    /// Writes the line of a flow; for a drop, a second one with its function.
    pub(super) fn flow(&mut self, flow: &Row) -> io::Result<()> {
        let mut line = String::new();
        flow.write(self.paint, &mut line);
        self.out.write_all(line.as_bytes())
    }

    /// Writes the metrics.
    pub(super) fn tables(&mut self, series: &Series, records: usize) -> io::Result<()> {
        let title = self.paint.text(Color::Bold, "Metrics that arrived");
        let lost: u64 = series.by(metric::HUBBLE_LOST_EVENTS.name, []).values().sum();
        writeln!(self.out, "\n{title}: {} series, beside {records} log records; events lost: {lost}", series.len())?;
        let (from, to) = (attribute::HUBBLE_SOURCE_NAME, attribute::HUBBLE_DESTINATION_NAME);
        self.heading(metric::HUBBLE_FLOW_IO, "bytes from source to destination, each packet counted once")?;
        for ([source, destination], bytes) in series.by(metric::HUBBLE_FLOW_IO.name, [from, to]) {
            writeln!(self.out, "  {:<60} {bytes:>7} B", pair(&source, &destination))?;
        }
        self.heading(metric::HUBBLE_DROP, "what was dropped, by the kernel's reason")?;
        let names = [attribute::HUBBLE_DROP_REASON, attribute::HUBBLE_PROTOCOL, from, to];
        for ([reason, protocol, source, destination], count) in series.by(metric::HUBBLE_DROP.name, names) {
            let reason = self.paint.text(Color::Red, format!("{reason:<24}"));
            writeln!(self.out, "  {reason} {protocol:<8} {:<26} {count:>7}", pair(&source, &destination))?;
        }
        self.heading(metric::HUBBLE_TCP_FLAGS, "flows that carried a TCP flag; a packet is a flow at each end")?;
        for ([flag, source, destination], count) in
            series.by(metric::HUBBLE_TCP_FLAGS.name, [attribute::HUBBLE_TCP_FLAG, from, to])
        {
            writeln!(self.out, "  {flag:<24} {:8} {:<26} {count:>7}", "", pair(&source, &destination))?;
        }
        self.heading(metric::HUBBLE_FLOWS_PROCESSED, "flows that were seen")?;
        let names = [attribute::HUBBLE_VERDICT, attribute::HUBBLE_PROTOCOL, attribute::HUBBLE_EVENT_SUBTYPE];
        for ([verdict, protocol, subtype], count) in series.by(metric::HUBBLE_FLOWS_PROCESSED.name, names) {
            writeln!(self.out, "  {verdict:<24} {protocol:<8} {subtype:<26} {count:>7}")?;
        }
        Ok(())
    }

    fn heading(&mut self, metric: eyepiece_semconv::Metric, about: &str) -> io::Result<()> {
        let name = self.paint.text(Color::Bold, metric.name);
        let about = self.paint.text(Color::Dim, about);
        writeln!(self.out, "\n{name}  {about}")
    }

    /// Writes next steps.
    pub(super) fn next_steps(&mut self) -> io::Result<()> {
        let title = self.paint.text(Color::Bold, "Your own machine, your own collector:");
        writeln!(
            self.out,
            "\n{title}\n  \
             eyepiece run --protocol stdout                  flows in the terminal as here, nothing is sent\n  \
             eyepiece run --endpoint http://collector:4317   OTLP over gRPC\n  \
             eyepiece run --endpoint http://collector:4318 --protocol http/protobuf\n  \
             eyepiece config reference                       every setting, with its default and meaning\n\
             \n\
             Nothing of the demo stays on this machine."
        )?;
        self.out.flush()
    }
}

fn pair(source: &str, destination: &str) -> String {
    format!("{source} → {destination}")
}
