//! How nodes are called in certificates.

/// The cluster of nodes that name none.
const NO_CLUSTER: &str = "default";
/// What the names in servers' certificates end with.
const DOMAIN: &str = "hubble-grpc.cilium.io";

/// The name in the certificate of a node that is named so: `<node>.<cluster>.hubble-grpc.cilium.io`, with dashes for what
/// would be further labels (dots), or none (an IPv6 address's colons).
pub fn server_name(node: &str) -> String {
    let (cluster, name) = node.split_once('/').unwrap_or((NO_CLUSTER, node));
    let label = |part: &str| part.replace(['.', ':'], "-");
    format!("{}.{}.{DOMAIN}", label(name), label(cluster))
}

#[cfg(test)]
mod tests {
    use super::server_name;

    #[test]
    fn names() {
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
