//! The labels of an entity in metrics, as Hubble's `labelsContext` has them. They are joined to one text, so that the key
//! of a series has one number for all labels of an end.

use eyepiece_flow::lookup::EndEntity;

use crate::support::joined_text;

/// Labels with the name of an application (Cilium `pkg/hubble/metrics/api/context.go`).
const APP_LABELS: [&str; 3] = ["k8s:app.kubernetes.io/name=", "k8s:k8s-app=", "k8s:app="];

/// A set of the labels pod, namespace, workload, workload_kind and app of one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntityLabels(u8);

impl EntityLabels {
    /// The number of labels.
    pub const COUNT: usize = 5;

    /// The set of the lower [`EntityLabels::COUNT`] bits, a bit for each label in the order above.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & ((1 << Self::COUNT) - 1))
    }

    /// Returns whether it has no label.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The values of an entity, joined; `None` if all are empty.
    pub fn text(self, entity: &EndEntity<'_>) -> Option<String> {
        let end = entity.metadata;
        let workload = end.workloads.first();
        let values = [
            entity.pod_name,
            end.namespace.as_str(),
            workload.map_or("", |workload| workload.name.as_str()),
            workload.map_or("", |workload| workload.kind.as_str()),
            app(entity.labels).unwrap_or_default(),
        ];
        let mut text = String::new();
        for place in self.places() {
            joined_text::push(&mut text, values[place]);
        }
        joined_text::has_value(&text).then_some(text)
    }

    /// The values of a joined text, in the order of the labels; empty for those that are not in the set.
    pub fn split(self, text: &str) -> [&str; Self::COUNT] {
        let mut values = [""; Self::COUNT];
        for (place, value) in self.places().zip(joined_text::split(text)) {
            values[place] = value;
        }
        values
    }

    fn places(self) -> impl Iterator<Item = usize> {
        (0..Self::COUNT).filter(move |place| self.0 & (1 << place) != 0)
    }
}

/// The name of an application: of the first of these labels that has one.
pub(super) fn app(labels: &[String]) -> Option<&str> {
    let mut names = labels.iter().filter_map(|label| APP_LABELS.iter().find_map(|prefix| label.strip_prefix(prefix)));
    names.find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::lookup::EndEntity;
    use eyepiece_flow::metadata::{EndMetadata, Workload};

    use super::EntityLabels;

    #[test]
    fn labels_are_joined_and_split() {
        let metadata = EndMetadata {
            namespace: "shop".to_owned(),
            pod_name: "we\u{1f}b-1".to_owned(),
            labels: vec!["k8s:app=web".to_owned()],
            workloads: vec![Workload { name: "web".to_owned(), kind: String::new() }],
            ..EndMetadata::default()
        };
        let values = ["web-1", "shop", "web", "", "web"];
        let entity = EndEntity::of(&metadata);
        for bits in 0..1 << EntityLabels::COUNT {
            let labels = EntityLabels::from_bits(bits);
            let mut expected = values;
            for (place, value) in expected.iter_mut().enumerate() {
                if bits & (1 << place) == 0 {
                    *value = "";
                }
            }
            let text = labels.text(&entity);
            assert_eq!(text.is_none(), expected == [""; 5], "{bits:b}");
            assert_eq!(labels.split(&text.unwrap_or_default()), expected, "{bits:b}");
        }
    }
}
