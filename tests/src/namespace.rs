//! A network namespace: made by name, entered for closures and commands, removed with what runs in it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::eyepiece::without_settings;

/// The folder in which `ip netns` binds namespaces by name.
const NAMES: &str = "/run/netns";

/// A named network namespace of this process; dropping it kills what runs there and removes it.
///
/// The methods of [`Inside`] act in it.
#[derive(Debug)]
pub struct Namespace(Inside);

/// The way into a namespace that outlives the borrow of its owner; cloning shares it.
#[derive(Clone, Debug)]
pub struct Inside {
    name: Arc<str>,
    file: Arc<File>,
}

impl std::ops::Deref for Namespace {
    type Target = Inside;
    fn deref(&self) -> &Inside {
        &self.0
    }
}

/// An interface's counters, as `ip -s link` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received, link layer header included.
    pub rx_bytes: u64,
    /// Packets that no protocol of the stack took: unknown EtherTypes and VLAN ids, too.
    pub rx_dropped: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent, link layer header included.
    pub tx_bytes: u64,
    /// Packets that the interface dropped instead of sending them.
    pub tx_dropped: u64,
}

impl std::ops::Sub for Counters {
    type Output = Self;
    fn sub(self, before: Self) -> Self {
        Self {
            rx_packets: self.rx_packets - before.rx_packets,
            rx_bytes: self.rx_bytes - before.rx_bytes,
            rx_dropped: self.rx_dropped - before.rx_dropped,
            tx_packets: self.tx_packets - before.tx_packets,
            tx_bytes: self.tx_bytes - before.tx_bytes,
            tx_dropped: self.tx_dropped - before.tx_dropped,
        }
    }
}

impl Counters {
    /// Returns received packets and bytes.
    pub const fn rx(&self) -> crate::Count {
        crate::Count { packets: self.rx_packets, bytes: self.rx_bytes }
    }

    /// Returns sent packets and bytes.
    pub const fn tx(&self) -> crate::Count {
        crate::Count { packets: self.tx_packets, bytes: self.tx_bytes }
    }
}

impl Namespace {
    /// Makes a namespace with a quiet network stack: no duplicate address detection, no router solicitations, no
    /// link-local addresses, no limit on ICMP errors, no reverse path filter, no hasty TCP retransmissions, loopback up.
    pub fn create(name: &str) -> Result<Self> {
        run_command(Command::new("ip").args(["netns", "add", name]), "")?;
        let file = File::open(format!("{NAMES}/{name}")).with_context(|| format!("open namespace {name}"))?;
        let namespace = Self(Inside { name: name.into(), file: Arc::new(file) });
        for (key, value) in QUIET {
            namespace.sysctl(key, value)?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Returns an independent way in.
    pub fn inside(&self) -> Inside {
        self.0.clone()
    }
}

impl Inside {
    /// Its name under `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode by which the kernel's records name it.
    pub fn inode(&self) -> Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// Runs a closure in the namespace, on a separate thread. Sockets opened there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entered = || setns(&*self.file, CloneFlags::CLONE_NEWNET).map(|()| work());
        let result = std::thread::scope(|scope| scope.spawn(entered).join());
        match result {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => panic!("enter {}: {error}", self.name),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A command that will run in the namespace; only the network namespace changes, mounts stay. Variables that the
    /// product would take for settings are left out.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = Arc::clone(&self.file);
        let enter = move || setns(&*file, CloneFlags::CLONE_NEWNET).map_err(std::io::Error::from);
        // SAFETY: between fork and exec only setns(2) is called, which is async-signal-safe.
        unsafe { command.pre_exec(enter) };
        without_settings(&mut command);
        command
    }

    /// Runs a command line (split at blanks, no shell) in the namespace and returns its output.
    pub fn exec(&self, line: &str) -> Result<String> {
        self.exec_with(line, "")
    }

    /// [`Self::exec`] with a text for the command's standard input.
    pub fn exec_with(&self, line: &str, input: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command")?;
        run_command(self.command(program).args(words), input)
    }

    /// `ip` in the namespace.
    pub fn ip(&self, line: &str) -> Result<String> {
        self.exec(&format!("ip {line}"))
    }

    /// Many lines of `ip`, one process.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        self.exec_with("ip -batch -", lines).map(drop)
    }

    /// An nft script.
    pub fn nft(&self, script: &str) -> Result<()> {
        self.exec_with("nft -f -", script).map(drop)
    }

    /// Sets a key of the namespace (`net.ipv4.ip_forward`); a key that this kernel lacks is passed over.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.run(|| match std::fs::write(&path, value) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .with_context(|| format!("{}: {key}={value}", self.name))
    }

    /// An interface's counters now.
    pub fn counters(&self, device: &str) -> Result<Counters> {
        let link = self.link(device)?;
        let read = |direction: &str, what: &str| {
            link["stats64"][direction][what].as_u64().with_context(|| format!("{device} has no {direction} {what}"))
        };
        Ok(Counters {
            rx_packets: read("rx", "packets")?,
            rx_bytes: read("rx", "bytes")?,
            rx_dropped: read("rx", "dropped")?,
            tx_packets: read("tx", "packets")?,
            tx_bytes: read("tx", "bytes")?,
            tx_dropped: read("tx", "dropped")?,
        })
    }

    /// An interface's index.
    pub fn ifindex(&self, device: &str) -> Result<u32> {
        let index = self.link(device)?["ifindex"].as_u64().context("no ifindex")?;
        Ok(u32::try_from(index)?)
    }

