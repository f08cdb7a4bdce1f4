//! Labels of pods as Cilium's security identities have them: which are kept, and which are added.

use std::collections::BTreeMap;

/// Longest key of a label: a prefix of 253 bytes, a slash, a name of 63 bytes (Kubernetes' validation).
const MAX_KEY: usize = 317;
/// Longest value of a label that Kubernetes allows.
const MAX_VALUE: usize = 63;
/// Labels of one object that are kept; Kubernetes has no limit but the object's size.
const MAX_LABELS: usize = 64;

/// Where the labels of a pod's namespace stand among its own.
const NAMESPACE_LABEL: &str = "k8s:io.cilium.k8s.namespace.labels.";

/// Beginnings of keys that are left out although no longer rule keeps them: Cilium's defaults
/// (`pkg/labelsfilter/filter.go`). The last two are those that are added here, which a pod must not set for itself.
const IGNORED: [&str; 14] = [
    "io.kubernetes",
    "kubernetes.io",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    concat!("k8s", ".io"),
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "annotation",
    "etcd_node",
    "io.cilium.k8s.",
];

/// Returns whether a label describes a pod's workload, not the one pod of several.
fn is_kept(key: &str) -> bool {
    !IGNORED.iter().any(|prefix| key.starts_with(prefix)) && !key.contains("beta.kubernetes.io")
}

/// Labels of an object that Kubernetes could hold, at most [`MAX_LABELS`].
fn valid(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    labels.filter(|(key, value)| key.len() <= MAX_KEY && value.len() <= MAX_VALUE).take(MAX_LABELS)
}

/// The labels that a namespace gives to its pods.
pub(super) fn of_namespace(labels: &BTreeMap<String, String>) -> Box<[String]> {
    valid(labels).map(|(key, value)| format!("{NAMESPACE_LABEL}{key}={value}")).collect()
}

/// The labels of a pod without those of its namespace.
pub(super) fn of_pod(
    labels: &BTreeMap<String, String>,
    cluster: &str,
    namespace: &str,
    service_account: Option<&str>,
) -> Vec<String> {
    let own = valid(labels).filter(|(key, _)| is_kept(key)).map(|(key, value)| format!("k8s:{key}={value}"));
    let mut all: Vec<String> = own.collect();
    all.push(format!("k8s:io.cilium.k8s.policy.cluster={cluster}"));
    if let Some(account) = service_account.filter(|account| !account.is_empty()) {
        all.push(format!("k8s:io.cilium.k8s.policy.serviceaccount={account}"));
    }
    all.push(format!("k8s:io.kubernetes.pod.namespace={namespace}"));
    all
}

/// Replaces the labels that a pod has from its namespace, and sorts all.
pub(super) fn replace_namespace(labels: &[String], of_namespace: &[String]) -> Vec<String> {
    let mut all = Vec::with_capacity(labels.len() + of_namespace.len());
    all.extend(labels.iter().filter(|label| !label.starts_with(NAMESPACE_LABEL)).cloned());
    all.extend_from_slice(of_namespace);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::{MAX_LABELS, is_kept, of_namespace, of_pod, replace_namespace};

    #[test]
    fn labels_of_single_pods_are_dropped() {
        for (key, kept) in [
            ("app", true),
            ("app.kubernetes.io/name", true),
            ("topology.kubernetes.io/zone", true),
            ("batch.kubernetes.io/job-name", true),
            ("job-name", true),
            ("pod-template-hash", false),
            ("controller-revision-hash", false),
            ("statefulset.kubernetes.io/pod-name", false),
            ("apps.kubernetes.io/pod-index", false),
            ("batch.kubernetes.io/controller-uid", false),
            ("batch.kubernetes.io/job-completion-index", false),
            ("controller-uid", false),
            ("kubernetes.io/os", false),
            ("failure-domain.beta.kubernetes.io/zone", false),
            ("io.cilium.k8s.policy.cluster", false),
        ] {
            assert_eq!(is_kept(key), kept, "{key}");
        }
    }

    #[test]
    fn labels_are_sorted_with_namespace() {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let own =
            of_pod(&map(&[("app", "web"), ("io.cilium.k8s.policy.cluster", "other")]), "kind", "shop", Some("sa"));
        let namespace = of_namespace(&map(&[("kubernetes.io/metadata.name", "shop")]));
        let all = replace_namespace(&own, &namespace);
        assert_eq!(
            all,
            [
                "k8s:app=web",
                "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
                "k8s:io.cilium.k8s.policy.cluster=kind",
                "k8s:io.cilium.k8s.policy.serviceaccount=sa",
                "k8s:io.kubernetes.pod.namespace=shop",
            ]
        );
        let changed = replace_namespace(&all, &of_namespace(&map(&[("team", "a")])));
        assert_eq!(changed[1], "k8s:io.cilium.k8s.namespace.labels.team=a");
        assert_eq!(changed.len(), all.len());
    }

    #[test]
    fn oversized_label_sets_are_cut() {
        let long = (0..1000).map(|number| (format!("key-{number}"), "v".to_owned())).collect();
        assert_eq!(of_namespace(&long).len(), MAX_LABELS);
        let huge = [("k".repeat(318), String::new()), ("k".to_owned(), "v".repeat(64))].into();
        assert!(of_namespace(&huge).is_empty());
    }
}
