//! The laboratory of the end-to-end tests: hosts in network namespaces, scripted traffic, the product, its receivers.
//!
//! [`Lab`] makes the hosts, [`traffic`] and [`drops`] send what they say and count it, [`Capture`] and
//! [`Namespace::counters`] are the witnesses, [`Eyepiece`] runs the product, [`Receiver`] and [`Collector`] take what
//! it exports. Everything is gone when its value is dropped, after a panic too.

use std::io::Write;
use std::time::{Duration, Instant};

pub mod capture;
pub mod collector;
pub mod drops;
pub mod eyepiece;
pub mod frame;
pub mod lab;
pub mod namespace;
pub mod packet_socket;
pub mod process;
pub mod receiver;
pub mod traffic;
pub mod uplink;

pub use capture::Capture;
//pub use collector::Collector;
//pub use eyepiece::Eyepiece;
pub use lab::{Family, Host, Lab, Uplink};
pub use namespace::{Counters, Namespace};
pub use process::Background;
//pub use receiver::{Behaviour, Receiver};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, link layer header included where not said otherwise.
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

/// Leaves the test with a line that names it and says why, on stderr and in the file that `EYEPIECE_SKIPS` names.
///
/// `skip!("no otelcol in {}", path)`.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::report_skip(&format!($($why)*));
        return $crate::Skipped::skipped();
    }};
}

/// What a skipped test returns.
pub trait Skipped {
    /// Neither a failure nor a result.
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() -> Self {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// Writes the line of [`skip!`]; a test's thread bears the test's name.
pub fn report_skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("unknown"));
    eprint!("{line}");
    let Some(path) = std::env::var_os("EYEPIECE_SKIPS") else { return };
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{}: {error}", path.to_string_lossy());
    }
}

/// Asks until there is an answer; an error that names what was waited for when time is up.
pub fn eventually<T>(timeout: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= end {
            anyhow::bail!("after {timeout:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
