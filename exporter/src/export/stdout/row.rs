//! Formats a flow in columns for standard output and the demo: time, ends, protocol, verdict and observation point.

use std::fmt::Write as _;

use eyepiece_flow::flow::{Flow, L4, Layer, Verdict};
use eyepiece_flow::text;

use crate::export::text::flow_line;
use crate::export::text::flow_line::{FlowTexts, TCP_FLAGS};
use crate::support::paint::{Color, Paint};

/// Columns of source, destination and protocol, so that a line fits into 100.
const ENDS: usize = 60;
/// Columns of one end: a name, an IPv6 address and a port.
const END: usize = 22;
/// Columns of the protocol: `TCP SYN ACK`; longer for `ICMPv6 EchoRequest`, whose ends have no ports.
const SHORT: usize = ENDS - 2 * END - 4;
const LONG: usize = 18;

/// The texts of a flow's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// ns since the Unix epoch.
    pub time: u64,
    /// Name, address and port of the source.
    pub source: String,
    /// Name, address and port of the destination.
    pub destination: String,
    /// `TCP SYN`, `UDP`, `ICMPv4 EchoRequest`, `ARP: 10.0.0.1 asks for 10.0.0.2`.
    pub what: String,
    /// `FORWARDED`, `DROPPED`.
    pub verdict: String,
    /// Observation point, or reason of the drop.
    pub point: String,
    /// Whether this node observed the packet before, at another interface.
    pub observed_before: bool,
    /// Kernel function that dropped the packet. Empty for other flows, and if the kernel does not report it.
    pub dropped_in: String,
}

impl Row {
    /// Replaces the texts with those of a flow. Control characters are replaced, since they could control a terminal.
    pub fn fill(&mut self, flow: &Flow, texts: &FlowTexts) {
        self.time = flow.time;
        self.observed_before = texts.observed_before;
        let all = [&mut self.source, &mut self.destination, &mut self.what, &mut self.verdict, &mut self.point];
        all.into_iter().for_each(String::clear);
        let ports = flow.l4.ports().unzip();
        end(&texts.source_name, &texts.source, ports.0, &mut self.source);
        end(&texts.destination_name, &texts.destination, ports.1, &mut self.destination);
        if let (None, Some(ethernet)) = (&flow.ip, &flow.ethernet)
            && !matches!(flow.last_layer, Layer::Arp(_))
        {
            for (end, address) in [(&mut self.source, &ethernet.source), (&mut self.destination, &ethernet.destination)]
            {
                if end.is_empty() {
                    // A MAC address is ASCII.
                    end.push_str(str::from_utf8(&text::mac(address)).unwrap_or_default());
                }
            }
        }
        match flow.l4 {
            // Proxies and sockets have no TCP flags.
            L4::Tcp { flags, .. } if flow.l7.is_none() && flow.sock.is_none() => {
                self.what.push_str("TCP");
                for (_, name) in TCP_FLAGS.iter().filter(|(bit, _)| flags.has(*bit)) {
                    self.what.push(' ');
                    self.what.push_str(name);
                }
            }
            _ => self.what.push_str(&texts.summary),
        }
        self.verdict.push_str(flow.verdict.name());
        flow_line::write_point(flow, texts, &mut self.point);
        self.dropped_in.clear();
        // The function without the offset in it.
        self.dropped_in.push_str(texts.drop_location.split('+').next().unwrap_or_default());
        for text in [&mut self.source, &mut self.destination, &mut self.what, &mut self.point, &mut self.dropped_in] {
            clean(text, 0);
        }
    }

    /// Appends the line. A drop with a kernel function has a second one.
    pub fn write(&self, paint: Paint, out: &mut String) {
        let is_drop = self.verdict == Verdict::Dropped.name();
        let (color, arrow) = if is_drop { (Color::Red, "✗") } else { (Color::Green, "→") };
        let again = if self.observed_before { " again" } else { "" };
        clock(self.time, paint, out);
        out.push(' ');
        self.ends(arrow, out);
        let verdict = paint.text(color, format_args!("{} {}{again}", self.verdict, self.point));
        // Here and below: writing to a String cannot fail.
        let _ = writeln!(out, " {verdict}");
        if !self.dropped_in.is_empty() {
            let place = paint.text(color, format_args!("in the kernel's {}", self.dropped_in));
            let _ = writeln!(out, "{:12}└─ {place}", "");
        }
    }

