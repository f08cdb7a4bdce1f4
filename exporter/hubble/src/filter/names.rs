//! Matches names of pods and services by `namespace/prefix`.

use hashbrown::HashMap;

/// The namespace of entries without one.
const DEFAULT_NAMESPACE: &str = "default";

/// The prefixes of a field, by namespace.
#[derive(Debug, Default)]
pub(super) struct NamePrefixes {
    any_namespace: Prefixes,
    namespaces: HashMap<String, Prefixes>,
}

/// Sorted prefixes, none of which is a prefix of another: only the last one not greater than a name can match it.
#[derive(Debug, Default)]
struct Prefixes(Vec<String>);

impl Prefixes {
    fn seal(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
    }

    fn match_name(&self, name: &str) -> bool {
        let next = self.0.partition_point(|prefix| prefix.as_str() <= name);
        next.checked_sub(1).is_some_and(|at| name.starts_with(&self.0[at]))
    }
}

impl NamePrefixes {
    /// Compiles the entries of a field.
    pub(super) fn new(entries: &[String]) -> Result<Self, String> {
        let mut names = Self::default();
        for entry in entries {
            let mut parts = entry.split('/');
            let (namespace, prefix) = match (parts.next().unwrap_or_default(), parts.next()) {
                ("", None) => return Err("invalid filter, name must not be empty".to_owned()),
                (prefix, None) => (DEFAULT_NAMESPACE, prefix),
                // Text after a second slash is ignored.
                (namespace, Some(prefix)) => (namespace, prefix),
            };
            let prefixes = match namespace {
                "" => &mut names.any_namespace,
                namespace => names.namespaces.entry_ref(namespace).or_default(),
            };
            prefixes.0.push(prefix.to_owned());
        }
        names.any_namespace.seal();
        names.namespaces.values_mut().for_each(Prefixes::seal);
        Ok(names)
    }

    /// Returns whether an entry has this namespace and a prefix of this name. An empty name alone never matches.
    pub(super) fn contains(&self, namespace: &str, name: &str) -> bool {
        if namespace.is_empty() && name.is_empty() {
            return false;
        }
        self.any_namespace.match_name(name)
            || self.namespaces.get(namespace).is_some_and(|prefixes| prefixes.match_name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::NamePrefixes;

    #[test]
    fn name_matches_prefix_in_namespace() {
        for (entries, namespace, name, expected) in [
            (&["default/a"][..], "default", "abc", true),
            (&["default/a"], "default", "b", false),
            (&["default/a"], "other", "abc", false),
            (&["default/"], "default", "", true),
            (&["default/"], "default", "x", true),
            (&["/a"], "", "abc", true),
            (&["/a"], "n", "abc", true),
            (&["/"], "n", "abc", true),
            (&["/"], "", "", false),
            (&["abc"], "default", "abcd", true),
            (&["abc"], "n", "abcd", false),
            (&["n/a/b"], "n", "ac", true),
            (&["//x"], "n", "y", true),
            (&["n/ab", "n/a", "n/abc", "n/b"], "n", "ad", true),
            (&["n/ab", "n/abd", "n/b"], "n", "abe", true),
            (&["n/ab", "n/abd", "n/b"], "n", "ac", false),
            (&["n/ab", "n/abd", "n/b"], "n", "c", false),
            (&["n/b"], "n", "a", false),
        ] {
            let entries: Vec<_> = entries.iter().map(|&entry| entry.to_owned()).collect();
            let names = NamePrefixes::new(&entries).expect("names");
            assert_eq!(names.contains(namespace, name), expected, "{entries:?} {namespace}/{name}");
        }
        assert!(NamePrefixes::new(&["a".to_owned(), String::new()]).is_err());
    }
}
