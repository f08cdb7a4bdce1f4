//! The ends of flows in keys of series: plain words, without texts.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use eyepiece_flow::flow::Direction;
use eyepiece_flow::interner::Symbol;

use super::labels::FREE_SHIFT;

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

/// The values of a series' labels by `labelsContext`. Which of them are labels depends on the metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContextLabels {
    /// The joined labels of the source's entity.
    pub source: Symbol,
    /// The joined labels of the destination's entity.
    pub destination: Symbol,
    /// The source's address, also if it is the value of a context.
    pub source_address: Option<IpAddr>,
    /// The destination's address, also if it is the value of a context.
    pub destination_address: Option<IpAddr>,
    /// The flow's direction.
    pub direction: Direction,
}

// Tags of `PackedValue`.
pub(super) const NONE: u8 = 0;
const SYMBOL: u8 = 1;
const ADDRESS: u8 = 2;
const IDENTITY: u8 = 3;
const RESERVED: u8 = 4;

/// A [`Value`] as words. That of an address stands beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedValue {
    /// The variant of [`Value`]; fits 3 bits.
    pub(super) tag: u8,
    number: u32,
}

impl PackedValue {
    pub(super) const NONE: Self = Self { tag: NONE, number: 0 };
    pub(super) const ADDRESS: Self = Self { tag: ADDRESS, number: 0 };

    pub(super) const fn symbol(symbol: Symbol) -> Self {
        Self { tag: SYMBOL, number: symbol.number() }
    }

    pub(super) const fn identity(number: u32) -> Self {
        Self { tag: IDENTITY, number }
    }

    pub(super) const fn reserved(number: u32) -> Self {
        Self { tag: RESERVED, number }
    }

    /// Unpacks the value of an end with this address.
    pub(super) fn value(self, address: Option<IpAddr>) -> Value {
        match (self.tag, address) {
            (SYMBOL, _) => Value::Symbol(Symbol::from_number(self.number)),
            (ADDRESS, Some(address)) => Value::Ip(address),
            (IDENTITY, _) => Value::Identity(self.number),
            (RESERVED, _) => Value::Reserved(self.number),
            _ => Value::None,
        }
    }
}

/// An address as words: the version (0 for none; fits 2 bits) and the bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedAddress {
    version: u8,
    high: u64,
    low: u64,
}

impl PackedAddress {
    #[inline]
    pub(super) const fn of(address: Option<&IpAddr>) -> Self {
        match address {
            None => Self { version: 0, high: 0, low: 0 },
            Some(IpAddr::V4(address)) => Self { version: 1, high: 0, low: address.to_bits() as u64 },
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                // Truncation is intended: the two halves of the address.
                Self { version: 2, high: (bits >> 64) as u64, low: bits as u64 }
            }
        }
    }

    fn address(self) -> Option<IpAddr> {
        match self.version {
            // Truncation is intended: it has 32 bits.
            1 => Some(Ipv4Addr::from_bits(self.low as u32).into()),
            2 => Some(Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)).into()),
            _ => None,
        }
    }
}

/// The part of a key for one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedEnd {
    pub(super) value: PackedValue,
    /// The joined labels of its entity.
    pub(super) labels: Symbol,
    /// If it is the value, or a label.
    pub(super) address: PackedAddress,
}

impl PackedEnd {
    /// Removes what a metric has no label for.
    fn project(mut self, has_value: bool, has_labels: bool, has_address: bool) -> Self {
        if !has_value {
            self.value = PackedValue::NONE;
        }
        if !has_labels {
            self.labels = Symbol::EMPTY;
        }
        if !has_address && self.value != PackedValue::ADDRESS {
            self.address = PackedAddress::default();
        }
        self
    }
}

/// The labels that a metric has of the ends, of those in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Projection {
    /// Whether it has the values of source and destination.
    pub(super) values: [bool; 2],
    /// Whether it has the labels of `labelsContext`.
    pub(super) labels: bool,
    /// Whether the addresses of source and destination are among them.
    pub(super) addresses: [bool; 2],
}

const FAMILY_SHIFT: u32 = 6;
const DIRECTION_SHIFT: u32 = 10;
const WIDE_SHIFT: u32 = 12;

