//! The name of the observing node, in Hubble's form.

/// The cluster that node names omit.
pub const NO_CLUSTER: &str = "default";

/// This node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its cluster; `default` or empty = none.
    pub cluster: String,
}

impl Node {
    /// Returns the name in flows and responses: `name`, or `cluster/name`.
    pub fn full_name(&self) -> String {
        self.cluster().map_or_else(|| self.name.clone(), |cluster| format!("{cluster}/{}", self.name))
    }

    /// Returns the cluster, unless it is omitted.
    pub fn cluster(&self) -> Option<&str> {
        Some(self.cluster.as_str()).filter(|cluster| !cluster.is_empty() && *cluster != NO_CLUSTER)
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn full_name_has_cluster() {
        for (cluster, name, full) in
            [("", "a", "a"), ("default", "a.example", "a.example"), ("kind", "a", "kind/a"), ("", "", "")]
        {
            assert_eq!(Node { name: name.to_owned(), cluster: cluster.to_owned() }.full_name(), full);
        }
    }
}
