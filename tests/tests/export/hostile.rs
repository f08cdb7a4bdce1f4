//! The Prometheus endpoint of the product under hostile clients: another scraper gets its pages, all events of the traffic
//! are counted, and descriptors and memory are bounded.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece::support::server_runtime::raise_descriptors;
use eyepiece_tests::traffic::udp;
use eyepiece_tests::{Eyepiece, Lab, Uplink, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::receivers::within;

/// Timeout of every wait on a busy machine; passing tests never wait that long.
const TIMEOUT: Duration = Duration::from_secs(30);
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9965);
/// The address of the scraper that behaves.
const SCRAPER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Datagrams before the attack, and as many during it.
const PACKETS: u64 = 30_000;
const RATE_BEFORE: u64 = 20_000;
/// They take 12 s: longer than a connection may last.
const RATE: u64 = 2_500;
/// An event at each of both endpoints.
const EVENTS: u64 = 2 * 2 * PACKETS;

/// Between two samples or scrapes.
const POLL: Duration = Duration::from_millis(50);
/// Between two connections of one client. With the number of clients, and the time that a connection lasts, there are
/// 400 new ones a second: fewer than places become free between the connection and the request of the other scraper.
const PAUSE: Duration = Duration::from_secs(2);
/// Between the first connections of two clients.
const STAGGER: Duration = Duration::from_millis(2);
/// For longer than a connection may last.
const HOLD: Duration = Duration::from_secs(15);
/// Clients of one kind with the same address: an address has 16 connections.
const PER_ADDRESS: u16 = 8;
/// Bytes that a slow reader's socket takes.
const SMALL_BUFFER: u32 = 4096;
/// Bytes of the page at least: more than the sockets of a slow reader hold.
const PAGE: usize = 256 << 10;

/// Connections of the endpoint at most.
const CONNECTIONS: usize = 128;
/// Descriptors of connections that are just closed, and of our own questions.
const SLACK_DESCRIPTORS: usize = 16;
/// Memory of 128 connections and of the pages that they read, KiB.
const SLACK_KIB: u64 = 32 * 1024;

/// What clients send, and what they do then, again and again.
#[derive(Clone)]
struct Attack {
    clients: u16,
    request: Arc<[u8]>,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    /// Reads until the endpoint closes.
    Read,
    /// Reads nothing.
    Hold,
    /// Sends this until the endpoint closes.
    Repeat(&'static [u8]),
}

fn attacks() -> Vec<Attack> {
    let head = "GET /metrics HTTP/1.1\r\nHost: eyepiece\r\n";
    let chunked = "POST /metrics HTTP/1.1\r\nHost: eyepiece\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = format!("{head}\r\n");
    let attack = |clients, request: Vec<u8>, then| Attack { clients, request: request.into(), then };
    vec![
        // Half a request.
        attack(1000, head.into(), Then::Read),
        attack(32, whole.clone().into(), Then::Hold),
        // Requests that do not wait for answers.
        attack(8, whole.repeat(100).into(), Then::Read),
        // Garbage, and the begin of a TLS handshake.
        attack(8, (0..=u8::MAX).cycle().take(1 << 16).collect(), Then::Read),
        attack(8, vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], Then::Read),
        attack(8, format!("{head}X: {}\r\n\r\n", "x".repeat(1 << 20)).into(), Then::Read),
        // A head and a body that never end.
        attack(8, head.into(), Then::Repeat(b"X: y\r\n")),
        attack(8, chunked.into(), Then::Repeat(b"1\r\nx\r\n")),
    ]
}

async fn connect(from: Ipv4Addr, buffer: Option<u32>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(ADDRESS).await
}

async fn attack_once(from: Ipv4Addr, attack: &Attack) -> io::Result<()> {
    let mut stream = connect(from, Some(SMALL_BUFFER)).await?;
    stream.write_all(&attack.request).await?;
    match attack.then {
        Then::Read => stream.read_to_end(&mut Vec::new()).await.map(drop),
        Then::Hold => {
            sleep(HOLD).await;
            Ok(())
        }
        Then::Repeat(bytes) => loop {
            stream.write_all(bytes).await?;
            sleep(POLL).await;
        },
    }
}

/// Lets all clients attack until they are stopped.
async fn attack_until(stop: &AtomicBool) {
    let mut clients: JoinSet<()> = JoinSet::new();
    for (kind, attack) in (1..).zip(attacks()) {
        for number in 0..attack.clients {
            let octet = u8::try_from(number / PER_ADDRESS).expect("few addresses");
            let (from, attack) = (Ipv4Addr::new(127, 0, kind, 1 + octet), attack.clone());
            clients.spawn(async move {
                sleep(STAGGER * u32::from(number)).await;
                loop {
                    // The endpoint may close at any time.
                    drop(attack_once(from, &attack).await);
                    sleep(PAUSE).await;
                }
            });
        }
    }
    while !stop.load(Ordering::Relaxed) {
        sleep(POLL).await;
    }
}

