//! The texts by which metrics name an end with an entity, one for each context.

use std::borrow::Cow;

use eyepiece_config::Context;
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::lookup::EndEntity;
use eyepiece_flow::metadata::qualified_name;

use super::entity_labels::{EntityLabels, app};

/// Before the labels of a container.
const CONTAINER: &str = "container:";
/// Before the label of a unit.
const UNIT: &str = "host:unit=";

/// The most sets of labels that metrics have: one for each end of each metric.
pub const MAX_LABEL_SETS: usize = 22;

/// The texts of an entity that metrics refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedTexts {
    contexts: Vec<Context>,
    labels: Vec<EntityLabels>,
}

impl WantedTexts {
    /// Adds contexts.
    pub fn add_contexts(&mut self, contexts: &[Context]) {
        for context in contexts {
            if !self.contexts.contains(context) {
                self.contexts.push(*context);
            }
        }
    }

    /// Adds a set of labels.
    pub fn add_labels(&mut self, labels: EntityLabels) {
        if !labels.is_empty() && !self.labels.contains(&labels) {
            self.labels.push(labels);
        }
    }

    /// The place of a set of labels in [`ContextNames`].
    pub fn place(&self, labels: EntityLabels) -> Option<usize> {
        self.labels.iter().position(|known| *known == labels)
    }
}

/// The numbers of an entity's texts. [`Symbol::EMPTY`] stands for a text that is empty, or that no metric refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextNames {
    contexts: [Symbol; Context::NAMES.len()],
    labels: [Symbol; MAX_LABEL_SETS],
}

impl ContextNames {
    /// No text at all.
    pub const NONE: &'static Self =
        &Self { contexts: [Symbol::EMPTY; Context::NAMES.len()], labels: [Symbol::EMPTY; MAX_LABEL_SETS] };

    /// Leases the wanted texts of an entity.
    pub(super) fn lease(wanted: &WantedTexts, entity: &EndEntity<'_>, symbols: &Symbols) -> (Self, Vec<Lease>) {
        let (mut names, mut leases) = (Self::default(), Vec::new());
        let mut lease = |text: &str| {
            let lease = symbols.lease(text);
            let symbol = lease.symbol();
            leases.push(lease);
            symbol
        };
        for &context in &wanted.contexts {
            if let Some(text) = text(context, entity) {
                names.contexts[context as usize] = lease(&text);
            }
        }
        for (name, labels) in names.labels.iter_mut().zip(&wanted.labels) {
            if let Some(text) = labels.text(entity) {
                *name = lease(&text);
            }
        }
        (names, leases)
    }

    /// The number of the text in a context.
    #[inline]
    pub const fn get(&self, context: Context) -> Symbol {
        self.contexts[context as usize]
    }

    /// The number of the text of the labels at a place, by [`WantedTexts::place`].
    #[inline]
    pub const fn labels(&self, place: usize) -> Symbol {
        self.labels[place]
    }
}

