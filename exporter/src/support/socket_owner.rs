//! Finds the process that holds an address and where it listens, for messages about a conflicting program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::{fs, io};

/// State of a socket that listens (Linux `include/net/tcp_states.h`, `TCP_LISTEN`).
const LISTEN: &str = "0A";

/// A socket that listens: its address and inode.
type Listening = (SocketAddr, u64);

/// The process that listens on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Its id.
    Process(i32),
    /// Some processes cannot be searched: those of other users, and those that are not dumpable, as eyepiece itself.
    Unreadable,
    /// No process has the socket.
    Unknown,
}

/// Finds the process that listens on a TCP address of this network namespace.
fn of_address(address: SocketAddr) -> Owner {
    let conflicts = |other: SocketAddr| {
        let is_any = address.ip().is_unspecified() || other.ip().is_unspecified();
        other.port() == address.port() && (is_any || other.ip().to_canonical() == address.ip().to_canonical())
    };
    let sockets = listening("/proc/thread-self/net");
    let Some((_, inode)) = sockets.into_iter().find(|(other, _)| conflicts(*other)) else { return Owner::Unknown };
    let mut owner = Owner::Unknown;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match inodes(pid) {
            Ok(inodes) if inodes.contains(&inode) => return Owner::Process(pid),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => owner = Owner::Unreadable,
            _ => {}
        }
    }
    owner
}

/// Describes the process that holds an address which cannot be bound, after a colon. Empty for other errors.
pub fn describe_conflict(error: &io::Error, address: SocketAddr) -> String {
    if error.kind() != io::ErrorKind::AddrInUse {
        return String::new();
    }
    let owner = match of_address(address) {
        Owner::Process(pid) => describe(Some(pid)),
        Owner::Unreadable => format!("{} (reading its name needs CAP_SYS_PTRACE)", describe(None)),
        Owner::Unknown => describe(None),
    };
    format!(": {owner} has it")
}

/// Describes a process: `another eyepiece (process 7, listening on 127.0.0.1:9966)`, `process 8 (nginx)`.
pub fn describe(pid: Option<i32>) -> String {
    let Some(pid) = pid else { return "another process".to_owned() };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match name.trim_end() {
        "" => format!("process {pid}"),
        env!("CARGO_PKG_NAME") => format!("another eyepiece (process {pid}{})", addresses(pid)),
        name => format!("process {pid} ({name})"),
    }
}

/// The addresses that a process listens on, after a comma. Empty if there is none, or if they cannot be read.
fn addresses(pid: i32) -> String {
    let inodes = inodes(pid).unwrap_or_default();
    let own = listening(&format!("/proc/{pid}/net")).into_iter().filter(|(_, inode)| inodes.contains(inode));
    let addresses: Vec<_> = own.map(|(address, _)| address.to_string()).collect();
    if addresses.is_empty() { String::new() } else { format!(", listening on {}", addresses.join(" and ")) }
}

/// Inodes of the open sockets of a process. Without permission the folder may be listed, but its links cannot be read.
fn inodes(pid: i32) -> io::Result<Vec<u64>> {
    let inode =
        |link: &Path| -> Option<u64> { link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok() };
    let mut inodes = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        match fs::read_link(entry.path()) {
            Ok(link) => inodes.extend(inode(&link)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            // The file has been closed meanwhile.
            Err(_) => {}
        }
    }
    Ok(inodes)
}

/// The listening TCP sockets of a network namespace.
fn listening(folder: &str) -> Vec<Listening> {
    let texts = ["tcp", "tcp6"].map(|file| fs::read_to_string(format!("{folder}/{file}")).unwrap_or_default());
    texts.iter().flat_map(|text| text.lines().skip(1)).filter_map(parse).collect()
}

/// Parses a line of `/proc/net/tcp` or `tcp6` (proc_net_tcp(5)). Returns `None` for sockets that do not listen.
fn parse(line: &str) -> Option<Listening> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != LISTEN || !ip.is_ascii() {
        return None;
    }
    // Words of 32 bits, each in the machine's byte order.
    let words = (0..ip.len() / 8).map(|at| u32::from_str_radix(&ip[at * 8..][..8], 16).map(u32::to_ne_bytes));
    let bytes = words.collect::<Result<Vec<_>, _>>().ok()?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(*bytes.first_chunk()?)),
        _ => IpAddr::from(Ipv6Addr::from(*bytes.first_chunk()?)),
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), fields.get(9)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::TcpListener;
    use std::process::Command;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::{Owner, addresses, describe, describe_conflict, of_address, parse};
    use crate::support::capabilities;
    use crate::support::capabilities::Capabilities;

    #[test]
    fn lines_of_listening_sockets_are_read() {
        let line = |local: &str, state: &str| {
            let rest = "00000000:00000000 00:00000000 00000000 0 0 4711 1 0000000000000000 100 0 0 10 0";
            parse(&format!("   0: {local} 00000000:0000 {state} {rest}"))
        };
        let [mapped, any] = ["0000000000000000FFFF00000100007F", "00000000000000000000000000000000"];
        for (local, expected) in [
            ("0100007F:26EE".to_owned(), "127.0.0.1:9966"),
            (format!("{mapped}:0001"), "[::ffff:127.0.0.1]:1"),
            (format!("{any}:1095"), "[::]:4245"),
        ] {
            assert_eq!(line(&local, "0A"), Some((expected.parse().unwrap(), 4711)), "{local}");
            assert_eq!(line(&local, "01"), None, "a connection");
        }
        for text in ["", "  sl  local_address", "0: x:y z 0A", "0: 0100007F 0 0A 0 0 0 0 0 1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn owner_of_taken_address_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        for listen in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(listen) else { continue };
            let address = listener.local_addr().unwrap();
            assert_eq!(of_address(address), Owner::Process(own), "{address}");
            assert!(addresses(own).contains(&address.to_string()), "{}", addresses(own));
            drop(listener);
            assert_eq!(of_address(address), Owner::Unknown);
        }
        assert!(describe(Some(own)).starts_with(&format!("process {own} (")), "{}", describe(Some(own)));
        assert_eq!(describe(None), "another process");
    }

    /// A process that holds more capabilities than the reader, as one that is not dumpable.
    #[test]
    fn unreadable_owner_needs_ptrace() {
        if !nix::unistd::geteuid().is_root() {
            eyepiece_tests::skip!("a process with more capabilities needs root");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The child inherits the socket, and keeps it when it is closed here.
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        drop(listener);
        let pid = i32::try_from(child.id()).unwrap();
        let look = move || {
            let with_capabilities = of_address(address);
            capabilities::keep(Capabilities::NONE);
            (with_capabilities, of_address(address), describe_conflict(&io::ErrorKind::AddrInUse.into(), address))
        };
        let found = std::thread::spawn(look).join().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let text = ": another process (reading its name needs CAP_SYS_PTRACE) has it";
        assert_eq!(found, (Owner::Process(pid), Owner::Unreadable, text.to_owned()));
    }
}
