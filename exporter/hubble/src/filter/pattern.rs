//! Matches patterns of DNS names and of nodes, with `*` for any part of a name.

use hashbrown::HashSet;

use super::expression::{Regex, compile};
use super::pattern_budget::PatternBudget;

/// The expression for `*`.
const WILDCARD: &str = "[-.0-9a-z]*";
/// The expression for a whole name, if a node's pattern lacks it.
const ANY_NAME: &str = r"[-0-9_a-z]+(?:\.[-0-9_a-z]+)*";
/// The cluster of nodes without one.
const DEFAULT_CLUSTER: &str = "default";

/// Patterns of DNS names. Those without wildcard are in a hash set.
#[derive(Debug)]
pub(super) struct Fqdns {
    exact: HashSet<String>,
    wild: Option<Regex>,
}

impl Fqdns {
    /// Compiles the entries of a field. An error comes with the invalid entry.
    pub(super) fn new<'a>(entries: &'a [String], budget: &mut PatternBudget) -> Result<Self, (&'a str, String)> {
        let (mut exact, mut wild) = (HashSet::new(), Alternatives::default());
        for entry in entries {
            let pattern = canonical(entry).map_err(|error| (entry.as_str(), error))?;
            if pattern.contains('*') {
                wild.push(|out| write(&pattern, out));
            } else {
                exact.insert(pattern);
            }
        }
        Ok(Self { exact, wild: wild.compile(budget).map_err(|error| ("", error))? })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.exact.contains(name) || self.wild.as_ref().is_some_and(|wild| wild.is_match(name))
    }
}

/// Patterns of nodes, `[cluster/]node`.
#[derive(Debug)]
pub(super) struct NodeNames {
    /// Cluster and node.
    exact: HashSet<(String, String)>,
    /// Matches `cluster/node`.
    wild: Option<Regex>,
}

/// A borrowed key of a set of pairs of owned texts.
#[derive(Hash)]
struct Pair<'a>(&'a str, &'a str);

impl hashbrown::Equivalent<(String, String)> for Pair<'_> {
    fn equivalent(&self, (first, second): &(String, String)) -> bool {
        self.0 == first && self.1 == second
    }
}

impl NodeNames {
    /// Compiles the entries of a field. An error comes with the invalid entry.
    pub(super) fn new<'a>(entries: &'a [String], budget: &mut PatternBudget) -> Result<Self, (&'a str, String)> {
        let (mut exact, mut wild) = (HashSet::new(), Alternatives::default());
        for entry in entries {
            let (cluster, node) = parts(entry).map_err(|error| (entry.as_str(), error))?;
            match (cluster, node) {
                (Some(cluster), Some(node)) if !cluster.contains('*') && !node.contains('*') => {
                    exact.insert((cluster, node));
                }
                (cluster, node) => wild.push(|out| {
                    write_or_any(cluster.as_deref(), out);
                    out.push('/');
                    write_or_any(node.as_deref(), out);
                }),
            }
        }
        Ok(Self { exact, wild: wild.compile(budget).map_err(|error| ("", error))? })
    }

    /// Returns whether `node` or `cluster/node` matches.
    pub(super) fn matches(&self, full_name: &str) -> bool {
        match full_name.split_once('/') {
            _ if full_name.is_empty() => false,
            Some((cluster, node)) => {
                self.exact.contains(&Pair(cluster, node))
                    || self.wild.as_ref().is_some_and(|wild| wild.is_match(full_name))
            }
            None => self.matches_node(DEFAULT_CLUSTER, full_name),
        }
    }

    pub(super) fn matches_node(&self, cluster: &str, node: &str) -> bool {
        if node.is_empty() {
            return false;
        }
        self.exact.contains(&Pair(cluster, node))
            || self.wild.as_ref().is_some_and(|wild| joined(cluster, node, |whole| wild.is_match(whole)))
    }
}

/// Calls a function with `cluster/node`, built on the stack if it is short.
fn joined(cluster: &str, node: &str, call: impl FnOnce(&str) -> bool) -> bool {
    let mut buffer = [0; 256];
    let length = cluster.len() + 1 + node.len();
    let Some(text) = buffer.get_mut(..length) else { return call(&format!("{cluster}/{node}")) };
    text[..cluster.len()].copy_from_slice(cluster.as_bytes());
    text[cluster.len()] = b'/';
    text[cluster.len() + 1..].copy_from_slice(node.as_bytes());
    str::from_utf8(text).is_ok_and(call)
}

/// Splits a pattern into cluster and node; `None` = any.
fn parts(pattern: &str) -> Result<(Option<String>, Option<String>), String> {
    let (cluster, node) = match pattern.split_once('/') {
        _ if pattern.is_empty() => return Err("empty pattern".to_owned()),
        None => ("", pattern),
        Some((_, node)) if node.contains('/') => return Err("too many slashes in pattern".to_owned()),
        Some(parts) => parts,
    };
    let part = |text: &str| if text.is_empty() { Ok(None) } else { canonical(text).map(Some) };
    Ok((part(cluster)?, part(node)?))
}

