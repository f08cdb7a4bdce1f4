//! Which process holds an address, and where it listens: for messages about a second program that wants the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

/// State of a socket that listens (Linux `include/net/tcp_states.h`, `TCP_LISTEN`).
const LISTEN: &str = "0A";

/// A socket that listens: where, and its inode.
type Listening = (SocketAddr, u64);

/// The process that listens on a TCP address of this network namespace; none where it cannot be found, as that of another
/// user's without privilege.
pub fn of_address(address: SocketAddr) -> Option<i32> {
    let conflicts = |other: SocketAddr| {
        let is_any = address.ip().is_unspecified() || other.ip().is_unspecified();
        other.port() == address.port() && (is_any || other.ip().to_canonical() == address.ip().to_canonical())
    };
    let sockets = listening("/proc/thread-self/net");
    let (_, inode) = sockets.into_iter().find(|(other, _)| conflicts(*other))?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| inodes(*pid).contains(&inode))
}

/// Who has an address that could not be bound, behind a colon; empty where it is not in use.
pub fn behind(error: &io::Error, address: SocketAddr) -> String {
    if error.kind() != io::ErrorKind::AddrInUse {
        return String::new();
    }
    format!(": {} has it", describe(of_address(address)))
}

/// A process in words: `another eyepiece (process 7, listening on 127.0.0.1:9966)`, `process 8 (nginx)`.
pub fn describe(pid: Option<i32>) -> String {
    let Some(pid) = pid else { return "another process".to_owned() };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match name.trim_end() {
        "" => format!("process {pid}"),
        env!("CARGO_PKG_NAME") => format!("another eyepiece (process {pid}{})", addresses(pid)),
        name => format!("process {pid} ({name})"),
    }
}

/// Where a process listens, behind a comma; nothing where it does not, or that cannot be told.
fn addresses(pid: i32) -> String {
    let inodes = inodes(pid);
    let own = listening(&format!("/proc/{pid}/net")).into_iter().filter(|(_, inode)| inodes.contains(inode));
    let addresses: Vec<_> = own.map(|(address, _)| address.to_string()).collect();
    if addresses.is_empty() { String::new() } else { format!(", listening on {}", addresses.join(" and ")) }
}

/// Inodes of the sockets that a process has open.
fn inodes(pid: i32) -> Vec<u64> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = files.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

/// The TCP sockets of a network namespace that listen.
fn listening(folder: &str) -> Vec<Listening> {
    let texts = ["tcp", "tcp6"].map(|file| fs::read_to_string(format!("{folder}/{file}")).unwrap_or_default());
    texts.iter().flat_map(|text| text.lines().skip(1)).filter_map(parse).collect()
}

/// A line of `/proc/net/tcp` or `tcp6`, where the socket listens (proc_net_tcp(5)).
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
    use std::net::TcpListener;

    use super::{addresses, describe, of_address, parse};

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
            assert_eq!(of_address(address), Some(own), "{address}");
            assert!(addresses(own).contains(&address.to_string()), "{}", addresses(own));
            drop(listener);
            assert_eq!(of_address(address), None);
        }
        assert!(describe(Some(own)).starts_with(&format!("process {own} (")), "{}", describe(Some(own)));
        assert_eq!(describe(None), "another process");
    }
}
