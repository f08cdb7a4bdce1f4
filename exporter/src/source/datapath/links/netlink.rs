//! The netlink framing: decodes messages and attributes, encodes requests. Pure functions of bytes, without a socket.
//!
//! Layouts: Linux `include/uapi/linux/netlink.h`; all integers are in the machine's byte order.

/// Bytes of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Bytes of `struct ifinfomsg`.
pub const IFINFOMSG: usize = 16;
/// Bytes of `struct ifaddrmsg`.
pub const IFADDRMSG: usize = 8;
/// Bytes of `struct tcmsg`.
pub const TCMSG: usize = 20;
/// Bytes of `struct rtmsg`.
pub const RTMSG: usize = 12;
/// Bytes of `struct ndmsg`.
pub const NDMSG: usize = 12;

/// `NLA_TYPE_MASK`: masks the nested and byte-order flags off an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`: `RTM_NEWLINK`, `NLMSG_DONE` …
    pub kind: u16,
    /// `nlmsg_flags`: `NLM_F_MULTI`, `NLM_F_DUMP_INTR` …
    pub flags: u16,
    /// `nlmsg_seq`: the request's number, 0 in notifications.
    pub sequence: u32,
    /// The bytes behind the header.
    pub payload: &'a [u8],
}

/// The messages of a datagram. Ends at the first invalid length; see [`Messages::is_broken`].
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Messages<'a> {
    /// The messages in the bytes of a datagram.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram, broken: false }
    }

    /// Returns whether the iteration ended at an invalid length.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = u32_at(self.rest, 0).map_or(0, |length| length as usize);
        let (Some(kind), Some(flags), Some(sequence), Some(payload)) =
            (u16_at(self.rest, 4), u16_at(self.rest, 6), u32_at(self.rest, 8), self.rest.get(HEADER..length))
        else {
            self.broken = true;
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, payload })
    }
}

/// The attributes behind a message's fixed part: type without flags, and value. Ends at the first truncated one.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes in these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The attributes behind the first `fixed` bytes of a message; none if it is shorter.
    pub fn after_header(payload: &'a [u8], fixed: usize) -> Self {
        Self(payload.get(fixed..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The u16 at an offset; `None` past the end.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The u32 at an offset; `None` past the end.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The u64 at an offset; `None` past the end.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The i32 at an offset; `None` past the end.
pub fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The text of an attribute up to its NUL; invalid UTF-8 is replaced.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A builder of a request message.
#[derive(Clone, Debug)]
pub struct Request(Vec<u8>);

impl Request {
    /// A request with its fixed part.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    /// Adds an attribute. Values stay far under the 64 KiB that an attribute can hold.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// The bytes to send under a sequence number.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }

    /// Only the attributes, as the value of a nested attribute.
    pub fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let empty = Self(Vec::new());
        attributes.iter().fold(empty, |request, (kind, value)| request.attribute(*kind, value)).0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Attributes, Messages, Request, text, u16_at, u32_at};

    #[test]
    fn built_message_is_parsed() {
        let mut bytes = Request::new(16, 5, &[1, 2, 3, 4]).attribute(3, b"abc").attribute(4, &[]).finish(9);
        bytes.extend(Request::new(3, 2, &[]).finish(10));
        let messages: Vec<_> = Messages::new(&bytes).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].kind, messages[0].flags, messages[0].sequence), (16, 5, 9));
        assert_eq!((messages[1].kind, messages[1].sequence, messages[1].payload), (3, 10, &[][..]));
        let attributes: Vec<_> = Attributes::after_header(messages[0].payload, 4).collect();
        assert_eq!(attributes, [(3, &b"abc"[..]), (4, &[][..])]);
    }

    #[test]
    fn attribute_type_excludes_flags() {
        let nested = Request::nested(&[(18 | 0x8000, b"x")]);
        assert_eq!(Attributes::new(&nested).collect::<Vec<_>>(), [(18, &b"x"[..])]);
    }

    #[test]
    fn truncated_message_ends_iteration() {
        let bytes = Request::new(16, 0, &[7; 8]).finish(1);
        for cut in 1..bytes.len() {
            let mut messages = Messages::new(&bytes[..cut]);
            assert_eq!(messages.next(), None, "{cut}");
            assert!(messages.is_broken(), "{cut}");
        }
        let mut messages = Messages::new(&[]);
        assert!(messages.next().is_none() && !messages.is_broken());
        assert_eq!(Messages::new(&[0; 64]).next(), None, "a length of zero");
    }

    #[test]
    fn text_ends_at_nul() {
        assert_eq!((text(b"eth0\0"), text(b"eth0"), text(b"")), ("eth0".into(), "eth0".into(), String::new()));
        assert_eq!((u16_at(&[1], 0), u32_at(&[1, 2, 3, 4], 1), u32_at(&[], 9)), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for message in Messages::new(&bytes) {
                prop_assert!(Attributes::after_header(message.payload, 16).count() <= bytes.len());
            }
        }
    }
}
