//! Silent servers: those that are gone without a close, and those without events.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use eyepiece::source::hubble::Probing;

use super::scripted::{Reader, Server, TIMEOUT};

/// A network between a server and its clients.
struct Network {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Present connections carry nothing any more, and neither end is notified.
    is_parted: AtomicBool,
    /// Times that a client has sent something.
    sent: AtomicU64,
}

impl Network {
    /// The first connection is the one that a partition concerns.
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let carried = Arc::clone(&state);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let Ok(server) = TcpStream::connect(server) else { return };
                let ways = [(client.try_clone(), server.try_clone(), true), (Ok(server), Ok(client), false)];
                for (from, to, is_clients) in ways {
                    let (from, to) = (from.expect("a socket"), to.expect("a socket"));
                    let state = Arc::clone(&carried);
                    std::thread::spawn(move || carry(from, to, number == 0, is_clients, &state));
                }
            }
        });
        Self { address, state }
    }

    fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_first: bool, is_clients: bool, state: &State) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if is_first && state.is_parted.load(Ordering::SeqCst) {
            continue;
        }
        if is_clients {
            state.sent.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if !(is_first && state.is_parted.load(Ordering::SeqCst)) {
        // The other end may be gone first.
        to.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

fn probing(timeout: Duration) -> Probing {
    Probing { interval: Duration::from_millis(100), timeout }
}

#[test]
fn blackholed_connection_is_replaced() {
    let mut server = Server::start();
    let network = Network::to(server.address);
    let mut reader = Reader::start_probing(&network.address.to_string(), None, probing(Duration::from_secs(5)));
    let call = server.call();
    call.flows(0..10);
    reader.expect(0..10);
    network.state.is_parted.store(true, Ordering::SeqCst);
    call.flows([10]);
    reader.until("an interruption", |reader| reader.controls.view.get().interruptions > 0);
    assert_eq!(reader.number("eyepiece.source.interruptions", Some("no_answer")), 1);
    let call = server.call();
    assert_eq!(call.since(), Some(9 - 5));
    call.flows(0..12);
    reader.expect(10..12);
    assert_eq!((reader.gaps(), reader.controls.view.get().reason), (0, None));
}

#[test]
fn unanswered_first_call_is_counted() {
    // It takes connections, and reads nothing: as a process that was stopped.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut reader = Reader::start_probing(&address.to_string(), None, probing(Duration::from_millis(200)));
    reader.until("two interruptions", |reader| reader.controls.view.get().interruptions >= 2);
    let unanswered = reader.number("eyepiece.source.interruptions", Some("no_answer"));
    assert_eq!(unanswered, reader.number("eyepiece.source.interruptions", None));
    drop(listener);
}

#[test]
fn idle_server_is_probed_and_kept() {
    // The server implements neither health nor status.
    let mut server = Server::start();
    let network = Network::to(server.address);
    let mut reader = Reader::start_probing(&network.address.to_string(), None, probing(TIMEOUT));
    let call = server.call();
    call.flows([0]);
    reader.expect([0]);
    let before = network.sent();
    reader.until("calls while nothing comes", |_| network.sent() >= before + 10);
    call.flows([1]);
    reader.expect([1]);
    assert_eq!(reader.controls.view.get().interruptions, 0);
}

#[test]
fn slow_reader_keeps_connection() {
    const FLOWS: u64 = 100_000;
    let mut server = Server::start();
    // Without a reader nothing comes, and there may be no room for an answer.
    let mut reader = Reader::start_probing(&server.address.to_string(), None, probing(Duration::from_secs(3)));
    // Longer than a probe may wait for its answer.
    let sender = server.call().send_until_full(FLOWS, Duration::from_secs(5));
    reader.expect(0..FLOWS);
    assert_eq!(reader.controls.view.get().interruptions, 0);
    drop(sender.join().expect("it sends"));
}
