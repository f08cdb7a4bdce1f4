//! The node that observes, as Hubble names it.

/// The cluster whose name is left out of node names, as if there were none.
const NO_CLUSTER: &str = "default";

/// This node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its cluster; `default` or nothing = none.
    pub cluster: String,
}

impl Node {
    /// The name that flows and responses carry: `name`, or `cluster/name`.
    pub fn full_name(&self) -> String {
        self.cluster().map_or_else(|| self.name.clone(), |cluster| format!("{cluster}/{}", self.name))
    }

    /// The cluster, where it has one that is named.
    pub fn cluster(&self) -> Option<&str> {
        Some(self.cluster.as_str()).filter(|cluster| !cluster.is_empty() && *cluster != NO_CLUSTER)
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn names() {
        for (cluster, name, full) in
            [("", "a", "a"), ("default", "a.example", "a.example"), ("kind", "a", "kind/a"), ("", "", "")]
        {
            assert_eq!(Node { name: name.to_owned(), cluster: cluster.to_owned() }.full_name(), full);
        }
    }
}
