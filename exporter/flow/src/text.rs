//! Texts of numbers and addresses. Those of hot paths do not use `std::fmt`.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// Appends a number in decimal. Writers here are memory, which cannot fail.
pub fn decimal(out: &mut impl Write, mut value: u64) {
    // u64::MAX has 20 digits.
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    // Digits are UTF-8.
    out.write_str(std::str::from_utf8(&digits[start..]).unwrap_or_default()).unwrap_or_default();
}

/// Cuts a text to so many bytes, at a character, and appends `…` if it was longer.
pub fn truncate(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
    text
}

/// Appends an address as in RFC 4291 and RFC 5952.
pub fn address(out: &mut impl Write, address: IpAddr) {
    match address {
        IpAddr::V4(address) => address4(out, address),
        IpAddr::V6(address) => write!(out, "{address}").unwrap_or_default(),
    }
}

fn address4(out: &mut impl Write, address: Ipv4Addr) {
    let mut text = [b'.'; 15];
    let mut at = 0;
    let mut put = |byte| {
        text[at] = byte;
        at += 1;
    };
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            put(b'.');
        }
        if octet >= 100 {
            put(b'0' + octet / 100);
        }
        if octet >= 10 {
            put(b'0' + octet / 10 % 10);
        }
        put(b'0' + octet % 10);
    }
    out.write_str(std::str::from_utf8(&text[..at]).unwrap_or_default()).unwrap_or_default();
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Formats a UUID (RFC 9562).
pub fn uuid(bytes: &[u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// Formats bytes in hex.
pub fn hex(bytes: &[u8; 16]) -> [u8; 32] {
    std::array::from_fn(|index| {
        let byte = bytes[index / 2];
        HEX[usize::from(if index % 2 == 0 { byte >> 4 } else { byte & 15 })]
    })
}

/// Formats a link layer address, with colons between the bytes.
pub fn mac(bytes: &[u8; 6]) -> [u8; 17] {
    let mut text = [b':'; 17];
    for (index, byte) in bytes.iter().enumerate() {
        text[index * 3] = HEX[usize::from(byte >> 4)];
        text[index * 3 + 1] = HEX[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{address, decimal, hex, mac, uuid};

    #[test]
    fn texts_equal_those_of_fmt() {
        for value in [0, 9, 10, 99, 100, 12_345, u64::MAX - 1, u64::MAX] {
            let mut out = "x".to_owned();
            decimal(&mut out, value);
            assert_eq!(out, format!("x{value}"));
        }
        for text in ["0.0.0.0", "1.20.255.99", "100.101.9.10", "::", "::1", "2001:db8::ff", "::ffff:1.2.3.4"] {
            let mut out = String::new();
            address(&mut out, text.parse().unwrap());
            assert_eq!(out, text);
        }
        let bytes = std::array::from_fn(|index| (index * 17) as u8);
        assert_eq!(&uuid(&bytes), b"00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(&hex(&bytes), b"00112233445566778899aabbccddeeff");
        assert_eq!(&mac(&[0, 1, 2, 0xab, 0xcd, 0xef]), b"00:01:02:ab:cd:ef");
    }
}
