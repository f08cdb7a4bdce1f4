//! An answer of DNS: the addresses of a name.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::l7::{L7, L7Kind, L7Record};

/// The longest name, as a text without trailing dot (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name of the question in lower case, without trailing dot.
    pub name: Arc<str>,
    /// The addresses, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// How long they hold.
    pub ttl: Duration,
}

impl Answer {
    /// The answer in layer 7 of an access-log record; `None` if it is none, or one without an address.
    pub fn of(l7: &L7) -> Option<Self> {
        let L7Record::Dns(dns) = &l7.record else { return None };
        let name = dns.query.strip_suffix('.').unwrap_or(&dns.query);
        let is_name = (1..=MAX_NAME).contains(&name.len()) && !name.contains(|c: char| c.is_control() || c == ' ');
        if l7.kind != L7Kind::Response || dns.rcode != 0 || !is_name {
            return None;
        }
        let addresses: Vec<IpAddr> = dns.ips.iter().filter_map(|text| text.parse().ok()).collect();
        let addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
        let ttl = Duration::from_secs(dns.ttl.into());
        (!addresses.is_empty()).then(|| Self { name: name.to_ascii_lowercase().into(), addresses, ttl })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eyepiece_flow::l7::{Dns, L7, L7Kind, L7Record};

    use super::Answer;

    #[test]
    fn answers_with_addresses_are_taken() {
        let dns = |query: &str, ips: &[&str], rcode: u32| Dns {
            query: query.to_owned(),
            ips: ips.iter().map(ToString::to_string).collect(),
            ttl: 30,
            rcode,
            ..Dns::default()
        };
        let l7 = |kind, dns| L7 { kind, record: L7Record::Dns(dns), ..L7::default() };
        let response = |dns| Answer::of(&l7(L7Kind::Response, dns));
        let answer = response(dns("WWW.Example.com.", &["192.0.2.1", "::ffff:192.0.2.2", "x"], 0)).unwrap();
        assert_eq!((&*answer.name, answer.ttl), ("www.example.com", Duration::from_secs(30)));
        assert_eq!(answer.addresses, ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<std::net::IpAddr>().unwrap()));
        let long = "a".repeat(254);
        for (row, other) in [
            ("refused", dns("a.", &["192.0.2.1"], 5)),
            ("no address", dns("a.", &[], 0)),
            ("root", dns(".", &["192.0.2.1"], 0)),
            ("no name", dns("", &["192.0.2.1"], 0)),
            ("control character", dns("a\u{1b}b.", &["192.0.2.1"], 0)),
            ("too long", dns(&long, &["192.0.2.1"], 0)),
        ] {
            assert_eq!(response(other), None, "{row}");
        }
        assert_eq!(Answer::of(&l7(L7Kind::Request, dns("a.", &["192.0.2.1"], 0))), None);
        assert_eq!(Answer::of(&L7 { kind: L7Kind::Response, ..L7::default() }), None);
    }
}
