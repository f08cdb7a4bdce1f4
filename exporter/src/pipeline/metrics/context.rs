//! Contexts: how a metric names an end of its flows, as Hubble's `sourceContext` and `destinationContext`.

use std::borrow::Cow;
use std::str::FromStr;

pub use eyepiece_config::Context as Identifier;
use eyepiece_flow::flow::End;
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::lookup::EndEntity;
use eyepiece_flow::names::reserved_identity_label;

use super::ends::{NONE, PackedValue};
use crate::metadata::context_names::{self, ContextNames};

/// Identifiers in order: the first one that an end has names it. Without any, the metric has no label for the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Only the first `len` are valid. Stored in place, because every flow reads them.
    identifiers: [Identifier; Identifier::NAMES.len()],
    len: u8,
}

impl Default for Context {
    fn default() -> Self {
        Self { identifiers: [Identifier::Name; Identifier::NAMES.len()], len: 0 }
    }
}

impl Context {
    /// A context without a label.
    pub fn absent() -> Self {
        Self::default()
    }

    /// A context of these identifiers in order, each once.
    pub fn of(identifiers: &[Identifier]) -> Self {
        let mut context = Self::default();
        for &identifier in identifiers {
            if !context.identifiers().contains(&identifier) {
                // Each is there once, so there is room.
                context.identifiers[usize::from(context.len)] = identifier;
                context.len += 1;
            }
        }
        context
    }

    /// The identifiers in order.
    pub fn identifiers(&self) -> &[Identifier] {
        self.identifiers.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Returns whether the metric has no label for the end.
    pub fn is_absent(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the label is always an address.
    pub fn is_address(&self) -> bool {
        *self.identifiers() == [Identifier::Ip]
    }

    /// Returns whether an address may be the label.
    pub fn may_be_address(&self) -> bool {
        self.identifiers().contains(&Identifier::Ip)
    }

    /// The identifiers that an end can have without an entity.
    pub(super) fn without_entity(&self) -> Self {
        use Identifier::{Identity, Ip, Name, ReservedIdentity};
        let own = self.identifiers().iter().filter(|own| matches!(own, Name | Ip | Identity | ReservedIdentity));
        Self::of(&own.copied().collect::<Vec<_>>())
    }

    /// Returns the value of an end, whose entity has these names.
    #[inline]
    pub(super) fn packed(&self, end: &End, has_address: bool, names: &ContextNames) -> PackedValue {
        for identifier in self.identifiers() {
            let symbol = names.get(*identifier);
            if symbol != Symbol::EMPTY {
                return PackedValue::symbol(symbol);
            }
            let packed = packed(*identifier, end, has_address);
            if packed.tag != NONE {
                return packed;
            }
        }
        PackedValue::NONE
    }

    /// The value of an end whose flow carries its entity, and what keeps the value's text alive. As in Hubble, its labels
    /// alone are its identity.
    pub(super) fn packed_carried(
        &self,
        end: &End,
        has_address: bool,
        entity: &EndEntity<'_>,
        symbols: &Symbols,
    ) -> (PackedValue, Option<Lease>) {
        for identifier in self.identifiers() {
            let text = match identifier {
                Identifier::ReservedIdentity => reserved_label(entity.labels).map(Cow::Borrowed),
                identifier => context_names::text(*identifier, entity),
            };
            if let Some(text) = text {
                let lease = symbols.lease(&text);
                return (PackedValue::symbol(lease.symbol()), Some(lease));
            }
            let packed = match identifier {
                Identifier::Identity | Identifier::ReservedIdentity => PackedValue::NONE,
                identifier => packed(*identifier, end, has_address),
            };
            if packed.tag != NONE {
                return (packed, None);
            }
        }
        (PackedValue::NONE, None)
    }
}

#[inline]
fn packed(identifier: Identifier, end: &End, has_address: bool) -> PackedValue {
    match identifier {
        Identifier::Name if end.name != Symbol::EMPTY => PackedValue::symbol(end.name),
        Identifier::Ip if has_address => PackedValue::ADDRESS,
        Identifier::Identity if end.identity != 0 => PackedValue::identity(end.identity),
        Identifier::ReservedIdentity if reserved_identity_label(end.identity).is_some() => {
            PackedValue::reserved(end.identity)
        }
        _ => PackedValue::NONE,
    }
}

/// The reserved label of an identity; that of the API server precedes others.
fn reserved_label(labels: &[String]) -> Option<&str> {
    let mut reserved = labels.iter().map(String::as_str).filter(|label| label.starts_with("reserved:"));
    let first = reserved.clone().next();
    reserved.find(|label| *label == "reserved:kube-apiserver").or(first)
}

impl FromStr for Context {
    type Err = String;

    /// Parses `reserved-identity|ip`. The empty text stands for no label.
    fn from_str(text: &str) -> Result<Self, String> {
        let identifiers = text.split('|').filter(|part| !part.is_empty()).map(str::parse);
        Ok(Self::of(&identifiers.collect::<Result<Vec<_>, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use eyepiece_flow::flow::End;
    use eyepiece_flow::interner::Symbols;

    use super::{Context, Identifier, reserved_label};
    use crate::metadata::context_names::ContextNames;
    use crate::pipeline::metrics::Value;

    #[test]
    fn contexts_have_each_identifier_once() {
        use Identifier::{Ip, Name, Pod, ReservedIdentity, Workload};
        let table: [(&str, Option<&[Identifier]>); 6] = [
            ("", Some(&[])),
            ("ip", Some(&[Ip])),
            ("reserved-identity|ip", Some(&[ReservedIdentity, Ip])),
            ("name|name|ip|name", Some(&[Name, Ip])),
            ("workload|pod", Some(&[Workload, Pod])),
            ("node", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Context>().ok(), expected.map(Context::of), "{text:?}");
        }
    }

    #[test]
    fn first_reserved_label_is_identity() {
        for (labels, expected) in [
            (&["cidr:192.0.2.0/24", "reserved:world"][..], Some("reserved:world")),
            (&["reserved:host", "reserved:kube-apiserver"], Some("reserved:kube-apiserver")),
            (&["k8s:app=web"], None),
        ] {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            assert_eq!(reserved_label(&labels), expected, "{labels:?}");
        }
    }

    #[test]
    fn first_known_identifier_names_end() {
        let symbols = Symbols::default();
        let veth = symbols.intern("veth0");
        let address: IpAddr = "10.0.0.1".parse().expect("an address");
        let bare = End::default();
        let host = End { endpoint: 0, identity: 1, name: symbols.intern("host"), entity: 0 };
        let pod = End { endpoint: 7, identity: 4711, name: veth, entity: 0 };
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
            ("", pod, some, Value::None),
            ("workload|pod|identity", pod, some, Value::Identity(4711)),
        ];
        for (text, end, address, expected) in table {
            let context: Context = text.parse().expect(text);
            for context in [context.without_entity(), context] {
                let packed = context.packed(&end, address.is_some(), ContextNames::NONE);
                assert_eq!(packed.value(address), expected, "{text:?}");
            }
        }
    }
}
