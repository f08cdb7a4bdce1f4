//! Matches fields of HTTP: status codes by their first digits, methods in any case, paths of URLs.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Status codes of a field.
#[derive(Debug, Default)]
pub(super) struct StatusCodes {
    exact: Vec<u32>,
    /// First digits.
    prefixes: Vec<u32>,
}

impl StatusCodes {
    /// Adds `404`, `4+` or `40+`.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let digits = text.strip_suffix('+').unwrap_or(text);
        let is_prefix = digits.len() < text.len();
        let length_fits = if is_prefix { matches!(digits.len(), 1 | 2) } else { digits.len() == 3 };
        let is_code = length_fits
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.starts_with(|first| ('1'..='5').contains(&first));
        let code = digits.parse().ok().filter(|_| is_code);
        let code = code.ok_or_else(|| format!("invalid status code prefix: {text:?}"))?;
        if is_prefix { &mut self.prefixes } else { &mut self.exact }.push(code);
        Ok(())
    }

    /// Returns whether a code matches; 0 does not.
    pub(super) fn contains(&self, code: u32) -> bool {
        // Prefixes are compared with the first digits of codes, which have at least three.
        let mut first = code;
        while first >= 1000 {
            first /= 10;
        }
        let starts = |prefix: &u32| *prefix == first / 100 || *prefix == first / 10;
        code != 0 && (self.exact.contains(&code) || first >= 100 && self.prefixes.iter().any(starts))
    }
}

/// Returns whether two texts are equal if case is ignored.
pub(super) fn same_fold(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    let same =
        |(a, b): (char, char)| a == b || a.to_lowercase().eq(b.to_lowercase()) || a.to_uppercase().eq(b.to_uppercase());
    one.chars().count() == other.chars().count() && one.chars().zip(other.chars()).all(same)
}

/// Returns the decoded path of a request's URL, which is absolute or starts with its path; `None` if it is invalid.
///
/// As in Go's `url.ParseRequestURI`, a `#` is part of the path, and an opaque URL has an empty one.
pub(super) fn path(url: &str) -> Option<Cow<'_, str>> {
    if url.is_empty() || url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return None;
    }
    if url == "*" {
        return Some(Cow::Borrowed(url));
    }
    let (scheme, rest) = split_scheme(url)?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        return scheme.map(|_| Cow::Borrowed(""));
    }
    let (Some(behind), Some(scheme)) = (rest.strip_prefix("//"), scheme) else { return decode(rest) };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    if is_authority(&scheme, authority) { decode(path) } else { None }
}

/// Splits off the scheme, if there is one. Returns `None` if there is only its colon.
fn split_scheme(url: &str) -> Option<(Option<&str>, &str)> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at > 0 => return Some((Some(&url[..at]), &url[at + 1..])),
            b':' => return None,
            _ => break,
        }
    }
    Some((None, url))
}

/// Returns whether a text is `user:password@host:port`, about as strict as Go.
fn is_authority(scheme: &str, authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let in_user = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if user.is_some_and(|user| !user.bytes().all(in_user) || decode(user).is_none()) {
        return false;
    }
    let is_port = |text: &str| {
        text.strip_prefix(':').map_or(text.is_empty(), |port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(open) = host.rfind('[') {
        let Some((inside, port)) = host[open + 1..].rsplit_once(']').filter(|_| open == 0) else { return false };
        let (address, zone) = inside.split_once("%25").map_or((inside, None), |(address, zone)| (address, Some(zone)));
        return is_port(port) && address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone);
    }
    // Some schemes have lists of hosts with ports; HTTP has one host.
    let colon = if matches!(scheme, "http" | "https") { host.find(':') } else { host.rfind(':') };
    is_port(colon.map_or("", |at| &host[at..])) && is_host(host)
}

/// Returns whether all characters are valid in a host; only bytes beyond ASCII may be percent-encoded.
fn is_host(host: &str) -> bool {
    let bytes = host.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'%' if escaped(&bytes[at..]).is_some_and(|byte| byte >= 0x80) => at += 2,
            byte if byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte) => {}
            _ => return false,
        }
        at += 1;
    }
    true
}

/// Returns whether a zone is valid; any byte may be percent-encoded.
fn is_zone(zone: &str) -> bool {
    !zone.is_empty()
        && decode(zone).is_some()
        && !zone.bytes().any(|byte| matches!(byte, b' ' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
}

/// Decodes `%41`.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Decodes percent-encoding. Returns `None` if it is invalid. Each byte that is not UTF-8 becomes U+FFFD, as in Go.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(&byte) = rest.first() {
        let (byte, length) = if byte == b'%' { (escaped(rest)?, 3) } else { (byte, 1) };
        bytes.push(byte);
        rest = &rest[length..];
    }
    let mut decoded = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        decoded.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::{StatusCodes, path, same_fold};

    #[test]
    fn status_code_matches_entry() {
        for (entry, code, expected) in [
            ("404", 404, true),
            ("404", 403, false),
            ("4+", 404, true),
            ("4+", 4, false),
            ("4+", 40, false),
            ("4+", 504, false),
            ("40+", 404, true),
            ("40+", 414, false),
            ("40+", 4040, true),
            ("1+", 1000, true),
            ("404", 4040, false),
            ("5+", 0, false),
        ] {
            let mut codes = StatusCodes::default();
            codes.add(entry).expect(entry);
            assert_eq!(codes.contains(code), expected, "{entry} {code}");
        }
        for wrong in ["", "+", "2", "20", "600", "6+", "0+", "40++", "4040", "404+", "-40", "+40", "４04", "4x"] {
            assert!(StatusCodes::default().add(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_are_equal_in_any_case() {
        assert!(same_fold("get", "GET") && same_fold("É", "é") && same_fold("k", "\u{212a}") && same_fold("ſ", "S"));
        assert!(!same_fold("get", "GETS") && !same_fold("é", "e"));
    }

    #[test]
    fn path_of_url_equals_go() {
        for (url, expected) in [
            ("/a/b?c=d", Some("/a/b")),
            ("/a#b", Some("/a#b")),
            ("/", Some("/")),
            ("//a/b", Some("//a/b")),
            ("http://host/a%20b?x", Some("/a b")),
            ("http://host", Some("")),
            ("http://host?x", Some("")),
            ("http://u:p@host:80/a", Some("/a")),
            ("http://[::1]:80/a", Some("/a")),
            ("http://[fe80::1%25eth0]/a", Some("/a")),
            ("http://host:x/a", None),
            ("http://[::1/a", None),
            ("http://[[::1]/a", None),
            ("http://x[::1]/a", None),
            ("http://[1.2.3.4]/a", None),
            ("http://[fe80::1%25]/a", None),
            ("http://a:1:2/a", None),
            ("pg://a:1,b:2/a", Some("/a")),
            ("http://a b/c", None),
            ("http://u^@host/a", None),
            ("http://%41/a", None),
            ("http://%e9/a", Some("/a")),
            ("mailto:x", Some("")),
            ("*", Some("*")),
            ("", None),
            ("a/b", None),
            ("?a", None),
            (":a", None),
            ("1a:/b", None),
            ("/a%", None),
            ("/a%4", None),
            ("/a%zz", None),
            ("/a\n", None),
            ("/a\u{7f}", None),
            ("/%ff%fe", Some("/\u{fffd}\u{fffd}")),
            ("/%e2%82x", Some("/\u{fffd}\u{fffd}x")),
            ("/%c3%a9", Some("/é")),
        ] {
            assert_eq!(path(url).as_deref(), expected, "{url}");
        }
    }
}
