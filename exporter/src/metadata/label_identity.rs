//! Security identities of label sets: the same number on every node, without a coordinator.

/// The first number that is not reserved (Cilium `pkg/identity/numericidentity.go`).
const FIRST: u32 = 256;
/// One more than the largest number: from 2^24 on numbers are local to a node (CIDR identities).
const END: u32 = 1 << 24;

/// The identity of sorted labels, in 256..2^24: FNV-1a of the labels, each followed by a zero byte. Two label sets of
/// 10,000 share a number with a probability of about 1 in 1,700 each.
pub fn identity_of_labels<'a>(labels: impl IntoIterator<Item = &'a str>) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for label in labels {
        for byte in label.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // The upper bits of FNV are the better mixed ones. Truncation is intended: the remainder is below 2^24.
    FIRST + ((hash ^ hash >> 32) % u64::from(END - FIRST)) as u32
}

#[cfg(test)]
mod tests {
    use super::identity_of_labels;

    #[test]
    fn identities_differ_by_labels() {
        let identity = identity_of_labels(["container:name=web", "k8s:app=web"]);
        assert_eq!(identity, identity_of_labels(["container:name=web", "k8s:app=web"]));
        assert!((256..1 << 24).contains(&identity));
        for other in [&["container:name=webk8s:app=web"][..], &["container:name=web"], &[], &["k8s:app=web"]] {
            assert_ne!(identity, identity_of_labels(other.iter().copied()), "{other:?}");
        }
    }
}
