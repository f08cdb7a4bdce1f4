//! Who is who, as bytes of a recording: what the snapshot of interfaces and addresses held when events were made.
//!
//! Entries one behind the other, numbers little-endian, texts as u16 length and UTF-8:
//! - u8 1 · u32 interface · u8 kind (0 other, 1 endpoint, 2 uplink, 3 bridge of endpoints) · u16 endpoint · text name
//! - u8 2 · u128 address (IPv4 as IPv4-mapped IPv6) · u8 kind (0 endpoint, 1 host, 2 world) · u16 endpoint ·
//!   u32 security identity · u8 flags (1 shared, 2 learned) · text name
//! - u8 3 · u32 inode of a network namespace · u16 its only endpoint

use eyepiece_wire::InterfaceKind;

use super::cursor::Bytes;

/// One fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
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
        /// Who is behind it.
        kind: Whose,
        /// Endpoint id; 0 for all but endpoints.
        endpoint: u16,
        /// Security identity; 0 = not known.
        identity: u32,
        /// Several have it.
        shared: bool,
        /// Known from packets only.
        learned: bool,
        /// What names it.
        name: &'a str,
    },
    /// A network namespace whose drops are ours to report.
    Namespace {
        /// Its inode.
        inode: u32,
        /// Its only endpoint; 0 where there are several, or none.
        endpoint: u16,
    },
}

/// Who is behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// An endpoint.
    Endpoint,
    /// The machine itself.
    Host,
    /// Somebody else.
    World,
}

/// Appends a fact.
pub fn write(fact: &Fact<'_>, out: &mut Vec<u8>) {
    match *fact {
        Fact::Interface { ifindex, kind, endpoint, name } => {
            out.push(1);
            out.extend(ifindex.to_le_bytes());
            out.push(kind as u8);
            out.extend(endpoint.to_le_bytes());
            text(name, out);
        }
        Fact::Address { address, kind, endpoint, identity, shared, learned, name } => {
            out.push(2);
            out.extend(address.to_le_bytes());
            out.push(match kind {
                Whose::Endpoint => 0,
                Whose::Host => 1,
                Whose::World => 2,
            });
            out.extend(endpoint.to_le_bytes());
            out.extend(identity.to_le_bytes());
            out.push(u8::from(shared) | u8::from(learned) << 1);
            text(name, out);
        }
        Fact::Namespace { inode, endpoint } => {
            out.push(3);
            out.extend(inode.to_le_bytes());
            out.extend(endpoint.to_le_bytes());
        }
    }
}

fn text(name: &str, out: &mut Vec<u8>) {
    let name = &name[..name.floor_char_boundary(usize::from(u16::MAX))];
    // It was just made to fit.
    out.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Calls `each` with every fact; false where the bytes are damaged: what was read before stays true.
pub fn read<'a>(bytes: &'a [u8], mut each: impl FnMut(Fact<'a>)) -> bool {
    let mut rest = Bytes(bytes);
    while !rest.0.is_empty() {
        match one(&mut rest) {
            Some(fact) => each(fact),
            None => return false,
        }
    }
    true
}

fn one<'a>(rest: &mut Bytes<'a>) -> Option<Fact<'a>> {
    Some(match rest.u8()? {
        1 => Fact::Interface {
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
                0 => Whose::Endpoint,
                1 => Whose::Host,
                2 => Whose::World,
                _ => return None,
            };
            let (endpoint, identity, flags) = (rest.u16()?, rest.u32()?, rest.u8()?);
            let (shared, learned) = (flags & 1 != 0, flags & 2 != 0);
            Fact::Address { address, kind, endpoint, identity, shared, learned, name: rest.text()? }
        }
        3 => Fact::Namespace { inode: rest.u32()?, endpoint: rest.u16()? },
        _ => return None,
    })
}

impl<'a> Bytes<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        str::from_utf8(self.slice(usize::from(length))?).ok()
    }
}