/// Returns the flows of UDP on a page.
async fn scrape() -> Result<u64> {
    let get = async {
        let mut stream = connect(SCRAPER, None).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: eyepiece\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = timeout(TIMEOUT, get).await.context("no page in time")??;
    ensure!(answer.starts_with("HTTP/1.1 200 ") && answer.len() > PAGE, "{:?}", answer.get(..1000));
    let is_udp = |line: &&str| line.contains("type=\"Trace\"") && line.contains("protocol=\"UDP\"");
    let lines = answer.lines().filter(|line| line.starts_with("hubble_flows_processed_total{")).filter(is_udp);
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// Scrapes once more if the connection was closed: a place is taken from the oldest client that has not sent its request,
/// which this one is if the machine stalls.
async fn scrape_again() -> Result<u64> {
    for _ in 0..4 {
        if let Ok(count) = scrape().await {
            return Ok(count);
        }
        sleep(POLL).await;
    }
    scrape().await
}

async fn scrape_until(stop: &AtomicBool) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        counts.push(scrape_again().await?);
        sleep(POLL).await;
    }
    Ok(counts)
}

#[test]
fn hostile_clients_disturb_nothing() -> Result<()> {
    raise_descriptors();
    let lab = Lab::builder().uplink(Uplink::None).build()?;
    let node = lab.node().inside();
    // So that the endpoint's sockets do not take a whole page.
    node.sysctl("net.ipv4.tcp_wmem", "4096 4096 4096")?;
    let config = format!(
        "[otlp.metrics]\nenabled = false\n[otlp.logs]\nenabled = false\n[otlp.resource_attributes]\npadding = \"{}\"\n\
         [datapath]\naggregation = \"none\"\n[prometheus]\nlisten = \"{ADDRESS}\"\n",
        "x".repeat(PAGE)
    );
    let mut eyepiece = Eyepiece::start(&node, &config)?;
    let send = |rate| udp(lab.endpoint("a"), lab.endpoint("b")).packets(PACKETS).flows(100).rate(rate).run();
    send(RATE_BEFORE)?;
    within(&node, scrape_again())?;
    let before = (eyepiece.process.descriptors()?, eyepiece.process.rss_kib()?);
    let folder = format!("/proc/{}/fd", eyepiece.process.pid());
    let descriptors = || std::fs::read_dir(&folder).map_or(0, Iterator::count);

    let stop = AtomicBool::new(false);
    let (sent, counts, most) = std::thread::scope(|scope| {
        let attackers = scope.spawn(|| within(&node, attack_until(&stop)));
        let scraper = scope.spawn(|| within(&node, scrape_until(&stop)));
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(descriptors());
                std::thread::sleep(POLL);
            }
            most
        });
        let sent = send(RATE);
        stop.store(true, Ordering::Relaxed);
        attackers.join().expect("the attackers");
        (sent, scraper.join().expect("the scraper"), watcher.join().expect("the watcher"))
    });
    let (sent, counts) = (sent?, counts?);
    ensure!(sent.sent.packets == PACKETS, "{sent:?}");

    let different: BTreeSet<_> = counts.iter().collect();
    println!("{} scrapes of {} pages, at most {most} descriptors, {before:?} before", counts.len(), different.len());
    ensure!(counts.is_sorted() && different.len() > 1, "{counts:?}");
    ensure!(most <= before.0 + CONNECTIONS + SLACK_DESCRIPTORS, "{most} descriptors, {} before", before.0);
    let after = eyepiece.process.rss_kib()?;
    ensure!(after <= before.1 + SLACK_KIB, "{after} KiB, {} before", before.1);
    // What does not fit into the kernel's buffer on a stalled machine is counted as lost.
    let counted = || Ok(within(&node, scrape_again())? + eyepiece.number("eyepiece.events.lost", &[])?);
    let all_counted = || counted().is_ok_and(|count: u64| count == EVENTS).then_some(());
    eventually(TIMEOUT, "all events", all_counted)
        .with_context(|| format!("{:?}", counted().map_err(|error: anyhow::Error| error)))?;
    for reason in ["displaced", "timeout", "failed"] {
        let refused = eyepiece.number("eyepiece.prometheus.refused", &[("eyepiece.reason", reason)])?;
        println!("{refused} refused: {reason}");
        ensure!(refused > 0, "none refused: {reason}");
    }
    let all_closed = || (descriptors() <= before.0 + SLACK_DESCRIPTORS).then_some(());
    eventually(TIMEOUT, "closed descriptors", all_closed)?;
    ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    Ok(())
}
