//! 500 endpoints that appear and leave: what stays behind, and how soon the watcher reports each.

use std::time::{Duration, Instant};

use super::host::{Other, Watched, ip, isolated};
use eyepiece::source::datapath::links::{Config, LinkEvent, Role};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// Resident memory, KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs, /dev/net/tun and the watcher are there");
    let line =
        status.lines().find(|line| line.starts_with("VmRSS:")).expect("procfs, /dev/net/tun and the watcher are there");
    line.split_whitespace()
        .nth(1)
        .expect("procfs, /dev/net/tun and the watcher are there")
        .parse()
        .expect("procfs, /dev/net/tun and the watcher are there")
}

/// Adds an endpoint, waits for it and its address, and removes it. Returns how long both took.
fn cycle(watched: &mut Watched, n: usize) -> (Duration, Duration) {
    let other = Other::new();
    let name = format!("s{n}");
    ip(&format!("link add {name} type veth peer name eth0 netns {}", other.0));
    // `ip` has returned: the kernel has sent its notification before.
    let start = Instant::now();
    watched.until("an endpoint", |watched| watched.table.get(&name).is_some_and(|link| link.role == Role::Endpoint));
    let appeared = start.elapsed();
    other.ip("addr add 10.0.0.1/24 dev eth0");
    let start = Instant::now();
    watched.until("its address", |watched| watched.end("10.0.0.1").0 == name);
    let known = start.elapsed();
    drop(other);
    watched.until("its end", |watched| !watched.table.contains_key(&name));
    (appeared, known)
}

/// From before the kernel is asked for an interface until its event is in hand: an upper bound of the latency.
fn latency(watched: &mut Watched) -> Duration {
    let tun = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .expect("procfs, /dev/net/tun and the watcher are there");
    let mut request = [0_u8; 40];
    request[..4].copy_from_slice(b"lat0");
    // `struct ifreq` with IFF_TAP | IFF_NO_PI.
    request[16..18].copy_from_slice(&0x1002_u16.to_ne_bytes());
    let start = Instant::now();
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, 40 bytes, and the descriptor is open.
    let result = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&tun), 0x4004_54ca, request.as_mut_ptr()) };
    assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    loop {
        let event = watched
            .runtime
            .block_on(watched.links.events.recv())
            .expect("procfs, /dev/net/tun and the watcher are there");
        let is_it = matches!(&event, LinkEvent::Appeared(link) if link.name == "lat0");
        watched.take(event);
        if is_it {
            break;
        }
    }
    let taken = start.elapsed();
    drop(tun);
    watched.until("its end", |watched| !watched.table.contains_key("lat0"));
    taken
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what}: median {:?}, 99 % {:?}, worst {:?}", at(50), at(99), at(100));
}

#[test]
fn nothing_stays_behind() {
    // Counts the process\'s descriptors and memory.
    eyepiece_tests::own_process!();
    isolated(concat!(module_path!(), "::nothing_stays_behind"), || {
        let mut watched = Watched::start(Config::default());
        // The first rounds fill buffers, thread pools and allocator arenas.
        for n in 0..50 {
            cycle(&mut watched, n);
        }
        let (descriptors_before, resident_before) = (descriptors(), resident());
        let (appeared, known): (Vec<_>, Vec<_>) = (50..550).map(|n| cycle(&mut watched, n)).unzip();
        let (descriptors_after, resident_after) = (descriptors(), resident());
        report("reported after `ip` returned", appeared);
        report("address known after `ip` returned", known);
        report("from the request for a tap until its event", (0..200).map(|_| latency(&mut watched)).collect());
        println!("descriptors {descriptors_before} → {descriptors_after}, KiB {resident_before} → {resident_after}");
        assert_eq!(descriptors_after, descriptors_before);
        assert!(resident_after < resident_before + 4096, "{resident_before} → {resident_after} KiB");
        assert_eq!(watched.table.len(), 1);
    });
}
