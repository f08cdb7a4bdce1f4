//! The text of a kubeconfig.

use serde_json::{Value, json};

/// A kubeconfig with one cluster and one user, of these fields (`server`, `token` …).
pub fn kubeconfig(cluster: &Value, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": user}],
    });
    config.to_string()
}
