//! Contexts: how a metric names an end of its flows, as Hubble's `sourceContext` and `destinationContext`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use eyepiece_config::Context as Identifier;
use eyepiece_flow::flow::End;
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::lookup::EndEntity;
use eyepiece_flow::names::reserved_identity_label;

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

    /// Returns the value of an end with this address, whose entity has these names.
    pub fn value(&self, end: &End, address: Option<&IpAddr>, names: &ContextNames) -> Value {
        self.packed(end, address, names).value()
    }

    #[inline]
    pub(super) fn packed(&self, end: &End, address: Option<&IpAddr>, names: &ContextNames) -> Packed {
        for identifier in self.identifiers() {
            let symbol = names.get(*identifier);
            if symbol != Symbol::EMPTY {
                return Packed::small(SYMBOL, symbol.number());
            }
            let packed = packed(*identifier, end, address);
            if packed.tag != NONE {
                return packed;
            }
        }
        Packed::NONE
    }

    /// The value of an end whose flow carries its entity, and what keeps the value's text alive.
    pub(super) fn packed_carried(
        &self,
        end: &End,
        address: Option<&IpAddr>,
        entity: &EndEntity<'_>,
        symbols: &Symbols,
    ) -> (Packed, Option<Lease>) {
        for identifier in self.identifiers() {
            if let Some(text) = context_names::text(*identifier, entity) {
                let lease = symbols.lease(&text);
                return (Packed::small(SYMBOL, lease.symbol().number()), Some(lease));
            }
            let packed = packed(*identifier, end, address);
            if packed.tag != NONE {
                return (packed, None);
            }
        }
        (Packed::NONE, None)
    }
}

#[inline]
fn packed(identifier: Identifier, end: &End, address: Option<&IpAddr>) -> Packed {
    match identifier {
        Identifier::Name if end.name != Symbol::EMPTY => Packed::small(SYMBOL, end.name.number()),
        Identifier::Ip => match address {
            Some(IpAddr::V4(address)) => Packed::small(IPV4, address.to_bits()),
            Some(IpAddr::V6(address)) => Packed::ipv6(*address),
            None => Packed::NONE,
        },
        Identifier::Identity if end.identity != 0 => Packed::small(IDENTITY, end.identity),
        Identifier::ReservedIdentity if reserved_identity_label(end.identity).is_some() => {
            Packed::small(RESERVED, end.identity)
        }
        _ => Packed::NONE,
    }
}

impl FromStr for Context {
    type Err = String;

    /// Parses `reserved-identity|ip`. The empty text stands for no label.
    fn from_str(text: &str) -> Result<Self, String> {
        let identifiers = text.split('|').filter(|part| !part.is_empty()).map(str::parse);
        Ok(Self::of(&identifiers.collect::<Result<Vec<_>, _>>()?))
    }
}

/// The value of an end in a context: a number whose text is looked up at the export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Value {
    /// The end has none of the context's identifiers: the empty text.
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

// Tags of `Packed`; all fit 3 bits.
const NONE: u8 = 0;
const SYMBOL: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 3;
const IDENTITY: u8 = 4;
const RESERVED: u8 = 5;

/// A [`Value`] as plain words for keys: hashing and comparing takes no branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// The variant of [`Value`]; fits 3 bits.
    pub(super) tag: u8,
    pub(super) high: u64,
    pub(super) low: u64,
}

impl Packed {
    pub(super) const NONE: Self = Self { tag: NONE, high: 0, low: 0 };

    #[inline]
    fn small(tag: u8, low: u32) -> Self {
        Self { tag, high: 0, low: low.into() }
    }

    #[inline]
    fn ipv6(address: Ipv6Addr) -> Self {
        let bits = address.to_bits();
        // Truncation is intended: the two halves of the address.
        Self { tag: IPV6, high: (bits >> 64) as u64, low: bits as u64 }
    }

    pub(super) fn value(self) -> Value {
        // Truncation is intended: all but IPv6 addresses have 32 bits.
        let low = self.low as u32;
        match self.tag {
            SYMBOL => Value::Symbol(Symbol::from_number(low)),
            IPV4 => Value::Ip(Ipv4Addr::from_bits(low).into()),
            IPV6 => Value::Ip(Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)).into()),
            IDENTITY => Value::Identity(low),
            RESERVED => Value::Reserved(low),
            _ => Value::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use eyepiece_flow::flow::End;
    use eyepiece_flow::interner::{Symbol, Symbols};

    use super::{Context, Identifier, Packed, Value};
    use crate::metadata::context_names::ContextNames;

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
        ];
        for (text, end, address, expected) in table {
            let context: Context = text.parse().expect(text);
            assert_eq!(context.value(&end, address.as_ref(), ContextNames::NONE), expected, "{text:?}");
        }
    }

    #[test]
    fn packed_values_round_trip() {
        let mut packed = vec![Packed::NONE];
        for text in ["0.0.0.0", "255.255.255.255", "::", "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888", "::ffff:0:0"] {
            let address: IpAddr = text.parse().expect("an address");
            let end = End::default();
            packed.push(Context::of(&[Identifier::Ip]).packed(&end, Some(&address), ContextNames::NONE));
            assert_eq!(packed.last().map(|packed| packed.value()), Some(Value::Ip(address)));
        }
        for number in [1, 10, u32::MAX] {
            let end = End { endpoint: 0, identity: number, name: Symbol::from_number(number), entity: 0 };
            for identifier in [Identifier::Name, Identifier::Identity, Identifier::ReservedIdentity] {
                let context = Context::of(&[identifier]);
                let expected = match identifier {
                    Identifier::Name => Value::Symbol(end.name),
                    Identifier::Identity => Value::Identity(number),
                    _ if number > 10 => continue,
                    _ => Value::Reserved(number),
                };
                packed.push(context.packed(&end, None, ContextNames::NONE));
                assert_eq!(packed.last().map(|packed| packed.value()), Some(expected));
            }
        }
        for (index, one) in packed.iter().enumerate() {
            assert!(one.tag < 8);
            assert!(packed.iter().skip(index + 1).all(|other| other != one), "{one:?}");
        }
    }
}
