//! The format of the file of names: TOML with `[[name]]` and `[[service]]`, as in config/examples/names.toml.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use eyepiece_flow::metadata::{EndMetadata, Service, Workload};
use eyepiece_flow::protocol;
use serde::Deserialize;
use toml::Spanned;

use crate::metadata::identity_of_labels;
use crate::metadata::provider::{Entity, EntityKind, Key, Target};

/// The most addresses of a file: as many as the smallest of them have room for in its largest size.
const MAX_KEYS: usize = 65_536;
/// The longest text: that of a DNS name.
const MAX_TEXT: usize = 253;

/// The content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Its entries.
    pub(super) entries: Vec<(Key, Target)>,
    /// The number of names and services.
    pub(super) objects: usize,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("invalid line {line}, key {key}: {cause}")]
pub(super) struct Mistake {
    /// Line, from 1 on.
    line: usize,
    /// The key, or what the line has in its place.
    key: String,
    cause: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    name: Vec<Entry>,
    #[serde(default)]
    service: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    addresses: Vec<Spanned<String>>,
    namespace: Option<Spanned<String>>,
    workload: Option<Spanned<String>>,
    #[serde(default)]
    labels: BTreeMap<String, Spanned<String>>,
}

/// Parses a file.
pub(super) fn parse(text: &str) -> Result<Content, Mistake> {
    let document: Document = toml::from_str(text).map_err(|error| invalid_toml(text, &error))?;
    let mut reader = Reader { text, seen: HashMap::new(), content: Content::default() };
    for entry in &document.name {
        let entity = reader.named(entry)?;
        reader.add(
            entry,
            &entity,
            address_key,
            "an IP address, or a prefix such as 192.0.2.0/24 with zeros behind its length",
        )?;
    }
    for entry in &document.service {
        let entity = reader.service(entry)?;
        reader.add(entry, &entity, service_key, "address:port/protocol, such as 192.0.2.10:5432/tcp")?;
    }
    Ok(reader.content)
}

struct Reader<'a> {
    text: &'a str,
    /// Where each key stands, as an offset.
    seen: HashMap<Key, usize>,
    content: Content,
}

impl Reader<'_> {
    fn named(&self, entry: &Entry) -> Result<Entity, Mistake> {
        let workload = self.optional("workload", entry.workload.as_ref())?;
        let workloads = workload.map(|name| Workload { name, kind: String::new() });
        let entity = self.entity(EntityKind::Named, entry, workloads.into_iter().collect())?;
        Ok(Entity { pod_name: entity.name.as_str().into(), ..entity })
    }

    fn service(&self, entry: &Entry) -> Result<Entity, Mistake> {
        if let Some(workload) = &entry.workload {
            return Err(self.mistake(workload, "workload", "a service has no workload"));
        }
        let entity = self.entity(EntityKind::Service, entry, Vec::new())?;
        let (name, namespace) = (entity.name.clone(), entity.metadata.namespace.clone());
        Ok(Entity { service: Some(Arc::new(Service { name, namespace })), ..entity })
    }

    fn entity(&self, kind: EntityKind, entry: &Entry, workloads: Vec<Workload>) -> Result<Entity, Mistake> {
        let name = self.checked("name", &entry.name)?;
        if entry.addresses.is_empty() {
            return Err(self.mistake(&entry.name, "addresses", "the list is empty; expected at least one address"));
        }
        let namespace = self.optional("namespace", entry.namespace.as_ref())?.unwrap_or_default();
        let labels = self.labels(entry)?;
        // Without labels the identity is not known: all such names would share one.
        let identity = if labels.is_empty() { 0 } else { identity_of_labels(labels.iter().map(String::as_str)) };
        let metadata = EndMetadata { namespace, labels, workloads, ..EndMetadata::default() };
        Ok(Entity { kind, name, identity, ..Entity::of(metadata) })
    }

    fn labels(&self, entry: &Entry) -> Result<Vec<String>, Mistake> {
        let mut labels = Vec::with_capacity(entry.labels.len());
        for (key, value) in &entry.labels {
            if key.is_empty() || key.len() > MAX_TEXT || key.contains('=') || key.contains(char::is_control) {
                return Err(self.mistake(
                    value,
                    "labels",
                    format!("{key:?} is no label's key; expected a text without ="),
                ));
            }
            let value = self.checked("labels", value)?;
            labels.push(format!("file:{key}={value}"));
        }
        labels.sort_unstable();
        Ok(labels)
    }

    fn optional(&self, key: &str, value: Option<&Spanned<String>>) -> Result<Option<String>, Mistake> {
        value.map(|value| self.checked(key, value)).transpose()
    }

    fn checked(&self, key: &str, value: &Spanned<String>) -> Result<String, Mistake> {
        let text = value.get_ref();
        let is_valid = !text.is_empty() && text.len() <= MAX_TEXT && !text.contains(char::is_control);
        let cause = || format!("{text:.32?}; expected a text of 1 to {MAX_TEXT} bytes without control characters");
        is_valid.then(|| text.clone()).ok_or_else(|| self.mistake(value, key, cause()))
    }

    /// Adds the entity at all its addresses.
    fn add(
        &mut self,
        entry: &Entry,
        entity: &Entity,
        key: fn(&str) -> Option<Key>,
        expected: &str,
    ) -> Result<(), Mistake> {
        let entity = Arc::new(entity.clone());
        for address in &entry.addresses {
            let text = address.get_ref();
            let mistake = |cause: String| self.mistake(address, "addresses", cause);
            let Some(key) = key(text) else {
                return Err(mistake(format!("{text:.64?}; expected {expected}")));
            };
            if self.seen.len() == MAX_KEYS {
                return Err(mistake(format!("more than {MAX_KEYS} addresses")));
            }
            if let Some(before) = self.seen.insert(key.clone(), address.span().start) {
                let line = line_of(self.text, before);
                return Err(self.mistake(address, "addresses", format!("{text:?} is in line {line} too")));
            }
            self.content.entries.push((key, Target::Entity(entity.clone())));
        }
        self.content.objects += 1;
        Ok(())
    }

    fn mistake(&self, at: &Spanned<String>, key: &str, cause: impl Into<String>) -> Mistake {
        Mistake { line: line_of(self.text, at.span().start), key: key.to_owned(), cause: cause.into() }
    }
}

