//! Matches addresses and address ranges.

use std::net::{IpAddr, Ipv6Addr};

use hashbrown::HashSet;

/// Addresses and ranges of a field, in hash sets: some clients send thousands.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Upstream compares texts; only addresses in the form of flows are here.
    exact: HashSet<IpAddr>,
    v4: Networks,
    v6: Networks,
}

/// Networks of one family: prefix length and address, left-aligned, host bits cleared.
#[derive(Debug, Default)]
struct Networks {
    /// The distinct prefix lengths.
    lengths: Vec<u8>,
    networks: HashSet<(u8, u128)>,
}

impl Networks {
    fn add(&mut self, bits: u128, length: u8) {
        if !self.lengths.contains(&length) {
            self.lengths.push(length);
        }
        self.networks.insert((length, masked(bits, length)));
    }

    fn contains(&self, bits: u128) -> bool {
        self.lengths.iter().any(|&length| self.networks.contains(&(length, masked(bits, length))))
    }
}

/// Clears all but the first bits.
const fn masked(bits: u128, length: u8) -> u128 {
    match length {
        0 => 0,
        length => bits & (u128::MAX << (128 - length as u32)),
    }
}

impl Addresses {
    /// Adds an address or a range.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let Some((address, length)) = text.split_once('/') else {
            let address: IpAddr = text.parse().map_err(|_| format!("invalid IP address in filter: {text:?}"))?;
            // Flows do not have other spellings of an address.
            if address.to_string() == text {
                self.exact.insert(address);
            }
            return Ok(());
        };
        let range = || Some((address.parse::<IpAddr>().ok()?, prefix_length(length)?));
        let fits = |(address, length): &(IpAddr, u8)| *length <= if address.is_ipv4() { 32 } else { 128 };
        match range().filter(fits).ok_or_else(|| format!("invalid CIDR in filter: {text:?}"))? {
            (IpAddr::V4(address), length) => self.v4.add(u128::from(address.to_bits()) << 96, length),
            (IpAddr::V6(address), length) => self.v6.add(address.to_bits(), length),
        }
        Ok(())
    }

    /// Returns whether an address matches.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.exact.contains(&address)
            || match address {
                IpAddr::V4(address) => self.v4.contains(u128::from(address.to_bits()) << 96),
                IpAddr::V6(address) => self.v6.contains(Ipv6Addr::to_bits(address)),
            }
    }
}

/// Parses digits without sign and leading zeros.
fn prefix_length(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn address_matches_entry() {
        for (entry, address, expected) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", false),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1", true),
            ("::FFFF:10.0.0.1", "::ffff:10.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", false),
            ("::ffff:10.0.0.0/104", "::ffff:10.0.0.1", true),
            ("fd00::1", "fd00::1", true),
            ("FD00::1", "fd00::1", false),
            ("fd00:0::1", "fd00::1", false),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.1.2.3/8", "11.0.0.1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.1.1.1", false),
            ("::ffff:10.0.0.0/104", "10.0.0.1", false),
            ("fd00::/127", "fd00::1", true),
            ("fd00::/127", "fd00::2", false),
            ("fd00::2/128", "fd00::2", true),
        ] {
            let mut addresses = Addresses::default();
            addresses.add(entry).expect(entry);
            assert_eq!(addresses.contains(address.parse().expect("an address")), expected, "{entry} {address}");
        }
        for wrong in [
            "",
            "a",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/",
            "1.2.3.4/-1",
            "1.2.3.4/+1",
            "1.2.3.4/08",
            "/8",
            "fe80::1%eth0",
            "1.2.3.4/8/8",
            " 1.2.3.4",
            "::1/1000",
        ] {
            assert!(Addresses::default().add(wrong).is_err(), "{wrong}");
        }
    }
}
