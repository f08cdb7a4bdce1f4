//! Checks a request's `Host` against DNS rebinding.
//!
//! A web page can resolve its own name to 127.0.0.1; a browser on this machine would then let it read /status. The page
//! cannot change the `Host` that the browser sends.

use std::net::IpAddr;
use std::str::FromStr as _;

use http::{HeaderMap, StatusCode, Uri, Version, header, uri::Authority};

/// Checks the host of a request.
///
/// # Errors
/// The status of the refusal: 421 for another host's name, 400 for a missing, repeated or invalid `Host`.
pub(super) fn check(uri: &Uri, version: Version, headers: &HeaderMap, hosts: &[String]) -> Result<(), StatusCode> {
    let mut values = headers.get_all(header::HOST).iter();
    let host = match (values.next(), values.next()) {
        (Some(host), None) => Some(host.to_str().ok().and_then(|host| Authority::from_str(host).ok())),
        (Some(_), Some(_)) => return Err(StatusCode::BAD_REQUEST),
        // Optional in HTTP/1.0; browsers always send it.
        (None, _) if version <= Version::HTTP_10 => None,
        (None, _) => return Err(StatusCode::BAD_REQUEST),
    };
    let host = host.map(|host| host.ok_or(StatusCode::BAD_REQUEST)).transpose()?;
    // A request target in absolute form has a host too.
    for name in host.iter().chain(uri.authority()).map(Authority::host) {
        if !is_allowed(name, hosts) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
    }
    Ok(())
}

/// Returns whether a name is an IP address, `localhost`, or in `admin.hosts`: a web page's name is none of these.
fn is_allowed(name: &str, hosts: &[String]) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let name = bare(name);
    address.parse::<IpAddr>().is_ok() || name == "localhost" || hosts.iter().any(|host| bare(host) == name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode, Version, header};

    use super::check;

    #[test]
    fn only_own_hosts_are_allowed() {
        let refused = Err(StatusCode::MISDIRECTED_REQUEST);
        let invalid = Err(StatusCode::BAD_REQUEST);
        for (uri, hosts, version, expected) in [
            ("/status", &["127.0.0.1:9966"][..], Version::HTTP_11, Ok(())),
            ("/status", &["[::1]:9966"], Version::HTTP_11, Ok(())),
            ("/status", &["10.1.2.3"], Version::HTTP_11, Ok(())),
            ("/status", &["localhost:9966"], Version::HTTP_11, Ok(())),
            ("/status", &["LocalHost."], Version::HTTP_11, Ok(())),
            ("/status", &["node1.Example.:9966"], Version::HTTP_11, Ok(())),
            ("/status", &["evil.example:9966"], Version::HTTP_11, refused),
            ("/status", &["evil.example"], Version::HTTP_10, refused),
            ("/status", &["127.0.0.1.evil.example"], Version::HTTP_11, refused),
            ("/status", &["localhost.evil.example"], Version::HTTP_11, refused),
            ("/status", &["2130706433.x"], Version::HTTP_11, refused),
            ("/status", &["localhost", "evil.example"], Version::HTTP_11, invalid),
            ("/status", &[""], Version::HTTP_11, invalid),
            ("/status", &["a b"], Version::HTTP_11, invalid),
            ("/status", &[], Version::HTTP_11, invalid),
            ("/status", &[], Version::HTTP_10, Ok(())),
            ("http://evil.example/status", &["localhost"], Version::HTTP_11, refused),
            ("http://localhost/status", &["localhost"], Version::HTTP_11, Ok(())),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            let checked = check(&uri.parse().unwrap(), version, &headers, &["node1.example".to_owned()]);
            assert_eq!(checked, expected, "{uri} {hosts:?} {version:?}");
        }
    }
}