    /// Returns the output of `ip -j -s -d link show` for an interface.
    pub fn link(&self, device: &str) -> Result<serde_json::Value> {
        let text = self.ip(&format!("-j -s -d link show dev {device}"))?;
        let mut links: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        links.pop().with_context(|| format!("no link {device}"))
    }

    /// Switches an interface's offloads: with all off, a packet is a segment and a tag is in the bytes.
    pub fn offloads(&self, device: &str, on: bool) -> Result<()> {
        let state = if on { "on" } else { "off" };
        // Not every device has every switch: ethtool changes the others and fails.
        for switches in [&["tso", "gso", "gro", "tx", "rx", "sg"][..], &["txvlan", "rxvlan"], &["tx-udp-segmentation"]]
        {
            let words: Vec<String> = switches.iter().map(|switch| format!("{switch} {state}")).collect();
            self.command("ethtool")
                .args(["-K", device])
                .args(words.iter().flat_map(|pair| pair.split(' ')))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
        }
        let shown = self.exec(&format!("ethtool -k {device}"))?;
        let wrong = if on { "off" } else { "on" };
        // What a device has once for all (a macvlan) still never sees a super-packet of TCP when it may hold one segment.
        if !on && shown.contains("tx-tcp-segmentation: on [fixed]") {
            return self.ip(&format!("link set dev {device} gso_max_segs 1")).map(drop);
        }
        for switch in ["tcp-segmentation-offload", "generic-segmentation-offload"] {
            ensure!(!shown.contains(&format!("{switch}: {wrong}")), "{device}: {switch} stays {wrong}");
        }
        Ok(())
    }

    /// An HTTP/1.1 GET from within the namespace: status and body.
    pub fn get(&self, address: std::net::SocketAddr, path: &str) -> Result<(u16, String)> {
        use std::io::{Read, Write};
        let timeout = std::time::Duration::from_secs(5);
        let mut stream = self
            .run(|| std::net::TcpStream::connect_timeout(&address, timeout))
            .with_context(|| format!("connect to {address}"))?;
        stream.set_read_timeout(Some(timeout))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse_answer(&answer).with_context(|| format!("http://{address}{path}"))
    }

    /// Ids of the processes in the namespace, this one left out.
    pub fn processes(&self) -> Result<Vec<i32>> {
        processes_in(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(self.0.name()) {
            eprintln!("{error:#}");
        }
    }
}

/// The settings that keep a network stack from sending on its own.
const QUIET: &[(&str, &str)] = &[
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.dad_transmits", "0"),
    ("net.ipv6.conf.default.accept_ra", "0"),
    ("net.ipv6.conf.default.router_solicitations", "0"),
    ("net.ipv6.conf.default.addr_gen_mode", "1"),
    // Group reports at once instead of over ten seconds: in ms.
    ("net.ipv6.conf.default.mldv1_unsolicited_report_interval", "1"),
    ("net.ipv6.conf.default.mldv2_unsolicited_report_interval", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    // A new namespace takes the machine's value, which docker's daemon sets.
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.icmp_ratelimit", "0"),
    ("net.ipv6.icmp.ratelimit", "0"),
    ("net.ipv4.icmp_echo_ignore_broadcasts", "1"),
    // An acknowledgement that a busy machine delays is no loss: a segment that is sent again is a drop at its receiver.
    ("net.ipv4.tcp_early_retrans", "0"),
    ("net.ipv4.tcp_rto_min_us", "1000000"),
    ("net.bridge.bridge-nf-call-iptables", "0"),
    ("net.bridge.bridge-nf-call-ip6tables", "0"),
];

/// Removes the namespaces of a prefix whose owner, the process id after the prefix, is gone.
pub fn remove_leftovers(prefix: &str) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(NAMES) else { return Ok(()) };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(prefix).and_then(|rest| rest.split('-').next()?.parse::<i32>().ok());
        if owner.is_some_and(|pid| kill(Pid::from_raw(pid), None).is_err()) {
            // Another run may clean at the same time.
            remove(&name).unwrap_or_else(|error| eprintln!("{error:#}"));
        }
    }
    Ok(())
}

fn remove(name: &str) -> Result<()> {
    for pid in processes_in(name)? {
        // It may have ended meanwhile.
        if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
            eprintln!("{name}: kill {pid}: {error}");
        }
    }
    run_command(Command::new("ip").args(["netns", "del", name]), "").map(drop)
}

fn processes_in(name: &str) -> Result<Vec<i32>> {
    let text = run_command(Command::new("ip").args(["netns", "pids", name]), "")?;
    let own = std::process::id().cast_signed();
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).filter(|&pid| pid != own).collect())
}

/// Runs a command to its end: its output, or an error with its standard error.
pub fn run_command(command: &mut Command, input: &str) -> Result<String> {
    use std::io::Write;
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| what.clone())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| what.clone())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse_answer(answer: &[u8]) -> Result<(u16, String)> {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the header")?;
    let head = String::from_utf8_lossy(&answer[..split]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status")?;
    let mut body = answer[split + 4..].to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = join_chunks(&body)?;
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").context("no chunk size")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line])?.trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest.get(line + 2..line + 2 + size).context("a chunk is cut")?;
        body.extend_from_slice(chunk);
        rest = rest.get(line + 4 + size..).context("a chunk is cut")?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse_answer;

    #[test]
    fn answers_are_read_with_chunks() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"),
            ("HTTP/1.1 503 No\r\n\r\n", 503, ""),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n yo\r\n0\r\n\r\n", 200, "hi yo"),
        ] {
            assert_eq!(parse_answer(answer.as_bytes()).expect(answer), (status, body.to_owned()), "{answer}");
        }
        for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi"] {
            assert!(parse_answer(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