/// Both ends of a flow in a metric's contexts.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub(super) struct PackedEnds {
    /// In bits that labels leave free, from low to high: tags of both values (3 bits each), versions of both addresses (2
    /// bits each), one more than the direction (2 bits), and whether the words from `labels` on are used.
    tags: u64,
    /// The numbers of both values, the source's in the lower half.
    values: u64,
    /// The numbers of both ends' labels.
    labels: u64,
    addresses: [u64; 4],
}

impl PartialEq for PackedEnds {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Of most tables no key uses the other words, which are zero then.
        (self.tags, self.values) == (other.tags, other.values)
            && (!self.is_wide() || (self.labels, self.addresses) == (other.labels, other.addresses))
    }
}

impl PackedEnds {
    /// Packs the values of source and destination alone.
    #[inline]
    pub(super) fn narrow([source, destination]: [PackedValue; 2]) -> Self {
        let tags = u64::from(source.tag | destination.tag << 3) << FREE_SHIFT;
        let values = u64::from(source.number) | u64::from(destination.number) << 32;
        Self { tags, values, labels: 0, addresses: [0; 4] }
    }

    /// Packs source, destination, and the direction if it is a label. `is_wide` is the same for all keys of a table: whether
    /// they may have labels or addresses.
    #[inline]
    pub(super) fn new(ends: [PackedEnd; 2], direction: Option<Direction>, is_wide: bool) -> Self {
        let [source, destination] = ends;
        let both = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let tags = u64::from(source.value.tag | destination.value.tag << 3)
            | u64::from(source.address.version | destination.address.version << 2) << FAMILY_SHIFT
            | direction.map_or(0, |direction| direction as u64 + 1) << DIRECTION_SHIFT
            | u64::from(is_wide) << WIDE_SHIFT;
        Self {
            tags: tags << FREE_SHIFT,
            values: both(source.value.number, destination.value.number),
            labels: both(source.labels.number(), destination.labels.number()),
            addresses: [source.address.high, source.address.low, destination.address.high, destination.address.low],
        }
    }

    /// Removes what a metric has no label for.
    pub(super) fn project(self, to: Projection) -> Self {
        let [source, destination] = self.ends();
        let ends = [
            source.project(to.values[0], to.labels, to.addresses[0]),
            destination.project(to.values[1], to.labels, to.addresses[1]),
        ];
        Self::new(ends, self.direction().filter(|_| to.labels), self.is_wide())
    }

    /// Unpacks source and destination.
    pub(super) fn ends(self) -> [PackedEnd; 2] {
        let end = |place: usize| {
            let bits = |shift: u32, mask: u8| (self.tags >> (FREE_SHIFT + shift)) as u8 & mask;
            let half = |words: u64| (words >> (32 * place)) as u32;
            let (shift, at) = (place as u32, 2 * place);
            PackedEnd {
                value: PackedValue { tag: bits(3 * shift, 7), number: half(self.values) },
                labels: Symbol::from_number(half(self.labels)),
                address: PackedAddress {
                    version: bits(FAMILY_SHIFT + 2 * shift, 3),
                    high: self.addresses[at],
                    low: self.addresses[at + 1],
                },
            }
        };
        [end(0), end(1)]
    }

    /// The direction, if it is a label.
    pub(super) fn direction(self) -> Option<Direction> {
        match self.tags >> (FREE_SHIFT + DIRECTION_SHIFT) & 3 {
            0 => None,
            1 => Some(Direction::Unknown),
            2 => Some(Direction::Ingress),
            _ => Some(Direction::Egress),
        }
    }

    /// Unpacks the values of source and destination, and the further labels.
    pub(super) fn unpack(self) -> ([Value; 2], ContextLabels) {
        let [source, destination] = self.ends();
        let addresses = [source, destination].map(|end| end.address.address());
        let labels = ContextLabels {
            source: source.labels,
            destination: destination.labels,
            source_address: addresses[0],
            destination_address: addresses[1],
            direction: self.direction().unwrap_or_default(),
        };
        ([source.value.value(addresses[0]), destination.value.value(addresses[1])], labels)
    }

