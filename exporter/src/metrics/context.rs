//! Contexts: what stands for a flow's end in a metric, as Hubble's `sourceContext` and `destinationContext` say it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::flow::End;
use crate::symbols::Symbol;

/// One way to name an end of a flow. Names are those of Hubble's context options; `name` is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// The labels of the security identity.
    Identity,
    /// The Kubernetes namespace.
    Namespace,
    /// Namespace and name of the pod.
    Pod,
    /// Name of the pod.
    PodName,
    /// DNS names.
    Dns,
    /// The IP address.
    Ip,
    /// The reserved label of the security identity.
    ReservedIdentity,
    /// Namespace and name of the workload.
    Workload,
    /// Name of the workload.
    WorkloadName,
    /// The application's label.
    App,
    /// The endpoint's interface, `host` or `world`: known without any metadata.
    Name,
}

impl Identifier {
    /// Every identifier.
    pub const ALL: [Self; 11] = [
        Self::Identity,
        Self::Namespace,
        Self::Pod,
        Self::PodName,
        Self::Dns,
        Self::Ip,
        Self::ReservedIdentity,
        Self::Workload,
        Self::WorkloadName,
        Self::App,
        Self::Name,
    ];

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Namespace => "namespace",
            Self::Pod => "pod",
            Self::PodName => "pod-name",
            Self::Dns => "dns",
            Self::Ip => "ip",
            Self::ReservedIdentity => "reserved-identity",
            Self::Workload => "workload",
            Self::WorkloadName => "workload-name",
            Self::App => "app",
            Self::Name => "name",
        }
    }

    fn value(self, end: &End, address: Option<IpAddr>) -> Value {
        match self {
            Self::Name if end.name != Symbol::EMPTY => Value::Symbol(end.name),
            Self::Ip => address.map_or(Value::None, Value::Ip),
            Self::Identity if end.identity != 0 => Value::Identity(end.identity),
            Self::ReservedIdentity if reserved_name(end.identity).is_some() => Value::Reserved(end.identity),
            // No metadata tells these yet: an end without it has none of them.
            _ => Value::None,
        }
    }
}

/// A text that is no context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown context identifier `{identifier}`: valid ones are {}", Valid)]
pub struct ContextError {
    /// What is not known.
    pub identifier: String,
}

struct Valid;

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, identifier) in Identifier::ALL.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(identifier.name())?;
        }
        Ok(())
    }
}

/// Identifiers in order: the first that an end has names it. Without any, the metric has no label for the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(Box<[Identifier]>);

impl Context {
    /// The label is left out.
    pub fn absent() -> Self {
        Self::default()
    }

    /// A context of these identifiers, in order.
    pub fn of(identifiers: &[Identifier]) -> Self {
        let mut kept = Vec::new();
        for &identifier in identifiers {
            if !kept.contains(&identifier) {
                kept.push(identifier);
            }
        }
        Self(kept.into())
    }

    /// Whether the label is left out.
    pub fn is_absent(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the label is an address and nothing else.
    pub fn is_address(&self) -> bool {
        *self.0 == [Identifier::Ip]
    }

    /// What stands for an end whose address is `address`.
    pub fn value(&self, end: &End, address: Option<IpAddr>) -> Value {
        for identifier in &self.0 {
            let value = identifier.value(end, address);
            if value != Value::None {
                return value;
            }
        }
        Value::None
    }
}

impl FromStr for Context {
    type Err = ContextError;

    /// Reads `pod|reserved-identity|ip`, in any case, as Hubble does; the empty text leaves the label out.
    fn from_str(text: &str) -> Result<Self, ContextError> {
        if text.is_empty() {
            return Ok(Self::absent());
        }
        let identifiers = text
            .split('|')
            .map(|part| {
                let known = Identifier::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(part));
                known.ok_or_else(|| ContextError { identifier: part.to_owned() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(&identifiers))
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, identifier) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "|" })?;
            f.write_str(identifier.name())?;
        }
        Ok(())
    }
}

/// Name of a reserved security identity: Cilium `pkg/identity/numericidentity.go`.
pub const fn reserved_name(identity: u32) -> Option<&'static str> {
    Some(match identity {
        1 => "host",
        2 => "world",
        3 => "unmanaged",
        4 => "health",
        5 => "init",
        6 => "remote-node",
        7 => "kube-apiserver",
        8 => "ingress",
        9 => "world-ipv4",
        10 => "world-ipv6",
        _ => return None,
    })
}

/// What a context made of an end: a number, whose text is looked up when it is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Nothing that the context asks for is known: the empty text.
    #[default]
    None,
    /// A name.
    Symbol(Symbol),
    /// An address.
    Ip(IpAddr),
    /// A security identity, as its labels.
    Identity(u32),
    /// A reserved security identity, as its reserved label.
    Reserved(u32),
}

/// A [`Value`] as plain words, for keys: hashing and comparing them takes no branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    /// Which [`Value`] it is; fits 3 bits.
    pub(super) tag: u8,
    pub(super) high: u64,
    pub(super) low: u64,
}

