//! Names in namespaces: pods and services by `namespace/prefix`.

use hashbrown::HashMap;

/// The namespace of a pattern that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Namespaced prefixes of a field.
#[derive(Debug, Default)]
pub(super) struct Names {
    any_namespace: Prefixes,
    namespaces: HashMap<String, Prefixes>,
}

/// Sorted prefixes, none of which is a prefix of another: the last that is not greater than a name decides.
#[derive(Debug, Default)]
struct Prefixes(Vec<String>);

impl Prefixes {
    fn seal(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
    }

    fn match_start(&self, name: &str) -> bool {
        let behind = self.0.partition_point(|prefix| prefix.as_str() <= name);
        behind.checked_sub(1).is_some_and(|at| name.starts_with(&self.0[at]))
    }
}

impl Names {
    /// From the entries of a field.
    pub(super) fn new(entries: &[String]) -> Result<Self, String> {
        let mut names = Self::default();
        for entry in entries {
            let mut parts = entry.split('/');
            let (namespace, prefix) = match (parts.next().unwrap_or_default(), parts.next()) {
                ("", None) => return Err("invalid filter, name must not be empty".to_owned()),
                (prefix, None) => (DEFAULT_NAMESPACE, prefix),
                // What follows a second slash means nothing.
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

    /// Whether an entry has this namespace and the start of this name. Nothing at all matches none.
    pub(super) fn contain(&self, namespace: &str, name: &str) -> bool {
        if namespace.is_empty() && name.is_empty() {
            return false;
        }
        self.any_namespace.match_start(name)
            || self.namespaces.get(namespace).is_some_and(|prefixes| prefixes.match_start(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn table() {
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
            let names = Names::new(&entries).expect("names");
            assert_eq!(names.contain(namespace, name), expected, "{entries:?} {namespace}/{name}");
        }
        assert!(Names::new(&["a".to_owned(), String::new()]).is_err());
    }
}
