//! Packets of the demo: a DNS query, its answer, an ICMP echo request.

/// ICMP and ICMPv6 types of an echo request (RFC 792, RFC 4443).
pub(super) const ECHO: (u8, u8) = (8, 128);

/// A DNS question for an address of `web.demo` (RFC 1035, section 4).
pub(super) fn question(id: u16, family6: bool) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    // Recursion desired; one question.
    let mut message = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x03web\x04demo\0");
    message.extend([0, if family6 { 28 } else { 1 }, 0, 1]);
    message
}

/// The answer to a DNS query: the query, and an address. `None` if the query is too short.
pub(super) fn answer(question: &[u8], address: &[u8]) -> Option<Vec<u8>> {
    if question.len() < 17 {
        return None;
    }
    let mut message = question.to_vec();
    // A response with one answer record.
    message[2] |= 0x80;
    message[7] = 1;
    let kind = if address.len() == 16 { 28 } else { 1 };
    // Points to the name at offset 12; class IN, TTL 60 s.
    message.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
    message.push(u8::try_from(address.len()).ok()?);
    message.extend(address);
    Some(message)
}

/// An echo request with 56 bytes of data, as ping sends it. The kernel sets the checksum of ICMPv6 only.
pub(super) fn echo(family6: bool, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let kind = if family6 { ECHO.1 } else { ECHO.0 };
    let mut message = vec![kind, 0, 0, 0, 0xe1, 0xe2, high, low];
    message.extend(0..56);
    if !family6 {
        let sum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
    }
    message
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::{answer, checksum, echo, question};

    #[test]
    fn answer_repeats_its_query() {
        let query = question(0x1234, false);
        let reply = answer(&query, &[10, 0, 2, 2]).expect("a question");
        assert_eq!(reply[..2], query[..2]);
        assert_eq!((reply[2], reply[7]), (0x81, 1));
        assert!(reply.ends_with(&[0, 4, 10, 0, 2, 2]));
        for length in 0..17 {
            assert_eq!(answer(&query[..length], &[0; 4]), None);
        }
    }

    #[test]
    fn message_with_checksum_sums_to_zero() {
        assert_eq!(checksum(&echo(false, 7)), 0);
        assert_eq!(checksum(&[]), 0xffff);
        assert_eq!(checksum(&[0xff]), 0xff);
        assert_eq!(echo(true, 1)[..4], [128, 0, 0, 0]);
    }
}
