//! The certificates of our servers, with the keys of their settings.

use std::path::Path;

use eyepiece_config::{ServerTls, Settings};

use super::error::SettingError;
use crate::serve::tls::{TlsError, TlsFiles};
use crate::support::pem::PemError;

/// The certificates of one server.
pub(super) struct Certificates<'a> {
    tls: &'a ServerTls,
    /// The keys of certificate, private key and authorities of clients.
    keys: [&'static str; 3],
}

impl<'a> Certificates<'a> {
    /// Those of Hubble's API.
    pub(super) const fn of_hubble(settings: &'a Settings) -> Self {
        Self { tls: &settings.hubble.tls, keys: ["hubble.tls.cert", "hubble.tls.key", "hubble.tls.client_ca"] }
    }

    /// Those of the Prometheus endpoint.
    pub(super) const fn of_prometheus(settings: &'a Settings) -> Self {
        let keys = ["prometheus.tls.cert", "prometheus.tls.key", "prometheus.tls.client_ca"];
        Self { tls: &settings.prometheus.tls, keys }
    }

    /// The files; `None` without a certificate.
    pub(super) fn files(&self) -> Option<TlsFiles> {
        let ServerTls { cert, key, client_ca } = self.tls;
        Some(TlsFiles { cert: cert.clone()?, key: key.clone()?, client_ca: client_ca.clone() })
    }

    /// Each key with its file, in the order certificate, private key, authorities of clients.
    pub(super) fn by_key(&self) -> [(&'static str, Option<&'a Path>); 3] {
        let ServerTls { cert, key, client_ca } = self.tls;
        let [of_cert, of_key, of_client_ca] = self.keys;
        [(of_cert, cert.as_deref()), (of_key, key.as_deref()), (of_client_ca, client_ca.as_deref())]
    }

    /// A file that cannot be used, under its own key.
    pub(super) fn error(&self, error: &TlsError) -> SettingError {
        let [(cert, _), (private, key), (client_ca, authorities)] = self.by_key();
        let (key, right) = match error {
            TlsError::File(PemError { path, .. }) if authorities == Some(path) => {
                (client_ca, "use a PEM file of the authorities of clients")
            }
            TlsError::File(PemError { path, .. }) if key == Some(path) => {
                (private, "use a PEM file of the certificate's private key")
            }
            _ => (cert, "use PEM files of a certificate and its key"),
        };
        SettingError { key, wrong: error.to_string(), right }
    }
}
