//! Scripted traffic between hosts of the lab: each piece returns what it sent and what arrived.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

use crate::lab::{Family, Host};
use crate::packet_socket::{PacketSocket, send_datagrams};
use crate::{Count, eventually};

mod echo;
mod mixed;
mod script;

pub use echo::{Echo, echo};
pub use mixed::{Mixed, Sent, connections, mixed};
pub use script::{Script, script};

/// Packets a second by default: a machine of two cores keeps up in a debug build.
pub const RATE: u64 = 50_000;

/// A stream of datagrams; [`udp`] begins.
#[derive(Debug)]
pub struct Udp<'a> {
    from: &'a Host,
    to: &'a Host,
    family: Family,
    packets: u64,
    payload: usize,
    port: u16,
    flows: usize,
    rate: u64,
}

/// The fate of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpReport {
    /// Sent, bytes with Ethernet, IP and UDP headers.
    pub sent: Count,
    /// Read by the receiving socket, the same bytes counted.
    pub received: Count,
}

/// Datagrams from one host to another: 100 of 64 bytes over IPv4 to port 9000, received by a socket there.
pub const fn udp<'a>(from: &'a Host, to: &'a Host) -> Udp<'a> {
    Udp { from, to, family: Family::V4, packets: 100, payload: 64, port: 9000, flows: 1, rate: RATE }
}

impl Udp<'_> {
    /// IP version.
    pub const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Sets the number of datagrams.
    pub const fn packets(mut self, packets: u64) -> Self {
        self.packets = packets;
        self
    }

    /// Bytes in each.
    pub const fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes;
        self
    }

    /// Destination port.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Source ports, which take turns by blocks.
    pub const fn flows(mut self, flows: usize) -> Self {
        self.flows = flows;
        self
    }

    /// Packets a second; 0: as fast as it goes.
    pub const fn rate(mut self, rate: u64) -> Self {
        self.rate = rate;
        self
    }

    /// Sends to a socket that reads them all, and waits until they are there or no more come.
    pub fn run(self) -> Result<UdpReport> {
        let sink = UdpSink::open(self.to, SocketAddr::new(self.to.address(self.family), self.port))?;
        let sent = self.send()?;
        sink.wait_for(sent.packets);
        let packets = sink.received();
        let overhead = sent.bytes.checked_div(sent.packets).unwrap_or(0);
        Ok(UdpReport { sent, received: Count { packets, bytes: packets * overhead } })
    }

    /// Sends, without a listener.
    pub fn send(self) -> Result<Count> {
        let target = SocketAddr::new(self.to.address(self.family), self.port);
        let payload = vec![0x75; self.payload];
        let mut left = self.packets;
        for flow in 0..self.flows {
            let share = left / (self.flows - flow) as u64;
            left -= share;
            let socket = self.from.namespace.run(|| connected(self.from.address(self.family), target))?;
            let datagrams = std::iter::repeat_n(payload.as_slice(), usize::try_from(share)?);
            send_datagrams(&socket, datagrams, self.rate)?;
        }
        let headers = 14 + 8 + if self.family == Family::V4 { 20 } else { 40 };
        Ok(Count { packets: self.packets, bytes: self.packets * (self.payload as u64 + headers) })
    }
}

fn connected(from: IpAddr, target: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
    socket.connect(target).with_context(|| format!("connect to {target}"))?;
    Ok(socket)
}

/// A UDP socket with a big buffer and a thread that counts what it reads.
#[derive(Debug)]
pub struct UdpSink {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl UdpSink {
    /// Receives at an address of a host.
    pub fn open(host: &Host, address: SocketAddr) -> Result<Self> {
        let socket = host.namespace.run(|| UdpSocket::bind(address)).with_context(|| format!("bind {address}"))?;
        receive_buffer(&socket, 32 << 20)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&received), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while !stopped.load(Ordering::Relaxed) {
                if socket.recv(&mut buffer).is_ok() {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { received, stop, thread: Some(thread) })
    }

    /// Datagrams read so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until so many were read, or none has come for a second.
    pub fn wait_for(&self, packets: u64) {
        let mut before = self.received();
        while before < packets {
            let more = eventually(Duration::from_secs(1), "more", || (self.received() != before).then_some(()));
            if more.is_err() {
                return;
            }
            before = self.received();
        }
    }
}

impl Drop for UdpSink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("a UDP sink has panicked");
        }
    }
}

/// Sets a socket's receive buffer in bytes, beyond the machine's limit if needed.
pub(crate) fn receive_buffer(socket: &impl std::os::fd::AsRawFd, bytes: i32) -> Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
}

/// setsockopt with a value of plain data.
pub(crate) fn set_option<T: Copy>(socket: &impl std::os::fd::AsRawFd, level: i32, name: i32, value: &T) -> Result<()> {
    let length = u32::try_from(size_of::<T>())?;
    // SAFETY: the value outlives the call and has the length that is passed.
    Errno::result(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), length) })
        .with_context(|| format!("setsockopt {level} {name}"))?;
    Ok(())
}

