//! The laboratory of the end-to-end tests: hosts in network namespaces, scripted traffic, the product, its receivers.
//!
//! [`Lab`] makes the hosts. [`traffic`] and [`drops`] send packets and count them; [`Capture`] and [`Inside::counters`]
//! count them independently. [`Eyepiece`] runs the product; [`Receiver`] and [`Collector`] receive its exports. A drop
//! of each value removes what it made, also after a panic.

use std::time::{Duration, Instant};

pub mod bench_report;
pub mod bpf;
pub mod capture;
pub mod collector;
pub mod control_group;
pub mod dockerd;
pub mod drops;
pub mod exposition;
pub mod eyepiece;
pub mod fed;
pub mod frame;
pub mod harness;
pub mod hubble;
pub mod kubeconfig;
pub mod lab;
pub mod namespace;
pub mod notification;
pub mod overlay;
pub mod own_process;
pub mod owned_event;
pub mod packet_socket;
pub mod payload;
pub mod peer;
pub mod pki;
pub mod process;
pub mod prometheus;
pub mod receiver;
pub mod reference;
pub mod relay;
pub mod sample;
pub mod schema;
pub mod skip;
pub mod traffic;
pub mod uplink;
pub mod watch;

pub use capture::Capture;
pub use collector::Collector;
pub use control_group::ControlGroup;
pub use dockerd::Dockerd;
pub use eyepiece::Eyepiece;
pub use fed::Fed;
pub use harness::Harness;
pub use hubble::Hubble;
pub use lab::{Family, Host, Lab, Uplink};
pub use namespace::{Counters, Inside, Namespace};
pub use pki::Pki;
pub use process::Background;
pub use receiver::{Behaviour, Receiver};
pub use relay::Relay;
pub use watch::Watch;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, link layer header included by default.
    pub bytes: u64,
}

impl Count {
    /// Adds one packet of a length.
    pub const fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

impl std::ops::Add for Count {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

/// The pause between two questions.
const POLL: Duration = Duration::from_millis(10);

/// The time until a wait fails.
struct Deadline {
    timeout: Duration,
    end: Instant,
}

impl Deadline {
    /// In `timeout` times `TEST_PATIENCE`: on an emulated machine everything takes longer.
    fn after(timeout: Duration) -> Self {
        let factor = std::env::var("TEST_PATIENCE").ok().and_then(|factor| factor.parse().ok());
        let timeout = timeout * factor.unwrap_or(1);
        Self { timeout, end: Instant::now() + timeout }
    }

    fn check(&self, what: &str) -> anyhow::Result<()> {
        anyhow::ensure!(Instant::now() < self.end, "after {:?}: {what}", self.timeout);
        Ok(())
    }
}

/// Asks until there is an answer; an error that names what was waited for when time is up.
pub fn eventually<T>(timeout: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    until(timeout, what, || {
        let answer = ask();
        if answer.is_none() {
            std::thread::sleep(POLL);
        }
        answer
    })
}

/// As [`eventually`], for a question that itself waits a moment.
pub fn until<T>(timeout: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Deadline::after(timeout);
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        deadline.check(what)?;
    }
}

/// As [`eventually`], for a task.
pub async fn eventually_async<T>(
    timeout: Duration,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = Deadline::after(timeout);
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        deadline.check(what)?;
        tokio::time::sleep(POLL).await;
    }
}
