//! Links between the node and the outside that are no veth for the node: a macvlan child, or a pair of tap devices.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};

use crate::namespace::Inside;

/// A macvlan child in the node whose lower device is a veth in a third namespace; the other end is outside.
///
/// The kernel carries everything: fast, offloads pass. The receiving side's byte counter leaves out a VLAN tag.
pub(crate) fn macvlan(wire: &Inside, node: &Inside, outside: &Inside, names: (&str, &str)) -> Result<()> {
    let (node_device, outside_device) = names;
    wire.ip_batch(&format!(
        "link add up0 type veth peer name {outside_device} netns {}\n\
         link set up0 up\n\
         link add link up0 name mv0 type macvlan mode passthru\n\
         link set mv0 netns {} name {node_device}\n",
        outside.name(),
        node.name()
    ))
}

/// Two tap devices and the thread that carries frames between them.
///
/// A frame is its bytes, tags included, for both counters; super-packets pass with their header when offloads are on.
#[derive(Debug)]
pub struct TapPair {
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// Room for a super-packet, its link layer and its virtio header.
const FRAME_ROOM: usize = 65536 + 64;

/// Frames carried in one direction before the other one gets its turn.
const TURN: usize = 64;

impl TapPair {
    /// Opens both devices in their namespaces and starts to carry.
    pub fn open(node: (&Inside, &str), outside: (&Inside, &str), offloads: bool) -> Result<Self> {
        let ends = [open_tap(node.0, node.1, offloads)?, open_tap(outside.0, outside.1, offloads)?];
        let (stop, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&lost));
        let thread = std::thread::Builder::new().name("taps".into()).spawn(move || carry(&ends, &stopped, &counter))?;
        Ok(Self { stop, lost, thread: Some(thread) })
    }

    /// Frames that could not be written to the other end (it was down).
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for TapPair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the thread between the taps has panicked");
        }
    }
}

fn carry(ends: &[File; 2], stop: &AtomicBool, lost: &AtomicU64) {
    let mut buffer = vec![0; FRAME_ROOM];
    while !stop.load(Ordering::Relaxed) {
        let mut polled =
            [0, 1].map(|end: usize| libc::pollfd { fd: ends[end].as_raw_fd(), events: libc::POLLIN, revents: 0 });
        // SAFETY: the array holds two pollfd of open files, as the length states.
        if unsafe { libc::poll(polled.as_mut_ptr(), 2, 20) } <= 0 {
            continue;
        }
        for (from, to) in [(0, 1), (1, 0)] {
            for _ in 0..TURN {
                let Ok(length) = (&ends[from]).read(&mut buffer) else { break };
                if (&ends[to]).write(&buffer[..length]).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

fn open_tap(namespace: &Inside, name: &str, offloads: bool) -> Result<File> {
    let open = || {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        attach(&file, name, offloads)?;
        anyhow::Ok(file)
    };
    namespace.run(open).with_context(|| format!("tap {name} in {}", namespace.name()))
}

fn attach(file: &File, name: &str, offloads: bool) -> Result<()> {
    // SAFETY: ifreq is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        bail!("{name} is too long for an interface");
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = i16::try_from(flags)?;
    let descriptor = file.as_fd().as_raw_fd();
    // SAFETY: TUNSETIFF reads and writes one ifreq, which lives on the stack.
    nix::errno::Errno::result(unsafe { libc::ioctl(descriptor, libc::TUNSETIFF, &mut request) })?;
    let features = if offloads { libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 } else { 0 };
    // SAFETY: TUNSETOFFLOAD takes its flags by value.
    nix::errno::Errno::result(unsafe { libc::ioctl(descriptor, libc::TUNSETOFFLOAD, libc::c_ulong::from(features)) })?;
    Ok(())
}