/// The way a client ends its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// FIN from both sides.
    Fin,
    /// RST from the client.
    Rst,
}

/// TCP transfers; [`tcp`] begins.
#[derive(Debug)]
pub struct Tcp<'a> {
    from: &'a Host,
    to: &'a Host,
    family: Family,
    connections: u64,
    bytes: u64,
    answer: u64,
    write: usize,
    port: u16,
    close: Close,
}

/// The segments and bytes of TCP transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpReport {
    /// Connections that were opened, used and closed.
    pub connections: u64,
    /// Payload bytes from client to server, all connections.
    pub sent: u64,
    /// Payload bytes from server to client.
    pub answered: u64,
}

/// TCP from a client on one host to a server on another: one connection over IPv4 to port 8000, 1000 bytes, one back.
///
/// The stacks decide the number of segments (delayed acknowledgements): count them with a capture.
pub const fn tcp<'a>(from: &'a Host, to: &'a Host) -> Tcp<'a> {
    let (bytes, answer, write) = (1000, 1, 16384);
    Tcp { from, to, family: Family::V4, connections: 1, bytes, answer, write, port: 8000, close: Close::Fin }
}

impl Tcp<'_> {
    /// IP version.
    pub const fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Connections, one after the other.
    pub const fn connections(mut self, connections: u64) -> Self {
        self.connections = connections;
        self
    }

    /// Bytes from client to server in each connection.
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Bytes back in each connection, once the request is complete; at least one, which ends the client's wait.
    pub const fn answer(mut self, bytes: u64) -> Self {
        self.answer = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// Bytes per write, sent without delay: up to the segment size, and acknowledged in between, a write is a segment.
    pub const fn write(mut self, bytes: usize) -> Self {
        self.write = bytes;
        self
    }

    /// Server port.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the way the client ends its connections.
    pub const fn close(mut self, close: Close) -> Self {
        self.close = close;
        self
    }

    /// Runs it; an error when anything arrives short.
    pub fn run(self) -> Result<TcpReport> {
        let address = SocketAddr::new(self.to.address(self.family), self.port);
        let listener =
            self.to.namespace.run(|| TcpListener::bind(address)).with_context(|| format!("bind {address}"))?;
        std::thread::scope(|scope| {
            let server = scope.spawn(|| (0..self.connections).try_for_each(|_| self.serve(&listener)));
            let client = (0..self.connections).try_for_each(|_| self.call(address));
            let served = server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            client.context("client")?;
            served.context("server")
        })?;
        let (connections, total) = (self.connections, self.connections * self.bytes);
        Ok(TcpReport { connections, sent: total, answered: connections * self.answer })
    }

    fn serve(&self, listener: &TcpListener) -> Result<()> {
        // A client that fails before it connects would leave the server waiting for ever.
        set_option(listener, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &TIMEOUT)?;
        let (mut stream, _) = listener.accept()?;
        set_option(&stream, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &TIMEOUT)?;
        read_exactly(&mut stream, self.bytes)?;
        write_pieces(&mut stream, self.answer, self.write)?;
        match (stream.read(&mut [0; 1]), self.close) {
            (Ok(0), Close::Fin) => Ok(()),
            (Err(error), Close::Rst) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
            (end, close) => anyhow::bail!("{end:?} instead of {close:?}"),
        }
    }

    fn call(&self, address: SocketAddr) -> Result<()> {
        let mut stream = self.from.namespace.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        set_option(&stream, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &TIMEOUT)?;
        write_pieces(&mut stream, self.bytes, self.write)?;
        read_exactly(&mut stream, self.answer)?;
        if self.close == Close::Rst {
            return set_option(&stream, libc::SOL_SOCKET, libc::SO_LINGER, &libc::linger { l_onoff: 1, l_linger: 0 });
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        ensure!(stream.read(&mut [0; 1])? == 0, "more than the answer");
        Ok(())
    }
}

/// Timeout of the lab's sockets.
const TIMEOUT: libc::timeval = libc::timeval { tv_sec: 20, tv_usec: 0 };

fn read_exactly(stream: &mut TcpStream, mut bytes: u64) -> Result<()> {
    let mut buffer = [0; 65536];
    while bytes > 0 {
        let wanted = buffer.len().min(usize::try_from(bytes)?);
        let read = stream.read(&mut buffer[..wanted])?;
        ensure!(read > 0, "{bytes} bytes are missing");
        bytes -= read as u64;
    }
    Ok(())
}

fn write_pieces(stream: &mut TcpStream, mut bytes: u64, piece: usize) -> Result<()> {
    let payload = vec![0x74; piece];
    while bytes > 0 {
        let length = piece.min(usize::try_from(bytes)?);
        stream.write_all(&payload[..length])?;
        bytes -= length as u64;
    }
    Ok(())
}

/// Opens a socket for frames on a host's interface.
pub fn frames(host: &Host) -> Result<PacketSocket> {
    PacketSocket::open(&host.namespace, &host.device)
}
