//! The snapshot of interfaces and addresses at the time of the recorded events, as bytes of a recording.
//!
//! Entries follow one another, numbers are little-endian, texts are a u16 length and UTF-8:
//! - u8 1 · u32 interface · u8 kind (0 other, 1 endpoint, 2 uplink, 3 bridge of endpoints) · u16 endpoint · text name
//! - u8 2 · u128 address (IPv4 as IPv4-mapped IPv6) · u8 kind (0 endpoint, 1 host, 2 world) · u16 endpoint ·
//!   u32 security identity · u8 flags (1 shared, 2 learned) · text name
//! - u8 3 · u32 inode of a network namespace · u16 its only endpoint

use eyepiece_wire::InterfaceKind;

use super::cursor::Bytes;

/// One entry of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataEntry<'a> {
    /// An interface.
    Interface {
        /// Its index.
        ifindex: u32,
        /// Its kind.
        kind: InterfaceKind,
        /// Endpoint id; 0 for all but endpoints.
        endpoint: u16,
        /// Its name.
        name: &'a str,
    },
    /// An address.
    Address {
        /// The address, IPv4 as IPv4-mapped IPv6.
        address: u128,
        /// The kind of its owner.
        kind: AddressKind,
        /// Endpoint id; 0 for all but endpoints.
        endpoint: u16,
        /// Security identity; 0 = unknown.
        identity: u32,
        /// Several endpoints have it.
        shared: bool,
        /// Learned from packets only.
        learned: bool,
        /// The owner's name.
        name: &'a str,
    },
    /// A network namespace; the source reports its drops.
    Namespace {
        /// Its inode.
        inode: u32,
        /// Its endpoint; 0 if it has several or none.
        endpoint: u16,
    },
}

/// The kind of an address's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// An endpoint.
    Endpoint,
    /// The machine itself.
    Host,
    /// Another machine.
    World,
}

/// Appends a entry.
pub fn write(entry: &MetadataEntry<'_>, out: &mut Vec<u8>) {
    match *entry {
        MetadataEntry::Interface { ifindex, kind, endpoint, name } => {
            out.push(1);
            out.extend(ifindex.to_le_bytes());
            out.push(kind as u8);
            out.extend(endpoint.to_le_bytes());
            text(name, out);
        }
        MetadataEntry::Address { address, kind, endpoint, identity, shared, learned, name } => {
            out.push(2);
            out.extend(address.to_le_bytes());
            out.push(match kind {
                AddressKind::Endpoint => 0,
                AddressKind::Host => 1,
                AddressKind::World => 2,
            });
            out.extend(endpoint.to_le_bytes());
            out.extend(identity.to_le_bytes());
            out.push(u8::from(shared) | u8::from(learned) << 1);
            text(name, out);
        }
        MetadataEntry::Namespace { inode, endpoint } => {
            out.push(3);
            out.extend(inode.to_le_bytes());
            out.extend(endpoint.to_le_bytes());
        }
    }
}

fn text(name: &str, out: &mut Vec<u8>) {
    let name = &name[..name.floor_char_boundary(usize::from(u16::MAX))];
    // The name was cut to fit.
    out.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Calls `each` with every entry. Returns false if the bytes are damaged; the entries before the damage are valid.
pub fn read<'a>(bytes: &'a [u8], mut each: impl FnMut(MetadataEntry<'a>)) -> bool {
    let mut rest = Bytes(bytes);
    while !rest.0.is_empty() {
        match one(&mut rest) {
            Some(entry) => each(entry),
            None => return false,
        }
    }
    true
}

fn one<'a>(rest: &mut Bytes<'a>) -> Option<MetadataEntry<'a>> {
    Some(match rest.u8()? {
        1 => MetadataEntry::Interface {
            ifindex: rest.u32()?,
            kind: match rest.u8()? {
                0 => InterfaceKind::Other,
                1 => InterfaceKind::Endpoint,
                2 => InterfaceKind::Uplink,
                3 => InterfaceKind::EndpointBridge,
                _ => return None,
            },
            endpoint: rest.u16()?,
            name: rest.text()?,
        },
        2 => {
            let address = rest.take().map(u128::from_le_bytes)?;
            let kind = match rest.u8()? {
                0 => AddressKind::Endpoint,
                1 => AddressKind::Host,
                2 => AddressKind::World,
                _ => return None,
            };
            let (endpoint, identity, flags) = (rest.u16()?, rest.u32()?, rest.u8()?);
            let (shared, learned) = (flags & 1 != 0, flags & 2 != 0);
            MetadataEntry::Address { address, kind, endpoint, identity, shared, learned, name: rest.text()? }
        }
        3 => MetadataEntry::Namespace { inode: rest.u32()?, endpoint: rest.u16()? },
        _ => return None,
    })
}

impl<'a> Bytes<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        str::from_utf8(self.slice(usize::from(length))?).ok()
    }
}