/// Trims white space and a trailing dot, converts to lower case, and checks the characters.
fn canonical(pattern: &str) -> Result<String, String> {
    let trimmed = pattern.trim();
    let pattern = trimmed.strip_suffix('.').unwrap_or(trimmed).to_lowercase();
    if pattern.is_empty() {
        return Err("empty pattern".to_owned());
    }
    if pattern.ends_with('.') {
        return Err("multiple trailing dots in pattern".to_owned());
    }
    let other = |c: &char| !matches!(c, '-' | '.' | '_' | '*' | '0'..='9' | 'a'..='z');
    pattern.chars().find(other).map_or(Ok(()), |other| Err(format!("{other:?}: invalid rune in pattern")))?;
    Ok(pattern)
}

/// Appends the expression of a pattern, or of any name.
fn write_or_any(pattern: Option<&str>, out: &mut String) {
    match pattern {
        Some(pattern) => write(pattern, out),
        None => out.push_str(ANY_NAME),
    }
}

/// Appends the expression of a pattern.
fn write(pattern: &str, out: &mut String) {
    for c in pattern.chars() {
        match c {
            '*' => out.push_str(WILDCARD),
            '.' => out.push_str("\\."),
            other => out.push(other),
        }
    }
}

/// An expression that matches any of several whole texts.
#[derive(Default)]
struct Alternatives(String);

impl Alternatives {
    fn push(&mut self, write: impl FnOnce(&mut String)) {
        self.0.push_str(if self.0.is_empty() { r"\A(?:" } else { "|" });
        write(&mut self.0);
    }

    fn compile(mut self, budget: &mut PatternBudget) -> Result<Option<Regex>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        self.0.push_str(r")\z");
        compile(&self.0, budget).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fqdns, NodeNames};
    use crate::filter::pattern_budget::PatternBudget;

    #[test]
    fn dns_name_matches_pattern() {
        for (pattern, name, expected) in [
            ("example.com", "example.com", true),
            (" EXAMPLE.com. ", "example.com", true),
            ("example.com", "Example.com", false),
            ("example.com", "examplexcom", false),
            ("*", "", true),
            ("*", "a.b-c", true),
            ("*", "a_b", false),
            ("*_*", "a_b", true),
            ("*.com", "www.example.com", true),
            ("*.com", ".com", true),
            ("*.com", "com", false),
            ("www*", "www", true),
            ("a*b", "ab", true),
            ("a*b", "axxbxxb", true),
            ("a*b", "axxc", false),
            ("a*b", "xab", false),
        ] {
            let patterns = [pattern.to_owned(), "other.*".to_owned()];
            let fqdns = Fqdns::new(&patterns, &mut PatternBudget::default()).expect("patterns");
            assert_eq!(fqdns.matches(name), expected, "{pattern} {name}");
        }
        for wrong in ["", " ", ".", "a..", "..", "a b", "a/b", "é", "a\u{0}", "[a]"] {
            assert!(Fqdns::new(&[wrong.to_owned()], &mut PatternBudget::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn node_matches_pattern() {
        for (pattern, name, expected) in [
            ("k8s1", "k8s1", true),
            ("k8s1", "default/k8s1", true),
            ("k8s1", "kind/k8s1", true),
            ("k8s1", "k8s2", false),
            ("kind/", "kind/x", true),
            ("kind/", "x", false),
            ("default/", "x", true),
            ("default/x", "x", true),
            ("/x", "kind/x", true),
            ("/", "kind/x", true),
            ("/", "", false),
            ("*", "", false),
            ("*", "kind/", true),
            ("k*/x", "kind/x", true),
            ("k*/x", "kind/y", false),
            ("c/*.com", "c/a.b.com", true),
        ] {
            let patterns = [pattern.to_owned()];
            let nodes = NodeNames::new(&patterns, &mut PatternBudget::default()).expect("patterns");
            assert_eq!(nodes.matches(name), expected, "{pattern} {name}");
            if let Some((cluster, node)) = name.split_once('/').filter(|(_, node)| !node.is_empty()) {
                assert_eq!(nodes.matches_node(cluster, node), expected, "{pattern} {name}");
            }
        }
        let long = "a".repeat(300);
        assert!(NodeNames::new(&["a*".to_owned()], &mut PatternBudget::default()).expect("patterns").matches(&long));
        for wrong in ["", "a/b/c", "a|b/", "a/b|c", "//", "a../b", " /b"] {
            assert!(NodeNames::new(&[wrong.to_owned()], &mut PatternBudget::default()).is_err(), "{wrong}");
        }
    }
}
