//! The names of nodes in certificates.

use eyepiece_hubble::node::NO_CLUSTER;

/// The suffix of names in server certificates.
const DOMAIN: &str = "hubble-grpc.cilium.io";

/// Returns the name in a node's certificate, `<node>.<cluster>.hubble-grpc.cilium.io`. Dots and colons of the node's
/// name become dashes, so that it stays one valid label.
pub fn server_name(node: &str) -> String {
    let (cluster, name) = node.split_once('/').unwrap_or((NO_CLUSTER, node));
    let label = |part: &str| part.replace(['.', ':'], "-");
    format!("{}.{}.{DOMAIN}", label(name), label(cluster))
}

#[cfg(test)]
mod tests {
    use super::server_name;

    #[test]
    fn node_becomes_one_label() {
        for (node, server) in [
            ("a", "a.default"),
            ("prod.eu/a.example", "a-example.prod-eu"),
            ("10.0.0.5", "10-0-0-5.default"),
            ("fd00::5", "fd00--5.default"),
        ] {
            assert_eq!(server_name(node), format!("{server}.hubble-grpc.cilium.io"));
        }
    }
}
