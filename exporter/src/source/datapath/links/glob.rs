//! Include and exclude patterns of interface names.

pub use eyepiece_config::Interfaces as Filter;

/// The outcome of [`admission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Watched.
    Admitted,
    /// A pattern of `exclude` matches.
    Excluded,
    /// No pattern of `include` matches.
    NotIncluded,
}

/// Whether an interface of this name is watched. In patterns `*` stands for any text, `?` for one character. Exclusion
/// wins.
pub fn admission(filter: &Filter, name: &str) -> Admission {
    if filter.exclude.iter().any(|pattern| matches(pattern, name)) {
        Admission::Excluded
    } else if filter.include.iter().any(|pattern| matches(pattern, name)) {
        Admission::Admitted
    } else {
        Admission::NotIncluded
    }
}

/// Returns whether the whole of `text` matches `pattern`. At worst in the product of the lengths, without recursion.
///
/// Works on bytes: names are bytes to the kernel and rarely other than ASCII; `?` then stands for a byte.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to continue on a mismatch: behind the last star, with one more byte matched by it.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((behind_star, start)) => {
                    retry = Some((behind_star, start + 1));
                    p = behind_star;
                    t = start + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{Admission, Filter, admission, matches};

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "eth0", true),
            ("**", "eth0", true),
            ("?", "", false),
            ("?", "a", true),
            ("?", "ab", false),
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth0", "eth", false),
            ("eth*", "eth", true),
            ("eth*", "eth0.7", true),
            ("eth?", "eth", false),
            ("eth?", "eth7", true),
            ("*0", "eth0", true),
            ("*0", "eth00", true),
            ("*0", "eth01", false),
            ("v*h?", "veth1", true),
            ("v*h?", "veth12", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*aab", "aaaaab", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "abb", false),
            ("br-*", "br-1a2b", true),
            ("br-*", "bridge", false),
            ("[a]", "a", false),
            ("\\*", "*", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn many_stars_match_in_time() {
        assert!(!matches(&"*a".repeat(32), &"a".repeat(31)));
        assert!(!matches(&format!("{}b", "a*".repeat(64)), &"a".repeat(4096)));
    }

    #[test]
    fn exclude_pattern_wins_over_include() {
        let filter = |include: &[&str], exclude: &[&str]| Filter {
            include: include.iter().map(|&pattern| pattern.to_owned()).collect(),
            exclude: exclude.iter().map(|&pattern| pattern.to_owned()).collect(),
        };
        for (filter, expected) in [
            (Filter::default(), Admission::Admitted),
            (filter(&["eth*"], &[]), Admission::Admitted),
            (filter(&["wlan*", "eth?"], &[]), Admission::Admitted),
            (filter(&["wlan*"], &[]), Admission::NotIncluded),
            (filter(&[], &[]), Admission::NotIncluded),
            (filter(&["*"], &["eth0"]), Admission::Excluded),
            (filter(&["eth0"], &["e*"]), Admission::Excluded),
            (filter(&["wlan*"], &["e*"]), Admission::Excluded),
            (filter(&["*"], &["eth1"]), Admission::Admitted),
        ] {
            assert_eq!(admission(&filter, "eth0"), expected, "{filter:?}");
        }
    }
}