    /// Appends source, destination and protocol. A long protocol takes unused columns of the ends.
    fn ends(&self, arrow: &str, out: &mut String) {
        let length = |text: &str| text.chars().count();
        let what = length(&self.what);
        let what = if what <= SHORT { SHORT } else { what.max(LONG) };
        let free = ENDS.saturating_sub(what + 4);
        let destination = length(&self.destination).max(free.saturating_sub(END));
        let source = END.min(free.saturating_sub(destination));
        let _ = write!(out, "{:<source$} {arrow} {:<destination$} {:<what$}", self.source, self.destination, self.what);
    }
}

/// Appends `name address:port`, without unknown parts.
pub fn end(name: &str, address: &str, port: Option<u16>, out: &mut String) {
    out.push_str(name);
    if !name.is_empty() && !address.is_empty() {
        out.push(' ');
    }
    let _ = match port.filter(|_| !address.is_empty()) {
        None => write!(out, "{address}"),
        Some(port) if address.contains(':') => write!(out, "[{address}]:{port}"),
        Some(port) => write!(out, "{address}:{port}"),
    };
}

/// Appends the time of day in UTC, in hundredths of a second, of ns since the Unix epoch.
pub fn clock(ns: u64, paint: Paint, out: &mut String) {
    let (seconds, hundredths) = (ns / 1_000_000_000, ns / 10_000_000 % 100);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    out.push_str(&paint.text(Color::Dim, format_args!("{hour:02}:{minute:02}:{second:02}.{hundredths:02}")));
}

