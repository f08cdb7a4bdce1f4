//! The configuration of a Hubble client.

use std::path::PathBuf;
use std::time::Duration;

/// The settings of a client besides the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// TLS; `None` = plaintext, unless the address asks for TLS.
    pub tls: Option<TlsConfig>,
    /// Timeout of connecting, including the handshake.
    pub timeout: Duration,
    /// Name and password, sent with each call; TLS only.
    pub basic_auth: Option<(String, String)>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        // The timeout of Hubble's command line.
        Self { tls: None, timeout: Duration::from_secs(5), basic_auth: None }
    }
}

/// The authorities that the client trusts, and its own certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM files with authorities; none = those of the system.
    pub ca: Vec<PathBuf>,
    /// PEM files with the client's certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate, if it is not the address's host.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub allow_insecure: bool,
}
