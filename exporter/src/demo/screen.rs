//! What the demo writes: an introduction, a line for each flow, tables, and what to do next, in 100 columns.

use std::io::{self, IsTerminal as _, Write};

use eyepiece_semconv::{attribute, metric};

use super::arrived::{Flow, Series};
use crate::flow::Verdict;

/// Colours by their use (ECMA-48 select graphic rendition).
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Cyan,
}

/// Where it is written, and whether with colours.
pub(super) struct Screen<W> {
    out: W,
    colours: bool,
}

impl Screen<io::Stdout> {
    /// Standard output: with colours where it is a terminal and `NO_COLOR` is not set.
    pub(super) fn stdout() -> Self {
        let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { out: io::stdout(), colours: io::stdout().is_terminal() && !asked_not_to }
    }
}

impl<W: Write> Screen<W> {
    /// What this is.
    pub(super) fn introduction(&mut self, seconds: u64) -> io::Result<()> {
        let title = self.paint(Style::Bold, "eyepiece demo");
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

    /// A step of the preparation that begins.
    pub(super) fn step(&mut self, text: &str) -> io::Result<()> {
        let mark = self.paint(Style::Dim, "·");
        writeln!(self.out, "{mark} {text}")?;
        self.out.flush()
    }

    /// What eyepiece's own log complains of.
    pub(super) fn complaints(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            let line = self.paint(Style::Red, &line.replace(char::is_control, "?"));
            writeln!(self.out, "! {line}")?;
        }
        self.out.flush()
    }

    /// A heading: what the hosts do now.
    pub(super) fn act(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(Style::Cyan, &format!("▸ {text}"));
        writeln!(self.out, "\n{text}")?;
        self.out.flush()
    }

    /// The line of a flow; of a drop, where it was in a second one.
    pub(super) fn flow(&mut self, flow: &Flow) -> io::Result<()> {
        let is_drop = flow.verdict == Verdict::Dropped.name();
        let (style, arrow) = if is_drop { (Style::Red, "✗") } else { (Style::Green, "→") };
        let time = self.paint(Style::Dim, &clock(flow.time));
        let verdict = self.paint(style, &format!("{} {}", flow.verdict, flow.point));
        writeln!(self.out, "{time} {} {verdict}", ends(flow, arrow))?;
        if !flow.dropped_in.is_empty() {
            let place = self.paint(style, &format!("in the kernel's {}", flow.dropped_in));
            writeln!(self.out, "{:12}└─ {place}", "")?;
        }
        Ok(())
    }

    /// The metrics.
    pub(super) fn tables(&mut self, series: &Series, records: usize) -> io::Result<()> {
        let title = self.paint(Style::Bold, "Metrics that arrived");
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
            let reason = self.paint(Style::Red, &format!("{reason:<24}"));
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
        let name = self.paint(Style::Bold, metric.name);
        let about = self.paint(Style::Dim, about);
        writeln!(self.out, "\n{name}  {about}")
    }

    /// How to go on.
    pub(super) fn farewell(&mut self) -> io::Result<()> {
        let title = self.paint(Style::Bold, "Your own machine, your own collector:");
        writeln!(
            self.out,
            "\n{title}\n  \
             eyepiece run --protocol stdout                  flows and metrics in the terminal, nothing is sent\n  \
             eyepiece run --endpoint http://collector:4317   OTLP over gRPC\n  \
             eyepiece run --endpoint http://collector:4318 --protocol http/protobuf\n  \
             eyepiece config reference                       every setting, with its default and meaning\n\
             \n\
             Nothing of the demo stays on this machine."
        )?;
        self.out.flush()
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Red => 31,
            Style::Green => 32,
            Style::Cyan => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Columns for source, destination and what it is, so that a line fits into 100.
const ENDS: usize = 60;
/// Columns for one end: a name, an IPv6 address and a port.
const END: usize = 22;
/// Columns for what it is: `TCP SYN ACK`; `ICMPv6 EchoRequest`, whose ends have no ports.
const SHORT: usize = ENDS - 2 * END - 4;
const LONG: usize = 18;

/// Source, destination and what it is; a long word takes its columns from ends that need less.
fn ends(flow: &Flow, arrow: &str) -> String {
    let length = flow.what.len();
    let what = if length <= SHORT { SHORT } else { length.max(LONG) };
    let free = ENDS.saturating_sub(what + 4);
    let destination = flow.destination.len().max(free.saturating_sub(END));
    let source = END.min(free.saturating_sub(destination));
    format!("{:<source$} {arrow} {:<destination$} {:<what$}", flow.source, flow.destination, flow.what)
}

fn pair(source: &str, destination: &str) -> String {
    format!("{source} → {destination}")
}

/// The time of day in UTC, in hundredths of a second.
fn clock(ns: u64) -> String {
    let (seconds, hundredths) = (ns / 1_000_000_000, ns / 10_000_000 % 100);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{hundredths:02}")
}

#[cfg(test)]
mod tests {
    use super::{Flow, Screen, Series, clock};

    fn flow(source: &str, destination: &str, what: &str) -> Flow {
        let words = ["FORWARDED", "from-endpoint"].map(str::to_owned);
        let [verdict, point] = words;
        let (source, destination, what) = (source.to_owned(), destination.to_owned(), what.to_owned());
        Flow { time: 0, source, destination, what, verdict, point, dropped_in: String::new() }
    }

    #[test]
    fn lines_have_their_columns_and_fit() {
        for (source, destination, what) in [
            ("client 10.0.1.2:1", "web 10.0.2.2:80", "TCP SYN"),
            ("client [fd01::2]:40000", "client [fd02::2]:40000", "TCP PSH ACK"),
            ("client fd01::2", "web fd02::2", "ICMPv6 EchoRequest"),
            ("client", "web", "UDP"),
        ] {
            let mut screen = Screen { out: Vec::new(), colours: false };
            screen.flow(&flow(source, destination, what)).expect("memory");
            let line = String::from_utf8(screen.out).expect("UTF-8");
            assert!(line.starts_with(&format!("00:00:00.00 {source}")), "{line}");
            assert!(line.contains(&format!("→ {destination}")) && line.contains(&format!(" {what} ")), "{line}");
            assert_eq!(line.chars().position(|c| c == 'F'), Some(73), "{line}");
            assert!(line.trim_end().chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn a_drop_is_red_and_says_where() {
        let drop = Flow {
            verdict: "DROPPED".to_owned(),
            point: "NO_SOCKET".to_owned(),
            dropped_in: "udp_rcv".to_owned(),
            ..flow("a", "b", "UDP")
        };
        for (colours, verdict) in [(true, "\u{1b}[31mDROPPED NO_SOCKET\u{1b}[0m\n"), (false, " DROPPED NO_SOCKET\n")] {
            let mut screen = Screen { out: Vec::new(), colours };
            screen.flow(&drop).expect("memory");
            screen.tables(&Series::default(), 0).expect("memory");
            let text = String::from_utf8(screen.out).expect("UTF-8");
            assert!(text.contains(verdict) && text.contains("in the kernel's udp_rcv"), "{text}");
            assert_eq!(text.contains('\u{1b}'), colours);
        }
    }

    #[test]
    fn times_of_day() {
        for (seconds, expected) in [(0, "00:00:00.12"), (86_399, "23:59:59.12"), (90_061, "01:01:01.12")] {
            assert_eq!(clock(seconds * 1_000_000_000 + 129_999_999), expected);
        }
    }
}
