//! Redacts passwords in URLs.

/// The replacement of a password, as in Hubble.
const REDACTED: &str = "HUBBLE_REDACTED";

/// Replaces the password in a URL's authority (RFC 3986, 3.2.1).
pub(super) fn redacted(url: String) -> String {
    match password(&url) {
        Some((start, end)) => [&url[..start], REDACTED, &url[end..]].concat(),
        None => url,
    }
}

/// Returns start and end of the password.
fn password(url: &str) -> Option<(usize, usize)> {
    let start = authority(url)?;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |end| start + end);
    let end = start + url[start..end].rfind('@')?;
    let colon = url[start..end].find(':')?;
    Some((start + colon + 1, end))
}

/// Returns the start of the authority: after the scheme and two slashes, or after two slashes at the start.
fn authority(url: &str) -> Option<usize> {
    if url.starts_with("//") {
        return Some(2);
    }
    let colon = url.find([':', '/', '?', '#'])?;
    url[colon..].starts_with("://").then_some(colon + 3)
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn password_of_authority_is_redacted() {
        for (url, expected) in [
            ("http://user:pw@host:8080/x%20y?q=1", "http://user:HUBBLE_REDACTED@host:8080/x%20y?q=1"),
            ("http://user:@host", "http://user:HUBBLE_REDACTED@host"),
            ("http://:pw@host", "http://:HUBBLE_REDACTED@host"),
            ("http://a:b@c:d@host/", "http://a:HUBBLE_REDACTED@host/"),
            ("//u:p@h/", "//u:HUBBLE_REDACTED@h/"),
            ("http://user:p?w@host", "http://user:p?w@host"),
            ("http://user@host:80/", "http://user@host:80/"),
            ("https://[fd00::1]/p", "https://[fd00::1]/p"),
            ("http://host/a:b@c", "http://host/a:b@c"),
            ("mailto:a:b@c", "mailto:a:b@c"),
            ("/relative?u=http://a:b@c", "/relative?u=http://a:b@c"),
            ("", ""),
            ("é", "é"),
        ] {
            assert_eq!(redacted(url.into()), expected);
        }
    }
}