/// Replaces control characters from `start` on: a name must not control a terminal.
pub fn clean(text: &mut String, start: usize) {
    if text[start..].contains(char::is_control) {
        let clean = text[start..].replace(char::is_control, "?");
        text.replace_range(start.., &clean);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::flow::{Arp, EVENT_TRACE, Ethernet, EventType, Flow, L4, Layer, TcpFlags, Verdict};
    use eyepiece_flow::interner::Symbols;
    use eyepiece_flow::lookup::{BatchNames, NameLookup};
    use eyepiece_tests::sample;
    use eyepiece_wire::{Hook, InterfaceKind};

    use super::{FlowTexts, Paint, Row, clock};
    use crate::export::text::flow_line::FlowTextLookup;
    use crate::metadata::{LinkTables, NameSnapshot};

    fn row(source: &str, destination: &str, what: &str) -> Row {
        let [source, destination, what] = [source, destination, what].map(str::to_owned);
        let [verdict, point] = ["FORWARDED", "from-endpoint"].map(str::to_owned);
        Row { source, destination, what, verdict, point, ..Row::default() }
    }

    fn text(row: &Row, colours: bool) -> String {
        let mut out = String::new();
        row.write(Paint(colours), &mut out);
        out
    }

    #[test]
    fn lines_fit_their_columns() {
        for (source, destination, what) in [
            ("client 10.0.1.2:1", "web 10.0.2.2:80", "TCP SYN"),
            ("client [fd01::2]:40000", "client [fd02::2]:40000", "TCP PSH ACK"),
            ("client fd01::2", "web fd02::2", "ICMPv6 EchoRequest"),
            ("client", "web", "UDP"),
            ("client", "", "ARP: 10.0.1.2 asks for 10.0.1.1"),
        ] {
            let line = text(&row(source, destination, what), false);
            assert!(line.starts_with(&format!("00:00:00.00 {source}")), "{line}");
            assert!(line.contains(&format!("→ {destination}")) && line.contains(&format!(" {what} ")), "{line}");
            assert_eq!(line.chars().position(|c| c == 'F'), Some(73), "{line}");
            assert!(line.trim_end().chars().count() <= 100, "{line}");
        }
        for point in ["to-endpoint", "to-network"] {
            let again = Row { observed_before: true, point: point.to_owned(), ..row("a", "b", "UDP") };
            let line = text(&again, false);
            assert!(line.ends_with(&format!(" FORWARDED {point} again\n")), "{line}");
            assert!(line.trim_end().chars().count() <= 100, "{line}");
        }
    }

    /// Interface 5 belongs to an endpoint.
    struct Machine;

    impl NameLookup for Machine {
        fn interface_kind(&self, ifindex: u32) -> InterfaceKind {
            if ifindex == 5 { InterfaceKind::Endpoint } else { InterfaceKind::Other }
        }
    }

    fn trace(change: impl FnOnce(&mut Flow)) -> String {
        let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 0 });
        (flow.verdict, flow.observation_point, flow.last_layer) = (Verdict::Forwarded, Some(0), Layer::Ethernet);
        flow.ethernet = Some(Ethernet { source: [2, 0, 0, 0, 0, 1], destination: [255; 6] });
        let mut links = LinkTables::new(&Symbols::default());
        flow.destination.name = links.intern("web\u{1b}");
        let names: Arc<dyn BatchNames> = Arc::new(NameSnapshot::from(links));
        change(&mut flow);
        let (mut texts, mut row) = (FlowTexts::default(), Row::default());
        let mut lookup = FlowTextLookup::new(Arc::new(Machine));
        lookup.enter(Some(&names));
        lookup.read(&flow, &mut texts);
        row.fill(&flow, &texts);
        text(&row, false).split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flow_fills_its_columns() {
        let ip = Some(sample::ip([10, 0, 0, 1], [10, 0, 0, 2]));
        let l4 = L4::Tcp { source_port: 5, destination_port: 80, flags: TcpFlags(TcpFlags::SYN | TcpFlags::ACK) };
        let traffic = |ingress_ifindex| sample::traffic(Hook::ToEndpoint, (8, ingress_ifindex), (1, 60));
        let tcp = |ingress| {
            trace(|flow| {
                (flow.ip, flow.l4, flow.last_layer, flow.traffic) = (ip, l4, Layer::L4, Some(traffic(ingress)));
            })
        };
        assert_eq!(tcp(0), "10.0.0.1:5 → web? 10.0.0.2:80 TCP SYN ACK FORWARDED to-endpoint");
        assert_eq!(tcp(5), "10.0.0.1:5 → web? 10.0.0.2:80 TCP SYN ACK FORWARDED to-endpoint again");
        assert_eq!(trace(|_| ()), "02:00:00:00:00:01 → web? Ethernet FORWARDED to-endpoint");
        let arp = Arp { operation: 1, sender: [10, 0, 0, 1].into(), target: [10, 0, 0, 2].into() };
        let arp = trace(|flow| flow.last_layer = Layer::Arp(arp));
        assert_eq!(arp, "→ web? ARP: 10.0.0.1 asks for 10.0.0.2 FORWARDED to-endpoint");
    }

    #[test]
    fn drop_is_red_with_function() {
        let [verdict, point, dropped_in] = ["DROPPED", "NO_SOCKET", "udp_rcv"].map(str::to_owned);
        let drop = Row { verdict, point, dropped_in, ..row("a", "b", "UDP") };
        for (colours, verdict) in [(true, "\u{1b}[31mDROPPED NO_SOCKET\u{1b}[0m\n"), (false, " DROPPED NO_SOCKET\n")] {
            let text = text(&drop, colours);
            assert!(text.contains(verdict) && text.contains("in the kernel's udp_rcv"), "{text}");
            assert_eq!(text.contains('\u{1b}'), colours);
        }
    }

    #[test]
    fn clock_shows_time_of_day() {
        for (seconds, expected) in [(0, "00:00:00.12"), (86_399, "23:59:59.12"), (90_061, "01:01:01.12")] {
            let mut out = String::new();
            clock(seconds * 1_000_000_000 + 129_999_999, Paint(false), &mut out);
            assert_eq!(out, expected);
        }
    }
}
