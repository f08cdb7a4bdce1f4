//! Interrupted streams of one node and of several.

use std::time::{Duration, Instant};

use super::{EVENTS, Offer, Offered, WINDOW, Window};

const SECOND: u64 = 1_000_000_000;
/// Some time in 2023.
const START: u64 = 1_700_000_000 * SECOND;

struct Stream {
    window: Window,
    now: Instant,
    /// The local clock, ns since the Unix epoch: ahead of all others unless a test sets it.
    clock: u64,
}

impl Stream {
    fn new() -> Self {
        Self { window: Window::default(), now: Instant::now(), clock: u64::MAX }
    }

    /// Offers an event of a node at this tenth of a second; both make its key.
    fn offer(&mut self, node: &str, tenths: u64) -> Offer {
        let key = u128::from(tenths) << 8 | u128::from(node.as_bytes().first().copied().unwrap_or(0));
        let event = Offered { node, time: START + tenths * SECOND / 10, key, is_timed: true };
        self.window.offer(&event, self.now)
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn resume(&mut self) {
        let since = self.window.since(self.clock);
        self.window.resumed(since, self.now);
    }

    /// In tenths of a second.
    fn since(&self) -> Option<u64> {
        self.window.since(self.clock).map(|time| (time - START) * 10 / SECOND)
    }
}

#[test]
fn resumed_stream_repeats_and_misses_nothing() {
    let mut stream = Stream::new();
    assert_eq!(stream.since(), None);
    for tenths in 1000..1200 {
        assert_eq!(stream.offer("a", tenths), Offer::New);
    }
    stream.wait(3600);
    assert_eq!(stream.since(), Some(1199 - 50));
    stream.resume();
    // The server begins with the oldest event that is not before: here with more than requested.
    let offers: Vec<_> = (1100..1300).map(|tenths| stream.offer("a", tenths)).collect();
    assert!(
        offers[..100].iter().all(|offer| *offer == Offer::Seen)
            && offers[100..].iter().all(|offer| *offer == Offer::New)
    );
}

#[test]
fn forgotten_events_count_as_seen() {
    let mut stream = Stream::new();
    for tenths in 0..200 {
        assert_eq!(stream.offer("a", tenths), Offer::New);
        stream.now += Duration::from_millis(100);
    }
    assert!(stream.window.order.len() <= 51 && stream.window.seen.len() == stream.window.order.len());
    stream.resume();
    assert!((0..200).all(|tenths| stream.offer("a", tenths) == Offer::Seen));
    assert_eq!(stream.offer("a", 200), Offer::New);
}

#[test]
fn late_event_is_new() {
    let mut stream = Stream::new();
    stream.offer("a", 100);
    stream.offer("a", 110);
    stream.wait(3600);
    stream.resume();
    let offers = [100, 109, 110, 111].map(|tenths| stream.offer("a", tenths));
    assert_eq!(offers, [Offer::Seen, Offer::New, Offer::Seen, Offer::New]);
}

#[test]
fn overrun_server_causes_one_gap() {
    let mut stream = Stream::new();
    stream.offer("a", 100);
    stream.resume();
    let offers = [500, 501, 502].map(|tenths| stream.offer("a", tenths));
    assert_eq!(offers, [Offer::NewBehindGap, Offer::New, Offer::New]);
    stream.resume();
    assert_eq!([502, 503].map(|tenths| stream.offer("a", tenths)), [Offer::Seen, Offer::New]);
}

#[test]
fn losses_prove_nothing_and_count_once() {
    let mut stream = Stream::new();
    stream.offer("a", 100);
    let mut loss = Offered { node: "a", time: START + 10 * SECOND, key: 1, is_timed: false };
    assert_eq!(stream.window.offer(&loss, stream.now), Offer::New);
    stream.resume();
    assert_eq!(stream.window.offer(&loss, stream.now), Offer::Seen);
    loss.key = 2;
    loss.time += 100 * SECOND;
    assert_eq!(stream.window.offer(&loss, stream.now), Offer::New);
    assert_eq!((stream.since(), stream.offer("a", 300)), (Some(50), Offer::NewBehindGap));
}

#[test]
fn nodes_are_compared_by_own_clocks() {
    let mut stream = Stream::new();
    // The clock of `b` is three minutes slow, `c` has been quiet for an hour.
    stream.offer("c", 0);
    stream.wait(3600);
    stream.offer("a", 36_000);
    stream.offer("b", 34_200);
    assert_eq!(stream.since(), Some(34_200 - 50));
    stream.resume();
    for (node, tenths, expected) in [
        ("b", 34_200, Offer::Seen),
        ("a", 36_000, Offer::Seen),
        ("b", 34_210, Offer::New),
        ("a", 36_010, Offer::New),
        // Its event of an hour ago was not requested; a new node has missed nothing.
        ("c", 36_010, Offer::New),
        ("d", 34_190, Offer::New),
    ] {
        assert_eq!(stream.offer(node, tenths), expected, "{node} {tenths}");
    }
}

#[test]
fn clocks_hours_apart_lose_no_node() {
    let mut stream = Stream::new();
    // `a` is right, `f` is an hour ahead, `s` an hour behind; so is `q`, which sends nothing more.
    let nodes = [("a", 40_000), ("f", 76_000), ("s", 4_000)];
    stream.offer("q", 4_000);
    for tenths in 0..9_000 {
        assert!(nodes.iter().all(|(node, start)| stream.offer(node, start + tenths) == Offer::New));
        stream.now += Duration::from_millis(100);
    }
    assert_eq!(stream.since(), Some(12_999 - 50));
    stream.resume();
    // The server sends events from that time on by each node's clock: of nodes ahead, all that it has.
    for (node, start) in nodes {
        for tenths in if node == "s" { 8_949..9_000 } else { 0..9_000 } {
            assert_eq!(stream.offer(node, start + tenths), Offer::Seen, "{node} {tenths}");
        }
        assert_eq!(stream.offer(node, start + 9_000), Offer::New, "{node}");
    }
    assert_eq!(stream.offer("q", 13_000), Offer::New);
    stream.resume();
    // Lost events of a node are detected, whatever its clock shows.
    for (node, start) in nodes {
        assert_eq!(stream.offer(node, start + 9_500), Offer::NewBehindGap, "{node}");
    }
}

#[test]
fn quiet_node_resumes_by_own_clock() {
    let mut stream = Stream::new();
    stream.offer("a", 40_000);
    stream.offer("s", 4_000);
    stream.wait(1200);
    stream.offer("a", 52_000);
    // By its own clock it is 20 minutes on, not where `a` is.
    assert_eq!(stream.since(), Some(16_000 - 50));
    stream.resume();
    assert_eq!(["a", "s"].map(|node| stream.offer(node, 52_000)), [Offer::Seen, Offer::New]);
}

#[test]
fn returned_node_is_resumed_alone() {
    let mut stream = Stream::new();
    for tenths in 0..100 {
        stream.offer("a", tenths);
        stream.offer("b", tenths);
    }
    stream.wait(60);
    stream.offer("a", 700);
    stream.window.node_changed("b", stream.now);
    // The relay requests the same time as at first: all events of the node.
    assert!((0..100).all(|tenths| stream.offer("b", tenths) == Offer::Seen));
    assert_eq!((stream.offer("b", 700), stream.offer("a", 701)), (Offer::New, Offer::New));
    stream.window.node_changed("a", stream.now);
    assert_eq!(stream.offer("a", 900), Offer::NewBehindGap);
    stream.window.node_changed("unknown", stream.now);
}

#[test]
fn clock_set_back_loses_nothing() {
    let mut stream = Stream::new();
    for tenths in 10_000..10_010 {
        stream.offer("a", tenths);
    }
    stream.wait(60);
    stream.offer("a", 10_600);
    assert!((0..700).all(|tenths| stream.offer("a", tenths) == Offer::New));
    assert_eq!(stream.since(), Some(649));
    stream.resume();
    assert_eq!((stream.offer("a", 699), stream.offer("a", 700)), (Offer::Seen, Offer::New));
}

#[test]
fn corrected_clock_is_a_gap() {
    let mut stream = Stream::new();
    for tenths in 40_000..40_200 {
        stream.offer("a", tenths);
        stream.now += Duration::from_millis(100);
    }
    // An hour ahead; now it is right, and so is ours.
    let tenths = 4_300;
    stream.clock = START + tenths * SECOND / 10;
    assert_eq!(stream.since(), Some(tenths - 50));
    stream.resume();
    // While events may be repeated, new ones cannot be distinguished.
    assert_eq!(stream.offer("a", tenths), Offer::Seen);
    stream.wait(60);
    let offers = [600, 601, 602].map(|later| stream.offer("a", tenths + later));
    assert_eq!(offers, [Offer::NewBehindGap, Offer::New, Offer::New]);
    assert_eq!(stream.since(), Some(tenths - 50));
    stream.clock = u64::MAX;
    assert_eq!(stream.since(), Some(tenths + 602 - 50));
}

#[test]
fn remembered_events_are_bounded() {
    let mut stream = Stream::new();
    let many = 3 * EVENTS as u64;
    assert!((0..many).all(|number| stream.offer("a", number) == Offer::New));
    assert_eq!((stream.window.order.len(), stream.window.seen.len()), (EVENTS, EVENTS));
    stream.resume();
    assert!((0..many).all(|number| stream.offer("a", number) == Offer::Seen));
    assert_eq!(stream.offer("a", many), Offer::New);
}

#[test]
fn nodes_are_bounded() {
    let mut stream = Stream::new();
    for number in 0..super::NODES + 100 {
        stream.now += Duration::from_millis(1);
        stream.offer(&format!("node-{number}"), 1000 + number as u64);
    }
    assert_eq!(stream.window.nodes.len(), super::NODES);
    assert!(!stream.window.nodes.contains_key("node-0"));
}

#[test]
fn events_without_time_match_by_key() {
    let mut stream = Stream::new();
    let event = Offered { node: "", time: 0, key: 7, is_timed: true };
    assert_eq!([(); 2].map(|()| stream.window.offer(&event, stream.now)), [Offer::New, Offer::Seen]);
    assert_eq!(stream.since(), None);
    stream.now += WINDOW * 2;
    assert_eq!(stream.window.offer(&event, stream.now), Offer::New);
}