impl Packed {
    pub(super) fn new(value: Value) -> Self {
        let (tag, high, low) = match value {
            Value::None => (0, 0, 0),
            Value::Symbol(symbol) => (1, 0, u64::from(symbol.number())),
            Value::Ip(IpAddr::V4(address)) => (2, 0, u64::from(address.to_bits())),
            Value::Ip(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                // Truncation is meant: the two halves of the address.
                (3, (bits >> 64) as u64, bits as u64)
            }
            Value::Identity(identity) => (4, 0, u64::from(identity)),
            Value::Reserved(identity) => (5, 0, u64::from(identity)),
        };
        Self { tag, high, low }
    }

    pub(super) fn value(self) -> Value {
        // Truncation is meant: all but an IPv6 address have 32 bits.
        let low = self.low as u32;
        match self.tag {
            1 => Value::Symbol(Symbol::from_number(low)),
            2 => Value::Ip(Ipv4Addr::from_bits(low).into()),
            3 => Value::Ip(Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)).into()),
            4 => Value::Identity(low),
            5 => Value::Reserved(low),
            _ => Value::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Context, ContextError, Identifier, Packed, Value, reserved_name};
    use crate::flow::End;
    use crate::symbols::{Symbol, Symbols};

    #[test]
    fn contexts_are_read_as_hubble_writes_them() {
        use Identifier::{Ip, Name, Pod, ReservedIdentity};
        let unknown = |identifier: &str| Err(ContextError { identifier: identifier.to_owned() });
        let table: [(&str, Result<&[Identifier], ContextError>); 9] = [
            ("", Ok(&[])),
            ("ip", Ok(&[Ip])),
            ("Pod|RESERVED-identity|ip", Ok(&[Pod, ReservedIdentity, Ip])),
            ("name|name|ip|name", Ok(&[Name, Ip])),
            ("pods", unknown("pods")),
            ("ip|", unknown("")),
            ("|", unknown("")),
            ("ip |pod", unknown("ip ")),
            ("pod|Ip|nAmes", unknown("nAmes")),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Context>(), expected.map(Context::of), "{text:?}");
        }
        for identifier in Identifier::ALL {
            let context: Context = identifier.name().parse().expect("its own name");
            assert_eq!(context.to_string(), identifier.name());
        }
    }

    #[test]
    fn the_error_names_what_is_wrong_and_what_is_right() {
        let error = "ip|pds".parse::<Context>().expect_err("pds is no identifier");
        assert_eq!(
            error.to_string(),
            "unknown context identifier `pds`: valid ones are identity, namespace, pod, pod-name, dns, ip, \
             reserved-identity, workload, workload-name, app, name"
        );
    }

    #[test]
    fn the_first_identifier_that_an_end_has_names_it() {
        let symbols = Symbols::default();
        let veth = symbols.intern("veth0");
        let address: IpAddr = "10.0.0.1".parse().expect("an address");
        let bare = End::default();
        let host = End { endpoint: 0, identity: 1, name: symbols.intern("host") };
        let pod = End { endpoint: 7, identity: 4711, name: veth };
        let some = Some(address);
        let table = [
            ("name", bare, some, Value::None),
            ("name", pod, some, Value::Symbol(veth)),
            ("name|ip", bare, some, Value::Ip(address)),
            ("ip", pod, None, Value::None),
            ("ip|name", pod, None, Value::Symbol(veth)),
            ("reserved-identity", host, some, Value::Reserved(1)),
            ("reserved-identity", pod, some, Value::None),
            ("reserved-identity|ip", pod, some, Value::Ip(address)),
            ("identity", host, some, Value::Identity(1)),
            ("identity", pod, some, Value::Identity(4711)),
            ("identity", bare, some, Value::None),
            ("pod|namespace|pod-name|dns|workload|workload-name|app", pod, some, Value::None),
            ("pod|name", pod, some, Value::Symbol(veth)),
            ("", pod, some, Value::None),
        ];
        for (text, end, address, expected) in table {
            let context: Context = text.parse().expect(text);
            assert_eq!(context.value(&end, address), expected, "{text:?}");
        }
    }

    #[test]
    fn values_survive_packing_and_differ_packed() {
        let values = [
            Value::None,
            Value::Symbol(Symbol::EMPTY),
            Value::Symbol(Symbol::from_number(u32::MAX)),
            Value::Ip("0.0.0.0".parse().expect("an address")),
            Value::Ip("255.255.255.255".parse().expect("an address")),
            Value::Ip("::".parse().expect("an address")),
            Value::Ip("ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888".parse().expect("an address")),
            Value::Identity(0),
            Value::Identity(u32::MAX),
            Value::Reserved(0),
        ];
        for (index, value) in values.into_iter().enumerate() {
            assert_eq!(Packed::new(value).value(), value);
            assert!(Packed::new(value).tag < 8);
            for other in values.into_iter().skip(index + 1) {
                assert_ne!(Packed::new(value), Packed::new(other));
            }
        }
    }

    #[test]
    fn reserved_identities_are_ciliums() {
        assert_eq!(reserved_name(0), None);
        assert_eq!(reserved_name(1), Some("host"));
        assert_eq!(reserved_name(10), Some("world-ipv6"));
        assert_eq!(reserved_name(11), None);
    }
}
