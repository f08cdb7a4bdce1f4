//! Which interfaces the user wants to see: include and exclude patterns by name.

/// Patterns by interface name; `*` stands for any text, `?` for one character. An excluded name stays out, included
/// or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// A name must match one of these.
    pub include: Vec<String>,
    /// A name that matches one of these is left out.
    pub exclude: Vec<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { include: vec!["*".to_owned()], exclude: Vec::new() }
    }
}

/// What a [`Filter`] says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Look at it.
    Admitted,
    /// A pattern of `exclude` matches.
    Excluded,
    /// No pattern of `include` matches.
    NotIncluded,
}

impl Filter {
    /// Whether an interface of this name is wanted.
    pub fn admission(&self, name: &str) -> Admission {
        if self.exclude.iter().any(|pattern| matches(pattern, name)) {
            Admission::Excluded
        } else if self.include.iter().any(|pattern| matches(pattern, name)) {
            Admission::Admitted
        } else {
            Admission::NotIncluded
        }
    }
}

/// Whether the whole of `text` matches `pattern`. Runs in the product of the lengths at worst, without recursion.
///
/// Works on bytes: interface names are bytes to the kernel, and all but ASCII is rare; `?` then stands for a byte.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the rest does not match: behind the last star, with one more byte given to it.
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
    use super::{Admission, Filter, matches};

    #[test]
    fn patterns() {
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
    fn many_stars_end_soon() {
        assert!(!matches(&"*a".repeat(32), &"a".repeat(31)));
        assert!(!matches(&format!("{}b", "a*".repeat(64)), &"a".repeat(4096)));
    }

    #[test]
    fn exclude_wins() {
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
            assert_eq!(filter.admission("eth0"), expected, "{filter:?}");
        }
    }
}
