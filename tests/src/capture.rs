//! tcpdump as a witness: packets of an interface in a file, counted by filter.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::Count;
use crate::namespace::{Inside, run_command};
use crate::process::Background;

/// Bytes of each packet that are kept: enough for all headers.
const SNAP: u32 = 192;

/// tcpdump's buffer in KiB: a second of small packets at full speed.
const BUFFER: u32 = 65536;

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    process: Background,
    folder: tempfile::TempDir,
}

/// A capture that has ended.
#[derive(Debug)]
pub struct Captured {
    folder: tempfile::TempDir,
}

impl Capture {
    /// Captures on an interface, both directions; the filter is tcpdump's, empty for everything.
    pub fn start(namespace: &Inside, device: &str, filter: &str) -> Result<Self> {
        Self::start_direction(namespace, device, "inout", filter)
    }

    /// Captures one direction: `in`, `out` or `inout`, seen from the interface.
    pub fn start_direction(namespace: &Inside, device: &str, direction: &str, filter: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = namespace.command("tcpdump");
        command.args(["-i", device, "-Q", direction, "-Z", "root", "-n", "-s", &SNAP.to_string()]);
        command.args(["-B", &BUFFER.to_string(), "-w"]).arg(folder.path().join("pcap"));
        if !filter.is_empty() {
            command.arg(filter);
        }
        let mut process = Background::spawn(&mut command)?;
        process.wait_for_line("listening on", Duration::from_secs(10))?;
        Ok(Self { process, folder })
    }

    /// Ends it; an error if tcpdump has missed packets.
    pub fn stop(mut self) -> Result<Captured> {
        // tcpdump hands over what its ring holds once a second, and counts only that.
        std::thread::sleep(Duration::from_millis(1100));
        self.process.stop(Signal::SIGINT, Duration::from_secs(20))?;
        let errors = crate::eventually(Duration::from_secs(5), "no summary of tcpdump", || {
            let errors = self.process.stderr();
            errors.contains("dropped by kernel").then_some(errors)
        })?;
        ensure!(errors.lines().any(|line| line.trim() == "0 packets dropped by kernel"), "tcpdump: {errors}");
        Ok(Captured { folder: self.folder })
    }
}

impl Captured {
    /// The file, in pcap format.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("pcap")
    }

    /// Packets and bytes that a filter of tcpdump's lets through; empty for all.
    pub fn count(&self, filter: &str) -> Result<Count> {
        let filtered = self.folder.path().join("filtered");
        let mut command = Command::new("tcpdump");
        command.arg("-r").arg(self.path()).arg("-w").arg(&filtered);
        if !filter.is_empty() {
            command.arg(filter);
        }
        run_command(&mut command, "")?;
        let mut count = Count::default();
        for length in lengths(&std::fs::read(&filtered)?)? {
            count.add(length);
        }
        Ok(count)
    }

    /// TCP segments of both families that have all of these flags and none of those, as `tcpdump` counts them.
    ///
    /// IPv6 is read without extension headers.
    pub fn tcp_flags(&self, set: u8, clear: u8) -> Result<u64> {
        let (mask, set) = (set | clear, set);
        let filter = format!("(tcp and tcp[13] & {mask} = {set}) or (ip6 proto 6 and ip6[53] & {mask} = {set})");
        Ok(self.count(&filter)?.packets)
    }

    /// tcpdump's text of the packets, for the message of a failed test.
    pub fn text(&self, filter: &str) -> Result<String> {
        let mut command = Command::new("tcpdump");
        command.args(["-n", "-e", "-r"]).arg(self.path());
        if !filter.is_empty() {
            command.arg(filter);
        }
        run_command(&mut command, "")
    }
}

/// Original lengths of the packets of a pcap file in this machine's byte order.
fn lengths(file: &[u8]) -> Result<Vec<usize>> {
    let magic = word(file, 0)?;
    ensure!(matches!(magic, 0xa1b2_c3d4 | 0xa1b2_3c4d), "no pcap file: {magic:x}");
    let (mut at, mut found) = (24, Vec::new());
    while at < file.len() {
        let (kept, original) = (word(file, at + 8)?, word(file, at + 12)?);
        found.push(original as usize);
        at += 16 + kept as usize;
    }
    Ok(found)
}

fn word(file: &[u8], at: usize) -> Result<u32> {
    let bytes = file.get(at..at + 4).context("a pcap file is cut")?;
    Ok(u32::from_ne_bytes(bytes.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::lengths;

    #[test]
    fn lengths_are_of_wire() {
        let mut file = vec![0; 24];
        file[..4].copy_from_slice(&0xa1b2_c3d4u32.to_ne_bytes());
        assert_eq!(lengths(&file).expect("an empty file"), [0; 0]);
        for (kept, original) in [(2u32, 1500u32), (0, 60)] {
            file.extend([0; 8]);
            file.extend(kept.to_ne_bytes());
            file.extend(original.to_ne_bytes());
            file.extend(vec![0; kept as usize]);
        }
        assert_eq!(lengths(&file).expect("two packets"), [1500, 60]);
        assert!(lengths(&file[..50]).is_err());
        assert!(lengths(b"nothing").is_err());
    }
}
