//! The server's address and how to connect: from flags, else from the variables of Hubble's command line, else our own.

use std::path::PathBuf;
use std::time::Duration;

use eyepiece_config::{Hubble, Listen};

use super::error::ObserveError;
use crate::client::address::Address;
use crate::client::config::{ClientConfig, TlsConfig};
use eyepiece_flow::go_duration;

/// Flags of the server.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerFlags {
    /// Address of the server: unix:///PATH, /PATH.sock, HOST:PORT, tls://HOST:PORT [default: hubble.listen of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) server: Option<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

/// Flags of the connection.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(in crate::cli) struct ConnectionFlags {
    /// How long connecting may take [default: 5s]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Use TLS; implied by each of the flags that begin with --tls-, and by tls:// in the address
    #[arg(long)]
    tls: bool,
    /// Authorities of the server's certificate, PEM [default: those of the system]
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    tls_ca_cert_files: Vec<PathBuf>,
    /// Our certificate, PEM
    #[arg(long, value_name = "FILE")]
    tls_client_cert_file: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_client_key_file: Option<PathBuf>,
    /// Name in the server's certificate, if it is not the address's host
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Accept any certificate: an attacker on the way can read and change everything
    #[arg(long)]
    tls_allow_insecure: bool,
    /// Name for basic auth; TLS only
    #[arg(long, value_name = "NAME")]
    basic_auth_username: Option<String>,
    /// Password for basic auth; others see it in the list of processes: the variable HUBBLE_BASIC_AUTH_PASSWORD is better
    #[arg(long, value_name = "PASSWORD")]
    basic_auth_password: Option<String>,
}

/// Values of the variables `HUBBLE_…`.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The address of the flag, else of the variable.
pub(super) fn named_address(flag: Option<&str>, variables: Variables<'_>) -> Result<Option<Address>, ObserveError> {
    let text = flag.map(str::to_owned).or_else(|| variables("HUBBLE_SERVER"));
    let parsed = text.map(|text| text.parse().map_err(|error| ObserveError::Usage(format!("--server: {error}"))));
    parsed.transpose()
}

/// The address of our own server: the first unix socket, else the first IP address, with TLS if it has a certificate.
pub(super) fn own_address(hubble: &Hubble) -> Result<Address, ObserveError> {
    let is_unix = |listen: &&Listen| matches!(listen, Listen::Unix(_));
    match hubble.listen.iter().find(is_unix).or_else(|| hubble.listen.first()) {
        None => Err(ObserveError::NoServer),
        Some(Listen::Unix(path)) => Ok(Address::Unix(path.clone())),
        Some(Listen::Tcp(address)) => {
            // An unspecified address is reached by loopback.
            let ip = address.ip();
            let host = match (ip.is_unspecified(), ip.is_ipv4()) {
                (true, true) => "127.0.0.1".to_owned(),
                (true, false) => "::1".to_owned(),
                (false, _) => ip.to_string(),
            };
            Ok(Address::Tcp { host, port: address.port(), tls: hubble.tls.cert.is_some() })
        }
    }
}

impl ConnectionFlags {
    pub(super) fn config(&self, variables: Variables<'_>) -> Result<ClientConfig, ObserveError> {
        let tls = self.tls_config(variables)?;
        let is_tls = is_set(self.tls, "HUBBLE_TLS", variables)? || tls != TlsConfig::default();
        let basic_auth = both(
            text(&self.basic_auth_username, "HUBBLE_BASIC_AUTH_USERNAME", variables),
            text(&self.basic_auth_password, "HUBBLE_BASIC_AUTH_PASSWORD", variables),
            ["--basic-auth-username", "--basic-auth-password"],
        )?;
        let timeout = match text(&self.timeout, "HUBBLE_TIMEOUT", variables) {
            None => ClientConfig::default().timeout,
            Some(text) => match go_duration::parse(&text).and_then(|nanoseconds| u64::try_from(nanoseconds).ok()) {
                Some(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
                _ => return Err(ObserveError::Usage(format!("--timeout: {text:?} is no duration such as 5s"))),
            },
        };
        Ok(ClientConfig { tls: is_tls.then_some(tls), timeout, basic_auth })
    }

    fn tls_config(&self, variables: Variables<'_>) -> Result<TlsConfig, ObserveError> {
        let path = |flag: &Option<PathBuf>, name: &str| {
            flag.clone().or_else(|| variables(name).map(PathBuf::from)).filter(|path| !path.as_os_str().is_empty())
        };
        let ca = match variables("HUBBLE_TLS_CA_CERT_FILES").filter(|list| !list.is_empty()) {
            Some(list) if self.tls_ca_cert_files.is_empty() => list.split([',', ' ']).map(PathBuf::from).collect(),
            _ => self.tls_ca_cert_files.clone(),
        };
        Ok(TlsConfig {
            ca,
            identity: both(
                path(&self.tls_client_cert_file, "HUBBLE_TLS_CLIENT_CERT_FILE"),
                path(&self.tls_client_key_file, "HUBBLE_TLS_CLIENT_KEY_FILE"),
                ["--tls-client-cert-file", "--tls-client-key-file"],
            )?,
            server_name: text(&self.tls_server_name, "HUBBLE_TLS_SERVER_NAME", variables),
            allow_insecure: is_set(self.tls_allow_insecure, "HUBBLE_TLS_ALLOW_INSECURE", variables)?,
        })
    }
}

/// The value of a flag, else of a variable; `None` if it is empty.
fn text(flag: &Option<String>, name: &str, variables: Variables<'_>) -> Option<String> {
    flag.clone().or_else(|| variables(name)).filter(|text| !text.is_empty())
}

/// Returns whether a flag or a variable is set, by the words of Go's `strconv.ParseBool`.
fn is_set(flag: bool, name: &str, variables: Variables<'_>) -> Result<bool, ObserveError> {
    match variables(name).as_deref() {
        _ if flag => Ok(true),
        None | Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(other) => Err(ObserveError::Usage(format!("{name}: invalid value {other:?}: expected true or false"))),
    }
}

/// Two values that belong together.
fn both<T>(first: Option<T>, second: Option<T>, flags: [&str; 2]) -> Result<Option<(T, T)>, ObserveError> {
    match (first, second) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        _ => {
            let [first, second] = flags;
            Err(ObserveError::Usage(format!("{first} and {second} belong together: one is missing")))
        }
    }
}