/// The text of an entity in a context, as Hubble's metrics have it; `None` if the context does not name it.
pub fn text<'a>(context: Context, entity: &EndEntity<'a>) -> Option<Cow<'a, str>> {
    let end = entity.metadata;
    let label = |prefix: &str| end.labels.iter().find_map(|label| label.strip_prefix(prefix));
    let own = |text: &'a str| Some(Cow::Borrowed(text)).filter(|text| !text.is_empty());
    let with_namespace = |name: &'a str| Some(qualified_name(&end.namespace, name)).filter(|text| !text.is_empty());
    let joined = |texts: &'a [String]| match texts {
        [] => None,
        [text] => own(text),
        texts => Some(Cow::Owned(texts.join(","))),
    };
    // As in Hubble, a namespace alone names no workload, unlike a pod.
    let workload = || end.workloads.first().map(|workload| workload.name.as_str()).filter(|name| !name.is_empty());
    match context {
        Context::Identity => joined(entity.labels),
        Context::Namespace => own(&end.namespace),
        Context::Pod => with_namespace(entity.pod_name),
        Context::PodName => own(entity.pod_name),
        Context::Workload => with_namespace(workload()?),
        Context::WorkloadName => own(workload()?),
        Context::App => own(app(entity.labels)?),
        Context::Container => own(entity.pod_name).filter(|_| label(CONTAINER).is_some()),
        Context::Unit => own(label(UNIT)?),
        Context::Dns => joined(entity.dns_names),
        Context::Name | Context::Ip | Context::ReservedIdentity => None,
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_config::Context;
    use eyepiece_flow::interner::{Symbol, Symbols};
    use eyepiece_flow::lookup::EndEntity;
    use eyepiece_flow::metadata::{EndMetadata, Workload};

    use super::{ContextNames, WantedTexts, text};
    use crate::metadata::entity_labels::EntityLabels;

    fn end(namespace: &str, pod: &str, workload: &str, labels: &[&str]) -> EndMetadata {
        EndMetadata {
            namespace: namespace.to_owned(),
            pod_name: pod.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            workloads: Some(workload)
                .filter(|name| !name.is_empty())
                .map(|name| Workload { name: name.to_owned(), kind: "Deployment".to_owned() })
                .into_iter()
                .collect(),
            ..EndMetadata::default()
        }
    }

    fn entity<'a>(metadata: &'a EndMetadata, dns_names: &'a [String]) -> EndEntity<'a> {
        EndEntity { dns_names, ..EndEntity::of(metadata) }
    }

    #[test]
    fn contexts_name_entities_as_hubble() {
        let pod = end("shop", "web-1", "web", &["k8s:app=b", "k8s:k8s-app=a", "k8s:tier=x"]);
        let container = end("shop", "shop-web-1", "web", &["container:image=web:1"]);
        let unit = end("host", "sshd.service", "", &["host:unit=sshd.service"]);
        let bare = end("shop", "", "", &[]);
        let unnamed = EndMetadata { workloads: vec![Workload::default()], ..end("shop", "", "", &[]) };
        let recommended = end("shop", "web-1", "web", &["k8s:app.kubernetes.io/name=c", "k8s:app=b"]);
        let unknown = EndMetadata::default();
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        for (context, metadata, dns, expected) in [
            ("pod", &pod, &names[..0], Some("shop/web-1")),
            ("pod", &bare, &[], Some("shop/")),
            ("pod", &unknown, &[], None),
            ("pod-name", &pod, &[], Some("web-1")),
            ("namespace", &pod, &[], Some("shop")),
            ("workload", &pod, &[], Some("shop/web")),
            ("workload", &unit, &[], None),
            ("workload", &unnamed, &[], None),
            ("workload-name", &unnamed, &[], None),
            ("workload-name", &container, &[], Some("web")),
            ("app", &pod, &[], Some("b")),
            ("app", &recommended, &[], Some("c")),
            ("app", &container, &[], None),
            ("container", &container, &[], Some("shop-web-1")),
            ("container", &pod, &[], None),
            ("unit", &unit, &[], Some("sshd.service")),
            ("identity", &pod, &[], Some("k8s:app=b,k8s:k8s-app=a,k8s:tier=x")),
            ("dns", &unknown, &names[..1], Some("a.example")),
            ("dns", &unknown, &names, Some("a.example,b.example")),
            ("dns", &pod, &[], None),
            ("name", &pod, &names, None),
            ("ip", &pod, &names, None),
        ] {
            let context: Context = context.parse().unwrap();
            assert_eq!(text(context, &entity(metadata, dns)).as_deref(), expected, "{context} of {metadata:?}");
        }
    }

    #[test]
    fn only_wanted_contexts_are_leased() {
        let (symbols, metadata) = (Symbols::default(), end("shop", "web-1", "web", &[]));
        let before = symbols.count();
        let mut wanted = WantedTexts::default();
        wanted.add_contexts(&[Context::Workload, Context::App, Context::Pod]);
        let [pod, app] = [1, 16].map(EntityLabels::from_bits);
        for labels in [pod, app, pod, EntityLabels::default()] {
            wanted.add_labels(labels);
        }
        let places = [pod, app, EntityLabels::default()].map(|labels| wanted.place(labels));
        assert_eq!(places, [Some(0), Some(1), None]);
        let (names, leases) = ContextNames::lease(&wanted, &entity(&metadata, &[]), &symbols);
        assert_eq!(&*symbols.text(names.get(Context::Workload)), "shop/web");
        assert_eq!(&*symbols.text(names.get(Context::Pod)), "shop/web-1");
        assert_eq!((names.get(Context::App), names.get(Context::Namespace)), (Symbol::EMPTY, Symbol::EMPTY));
        assert_eq!((&*symbols.text(names.labels(0)), names.labels(1)), ("web-1\u{1f}", Symbol::EMPTY));
        assert_eq!(symbols.count(), before + 3);
        drop(leases);
        assert_eq!(symbols.count(), before);
    }
}