/// The key of `ADDRESS` or `ADDRESS/LENGTH`; the bits behind a prefix are zero.
fn address_key(text: &str) -> Option<Key> {
    let Some((address, length)) = text.split_once('/') else {
        return Some(Key::Address(canonical(text.parse().ok()?)));
    };
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    let (value, bits) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), Ipv4Addr::BITS),
        IpAddr::V6(address) => (address.to_bits(), Ipv6Addr::BITS),
    };
    let rest = bits.checked_sub(u32::from(length))?;
    let mask = 1_u128.checked_shl(rest).map_or(u128::MAX, |bit| bit - 1);
    match rest {
        0 => Some(Key::Address(canonical(address))),
        _ => (value & mask == 0).then_some(Key::Prefix(address, length)),
    }
}

/// The key of `ADDRESS:PORT/PROTOCOL`.
fn service_key(text: &str) -> Option<Key> {
    let (address, protocol) = text.split_once('/')?;
    let address: SocketAddr = address.parse().ok()?;
    let protocol = match protocol {
        "tcp" => protocol::TCP,
        "udp" => protocol::UDP,
        "sctp" => protocol::SCTP,
        _ => return None,
    };
    Some(Key::Service { address: canonical(address.ip()), port: address.port(), protocol })
}

/// The address as flows have it: IPv4 is never mapped to IPv6.
const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn invalid_toml(text: &str, error: &toml::de::Error) -> Mistake {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let key = source.split('=').next().unwrap_or_default().trim();
    let cause = error.message().replace('\n', ", ");
    Mistake { line, key: format!("{key:.64}"), cause }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::{Content, MAX_KEYS, parse};
    use crate::metadata::identity_of_labels;
    use crate::metadata::provider::{EntityKind, Key, Target};

    const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/names.toml"));

    /// Each entry as `KEY KIND NAMESPACE/NAME WORKLOAD LABELS SERVICE`.
    fn lines(content: &Content) -> Vec<String> {
        let line = |(key, target): &(Key, Target)| {
            let Target::Entity(entity) = target else { panic!("{target:?}") };
            let metadata = &entity.metadata;
            let key = match key {
                Key::Address(address) => address.to_string(),
                Key::Prefix(address, length) => format!("{address}/{length}"),
                Key::Service { address, port, protocol } => format!("{address} {port} {protocol}"),
                key => panic!("{key:?}"),
            };
            let workloads: Vec<_> = metadata.workloads.iter().map(|workload| workload.name.as_str()).collect();
            let service = entity.service.as_ref().map(|service| format!("{}/{}", service.namespace, service.name));
            format!(
                "{key} {:?} {}/{} [{}] [{}] {}",
                entity.kind,
                metadata.namespace,
                entity.name,
                workloads.join(" "),
                metadata.labels.join(" "),
                service.unwrap_or_default()
            )
        };
        content.entries.iter().map(line).collect()
    }

    #[test]
    fn example_names_addresses_and_services() {
        let content = parse(EXAMPLE).unwrap();
        assert_eq!(content.objects, 3);
        let (db, labels) = ("Named shop/db-1 [postgres]", "[file:owner=db-team file:site=north file:zone=eu-1]");
        let service = "Service shop/postgres [] [file:owner=db-team] shop/postgres";
        assert_eq!(
            lines(&content),
            [
                format!("192.0.2.5 {db} {labels} "),
                format!("2001:db8::5 {db} {labels} "),
                "198.51.100.0/24 Named /office [] [file:site=north] ".to_owned(),
                "2001:db8:1::/48 Named /office [] [file:site=north] ".to_owned(),
                format!("192.0.2.10 5432 6 {service}"),
                format!("2001:db8::10 5432 6 {service}"),
            ]
        );
        let Target::Entity(entity) = &content.entries[2].1 else { panic!() };
        assert_eq!(entity.identity, identity_of_labels(["file:site=north"]));
        assert_eq!((entity.kind, &*entity.pod_name), (EntityKind::Named, "office"));
    }

    #[test]
    fn addresses_have_one_form() {
        for (text, expected) in [
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("2001:DB8::1/128", "2001:db8::1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            let content = parse(&format!("[[name]]\nname = \"a\"\naddresses = [\"{text}\"]")).unwrap();
            assert_eq!(lines(&content), [format!("{expected} Named /a [] [] ")], "{text}");
            let Target::Entity(entity) = &content.entries[0].1 else { panic!() };
            assert_eq!(entity.identity, 0, "without labels");
        }
        assert_eq!(parse("# nothing").unwrap(), Content::default());
    }

    #[test]
    fn mistakes_name_line_and_key() {
        let address = "expected an IP address, or a prefix such as 192.0.2.0/24 with zeros behind its length";
        let service = "expected address:port/protocol, such as 192.0.2.10:5432/tcp";
        let text = "expected a text of 1 to 253 bytes without control characters";
        let name = |rest: &str| format!("[[name]]\nname = \"a\"\n{rest}");
        for (file, expected) in [
            (name("addresses = [\n  \"192.0.2.1\",\n  \"192.0.2.300\",\n]"), format!("5, key addresses: \"192.0.2.300\"; {address}")),
            (name("addresses = [\"192.0.2.1/24\"]"), format!("3, key addresses: \"192.0.2.1/24\"; {address}")),
            (name("addresses = [\"192.0.2.0/33\"]"), format!("3, key addresses: \"192.0.2.0/33\"; {address}")),
            (name("addresses = [\"192.0.2.1\",\n\"::ffff:192.0.2.1\"]"), "4, key addresses: \"::ffff:192.0.2.1\" is in line 3 too".into()),
            (name("addresses = []"), "2, key addresses: the list is empty; expected at least one address".into()),
            (name("addresses = [\"::1\"]\nworkload = \"\""), format!("4, key workload: \"\"; {text}")),
            (name("addresses = [\"::1\"]\nnamespace = \"a\\u0007\""), format!("4, key namespace: \"a\\u{{7}}\"; {text}")),
            (name("addresses = [\"::1\"]\nlabels.\"a=b\" = \"c\""), "4, key labels: \"a=b\" is no label's key; expected a text without =".into()),
            ("[[service]]\nname = \"a\"\naddresses = [\"192.0.2.1:53\"]".into(), format!("3, key addresses: \"192.0.2.1:53\"; {service}")),
            ("[[service]]\nname = \"a\"\naddresses = [\"192.0.2.1:53/icmp\"]".into(), format!("3, key addresses: \"192.0.2.1:53/icmp\"; {service}")),
            ("[[service]]\nname = \"a\"\naddresses = [\"192.0.2.1:53/udp\"]\nworkload = \"b\"".into(), "4, key workload: a service has no workload".into()),
            (name("addresses = 5"), "3, key addresses: invalid type: integer `5`, expected a sequence".into()),
            (name("address = []"), "3, key address: unknown field `address`, expected one of `name`, `addresses`, `namespace`, `workload`, `labels`".into()),
            ("\n[[name]]\nname = \"a\"".into(), "2, key [[name]]: missing field `addresses`".into()),
            ("[[nam]]".into(), "1, key [[nam]]: unknown field `nam`, expected `name` or `service`".into()),
        ] {
            assert_eq!(parse(&file).unwrap_err().to_string(), format!("invalid line {expected}"), "{file}");
        }
    }

    #[test]
    fn addresses_beyond_limit_are_refused() {
        let file = |count: usize| {
            let addresses: Vec<_> = (0..count)
                .map(|number| format!("\"10.{}.{}.{}\"", number >> 16, number >> 8 & 255, number & 255))
                .collect();
            parse(&format!("[[name]]\nname = \"a\"\naddresses = [{}]", addresses.join(",")))
        };
        assert_eq!(file(MAX_KEYS).unwrap().entries.len(), MAX_KEYS);
        let error = file(MAX_KEYS + 1).unwrap_err().to_string();
        assert_eq!(error, "invalid line 3, key addresses: more than 65536 addresses");
    }
}