    const fn is_wide(self) -> bool {
        self.tags >> (FREE_SHIFT + WIDE_SHIFT) & 1 == 1
    }

    /// Hashes both ends and the labels, which use other bits than the tags.
    #[inline]
    pub(super) fn hash<H: Hasher>(self, labels: u64, state: &mut H) {
        // Word by word: a derived hash of arrays includes their lengths.
        state.write_u64(self.tags | labels);
        state.write_u64(self.values);
        // Predicted, since it is the same for all keys of a table.
        if self.is_wide() {
            state.write_u64(self.labels);
            self.addresses.into_iter().for_each(|word| state.write_u64(word));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use eyepiece_flow::flow::Direction;
    use eyepiece_flow::interner::Symbol;

    use super::{ContextLabels, PackedAddress, PackedEnd, PackedEnds, PackedValue, Projection, Value};

    /// Values with and without an address, and different in every word.
    fn samples() -> Vec<(PackedEnd, Value, Option<IpAddr>)> {
        let mut samples = vec![(PackedEnd::default(), Value::None, None)];
        for text in ["0.0.0.0", "255.255.255.255", "::", "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888", "::ffff:0:0"] {
            let address: IpAddr = text.parse().expect("an address");
            let packed = PackedAddress::of(Some(&address));
            let labels = Symbol::from_number(u32::MAX);
            samples.push((
                PackedEnd { value: PackedValue::ADDRESS, address: packed, ..PackedEnd::default() },
                Value::Ip(address),
                Some(address),
            ));
            samples.push((PackedEnd { address: packed, labels, ..PackedEnd::default() }, Value::None, Some(address)));
        }
        for number in [1, 10, u32::MAX] {
            let symbol = Symbol::from_number(number);
            for (value, expected) in [
                (PackedValue::symbol(symbol), Value::Symbol(symbol)),
                (PackedValue::identity(number), Value::Identity(number)),
                (PackedValue::reserved(number), Value::Reserved(number)),
            ] {
                samples.push((PackedEnd { value, ..PackedEnd::default() }, expected, None));
            }
        }
        samples
    }

    #[test]
    fn packed_ends_round_trip() {
        let mut keys = Vec::new();
        for (source, value, source_address) in samples() {
            for (destination, other, destination_address) in samples() {
                for direction in [None, Some(Direction::Unknown), Some(Direction::Ingress), Some(Direction::Egress)] {
                    let ends = PackedEnds::new([source, destination], direction, true);
                    let labels = ContextLabels {
                        source: source.labels,
                        destination: destination.labels,
                        source_address,
                        destination_address,
                        direction: direction.unwrap_or_default(),
                    };
                    assert_eq!(ends.unpack(), ([value, other], labels));
                    assert_eq!(ends.tags & ((1 << super::FREE_SHIFT) - 1), 0, "bits of labels");
                    keys.push((ends.tags, ends.values, ends.labels, ends.addresses));
                }
            }
        }
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all, "every key is another one");
    }

    #[test]
    fn projection_leaves_labels_of_metric() {
        let address: IpAddr = [10, 0, 0, 1].into();
        let end =
            |value| PackedEnd { value, labels: Symbol::from_number(7), address: PackedAddress::of(Some(&address)) };
        let named = PackedValue::symbol(Symbol::from_number(3));
        let ends = PackedEnds::new([end(named), end(PackedValue::ADDRESS)], Some(Direction::Egress), true);
        for (values, labels, addresses, expected) in [
            ([true, true], true, [true, true], ends),
            (
                [true, false],
                true,
                [false, true],
                PackedEnds::new(
                    [PackedEnd { address: PackedAddress::default(), ..end(named) }, end(PackedValue::NONE)],
                    Some(Direction::Egress),
                    true,
                ),
            ),
            (
                [false, true],
                false,
                [false, false],
                PackedEnds::new(
                    [PackedEnd::default(), PackedEnd { labels: Symbol::EMPTY, ..end(PackedValue::ADDRESS) }],
                    None,
                    true,
                ),
            ),
        ] {
            assert_eq!(ends.project(Projection { values, labels, addresses }), expected, "{values:?}");
        }
    }
}
