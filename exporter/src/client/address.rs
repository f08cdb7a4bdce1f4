//! Addresses of Hubble servers, in the forms of Hubble's command line and a few more.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address without one: that of Hubble Relay, and the default of Hubble's command line.
pub const DEFAULT_PORT: u16 = 4245;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket; always plaintext.
    Unix(PathBuf),
    /// A host and a port.
    Tcp {
        /// Name or IP address, an IPv6 one without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether the address itself asks for TLS.
        tls: bool,
    },
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid address of a Hubble server {text:?}: {wrong}; expected unix:///PATH, /PATH.sock, HOST:PORT or tls://HOST:PORT"
)]
pub struct AddressError {
    /// The text.
    pub text: String,
    /// The fault.
    pub wrong: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text.trim()).map_err(|wrong| AddressError { text: text.to_owned(), wrong })
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    // gRPC has `unix:PATH` and `unix:///PATH`; the third slash begins the path.
    if let Some(rest) = text.strip_prefix("unix:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        return socket(path);
    }
    if text.starts_with(['/', '.']) {
        return socket(text);
    }
    let (tls, rest) = match text.split_once("://") {
        Some(("tls" | "https", rest)) => (true, rest),
        Some(("tcp" | "http" | "dns" | "passthrough", rest)) => (false, rest.trim_start_matches('/')),
        Some(_) => return Err("its scheme is not known"),
        None => (false, text),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split(rest)?;
    if host.is_empty() {
        return Err("it names no host");
    }
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if !host.chars().all(is_host) {
        return Err("its host has a character that no host has");
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err("its port is no number from 1 to 65535"),
        },
    };
    Ok(Address::Tcp { host: host.to_owned(), port, tls })
}

fn socket(path: &str) -> Result<Address, &'static str> {
    match path {
        "" => Err("it names no socket"),
        _ if path.contains('\0') => Err("it has a zero byte"),
        _ => Ok(Address::Unix(PathBuf::from(path))),
    }
}

/// Host and port; more than one colon without brackets is an IPv6 address.
fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("its bracket is not closed")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("something other than a port follows its bracket"),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "tls://" } else { "" };
                if host.contains(':') {
                    write!(f, "{scheme}[{host}]:{port}")
                } else {
                    write!(f, "{scheme}{host}:{port}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn address_forms_are_parsed() {
        for (text, expected) in [
            ("unix:///run/eyepiece/hubble.sock", "unix:///run/eyepiece/hubble.sock"),
            ("unix:/run/hubble.sock", "unix:///run/hubble.sock"),
            ("/run/hubble.sock", "unix:///run/hubble.sock"),
            ("./hubble.sock", "unix://./hubble.sock"),
            ("localhost:4245", "localhost:4245"),
            (" relay ", "relay:4245"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[fd00::1]:4244", "[fd00::1]:4244"),
            ("fd00::1", "[fd00::1]:4245"),
            ("[fd00::1]", "[fd00::1]:4245"),
            ("tls://relay.example:443", "tls://relay.example:443"),
            ("https://relay.example/", "tls://relay.example:4245"),
            ("http://relay:1", "relay:1"),
            ("dns:///relay:1", "relay:1"),
        ] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn invalid_address_names_its_mistake() {
        for (text, wrong) in [
            ("", "names no host"),
            (":4245", "names no host"),
            ("unix://", "names no socket"),
            ("unix:///a\0b", "zero byte"),
            ("ftp://host", "scheme"),
            ("host:0", "port"),
            ("host:65536", "port"),
            ("host:http", "port"),
            ("[::1", "not closed"),
            ("[::1]x", "follows its bracket"),
            ("a b:1", "character"),
            ("host/path", "character"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(wrong), "{text:?}: {error}");
        }
    }
}
