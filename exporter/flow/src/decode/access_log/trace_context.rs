//! W3C Trace Context: the `traceparent` header (<https://www.w3.org/TR/trace-context/>, section 3.2).

use crate::decode::pairing::Trace;

/// The highest version; 255 is forbidden.
const LAST_VERSION: u8 = 254;
/// Flags of version 0: sampled, and random trace id.
const LAST_FLAGS: u8 = 2;

/// Parses trace id and span id of a header. Returns `None` if it is malformed, or one of them is zero. Version 0 has no
/// fields after its flags, and no flags above 2, as in OpenTelemetry's Go library, which Cilium uses.
pub(super) fn parse(header: &str) -> Option<Trace> {
    let mut parts = header.splitn(5, '-');
    let [version] = hex::<1>(parts.next()?)?;
    let trace = hex::<16>(parts.next()?)?;
    let span = hex::<8>(parts.next()?)?;
    let [flags] = hex::<1>(parts.next()?)?;
    let has_more = parts.next().is_some_and(|rest| !rest.is_empty());
    let is_valid = version <= LAST_VERSION
        && (version > 0 || (!has_more && flags <= LAST_FLAGS))
        && trace != [0; 16]
        && span != [0; 8];
    is_valid.then_some((trace, span))
}

/// Parses exactly `2 * N` lower-case hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text: &[u8] = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn traceparent_is_parsed_or_rejected() {
        for (header, is_valid) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-02"), true),
            (format!("00-{TRACE}-{SPAN}-03"), false),
            (format!("00-{TRACE}-{SPAN}-01-"), true),
            (format!("00-{TRACE}-{SPAN}-01-x"), false),
            (format!("01-{TRACE}-{SPAN}-09-x-y"), true),
            (format!("fe-{TRACE}-{SPAN}-ff"), true),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), false),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (format!("0-{TRACE}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{SPAN}-é"), false),
            ("bogus".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(parse(&header).is_some(), is_valid, "{header}");
        }
        let (trace, span) = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((trace[0], trace[15], span[0], span[7]), (0x0a, 0x9c, 0xb7, 0x31));
    }
}
