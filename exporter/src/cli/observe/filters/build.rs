//! Combines flags to filters.

use eyepiece_hubble::proto::flow::FlowFilter;

use super::flags::{Effect, FLAGS, FilterFlags, Namespaces};
use super::kernel_reason::{self, Reason};

/// Flags that exclude each other: either end and one of them, or two ways to name the same end.
const CONFLICTS: &[&[&str]] = &[
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-namespace", "namespace", "from-all-namespaces", "all-namespaces"],
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-pod", "pod"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-namespace", "namespace", "to-all-namespaces", "all-namespaces"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-pod", "pod"],
    &["to-pod", "namespace", "all-namespaces"],
    &["from-pod", "namespace", "all-namespaces"],
    &["to-service", "namespace", "all-namespaces"],
    &["from-service", "namespace", "all-namespaces"],
    &["label", "from-label"],
    &["label", "to-label"],
    &["service", "from-service"],
    &["service", "to-service"],
    &["port", "to-port"],
    &["port", "from-port"],
    &["identity", "to-identity"],
    &["identity", "from-identity"],
    &["workload", "to-workload"],
    &["workload", "from-workload"],
    &["cluster", "to-cluster"],
    &["cluster", "from-cluster"],
    &["encrypted", "unencrypted"],
];

/// The filters of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli::observe) struct Filters {
    /// One of these must match, if there are any.
    pub(in crate::cli::observe) allow: Vec<FlowFilter>,
    /// None of these may match.
    pub(in crate::cli::observe) deny: Vec<FlowFilter>,
    /// The kernel's drop reasons in both.
    pub(in crate::cli::observe) kernel_reasons: Vec<String>,
}

/// Combines flags.
///
/// # Errors
/// A value that its flag does not take, or flags that exclude each other; the text names them.
pub(in crate::cli::observe) fn build(flags: &FilterFlags) -> Result<Filters, String> {
    let (mut allow, mut deny) = (Side::default(), Side::default());
    let mut is_not = false;
    for (name, value) in &flags.0 {
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == *name) else { continue };
        if matches!(flag.effect, Effect::Not) {
            if std::mem::replace(&mut is_not, true) {
                return Err("--not follows another --not: one is enough".to_owned());
            }
            continue;
        }
        let side = if std::mem::take(&mut is_not) { &mut deny } else { &mut allow };
        side.add(name, value, flag.effect)?;
    }
    if is_not {
        return Err("--not has no filter after it".to_owned());
    }
    let kernel_reasons = [&allow, &deny].into_iter().flat_map(|side| side.kernel_reasons.clone()).collect();
    Ok(Filters { allow: allow.filters(), deny: deny.filters(), kernel_reasons })
}

/// The filters of one list while flags are added: the first or the second must match.
#[derive(Default)]
struct Side {
    first: FlowFilter,
    second: FlowFilter,
    either: Vec<String>,
    source: Vec<String>,
    destination: Vec<String>,
    kernel_reasons: Vec<String>,
    given: Vec<&'static str>,
}

impl Side {
    fn add(&mut self, name: &'static str, value: &str, effect: Effect) -> Result<(), String> {
        if !self.given.contains(&name) {
            let other = CONFLICTS.iter().filter(|group| group.contains(&name)).flat_map(|group| group.iter());
            if let Some(other) = other.filter(|&&other| other != name).find(|other| self.given.contains(other)) {
                return Err(format!("--{name} and --{other} can't be combined"));
            }
            self.given.push(name);
        }
        let wrong = |error| format!("--{name}: {error}");
        match effect {
            Effect::Not => {}
            Effect::Text(field) => {
                field(&mut self.first).push(value.to_owned());
                field(&mut self.second).push(value.to_owned());
            }
            Effect::Either(source, destination) => {
                source(&mut self.first).push(value.to_owned());
                destination(&mut self.second).push(value.to_owned());
            }
            Effect::Value(put) => {
                put(value, &mut self.first).map_err(wrong)?;
                put(value, &mut self.second).map_err(wrong)?;
            }
            Effect::DropReason => match kernel_reason::parse(value).map_err(wrong)? {
                Reason::Cilium(reason) => {
                    self.first.drop_reason_desc.push(reason as i32);
                    self.second.drop_reason_desc.push(reason as i32);
                }
                Reason::Kernel(name) => self.kernel_reasons.push(name),
            },
            Effect::EitherValue(source, destination) => {
                source(value, &mut self.first).map_err(wrong)?;
                destination(value, &mut self.second).map_err(wrong)?;
            }
            Effect::Namespace(of) => match of {
                Namespaces::Either => self.either.push(value.to_owned()),
                Namespaces::Source => self.source.push(value.to_owned()),
                Namespaces::Destination => self.destination.push(value.to_owned()),
                Namespaces::EitherAll => self.either.push(String::new()),
                Namespaces::SourceAll => self.source.push(String::new()),
                Namespaces::DestinationAll => self.destination.push(String::new()),
            },
        }
        self.check_namespaces()
    }

    /// Checks that names with a namespace match the namespaces that were given, and that pods match services.
    fn check_namespaces(&self) -> Result<(), String> {
        for filter in [&self.first, &self.second] {
            for (pods, services, own) in [
                (&filter.source_pod, &filter.source_service, &self.source),
                (&filter.destination_pod, &filter.destination_service, &self.destination),
            ] {
                for name in pods.iter().chain(services) {
                    let Some(namespace) = namespace(name) else { continue };
                    if let Some(other) = own.iter().chain(&self.either).find(|&other| other != namespace) {
                        return Err(format!("{name:?} is not in the namespace {other:?}"));
                    }
                }
                for pod in pods {
                    let Some(of_pod) = namespace(pod) else { continue };
                    let other = services.iter().find(|service| namespace(service).unwrap_or_default() != of_pod);
                    if let Some(service) = other {
                        return Err(format!("the service {service:?} is not in the namespace of the pod {pod:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Two filters, or one if both are the same; none without flags.
    fn filters(mut self) -> Vec<FlowFilter> {
        if self.given.is_empty() {
            return Vec::new();
        }
        for filter in [&mut self.first, &mut self.second] {
            kernel_reason::add(&self.kernel_reasons, filter);
            in_namespaces(&mut filter.destination_pod, &mut filter.destination_service, &self.destination);
            in_namespaces(&mut filter.source_pod, &mut filter.source_service, &self.source);
        }
        in_namespaces(&mut self.first.source_pod, &mut self.first.source_service, &self.either);
        in_namespaces(&mut self.second.destination_pod, &mut self.second.destination_service, &self.either);
        if self.first == self.second { vec![self.first] } else { vec![self.first, self.second] }
    }
}

fn namespace(name: &str) -> Option<&str> {
    name.split_once('/').map(|(namespace, _)| namespace).filter(|namespace| !namespace.is_empty())
}

/// Prefixes names without a namespace by each of these; without names, everything in them matches.
fn in_namespaces(pods: &mut Vec<String>, services: &mut Vec<String>, namespaces: &[String]) {
    if namespaces.is_empty() {
        return;
    }
    if pods.is_empty() && services.is_empty() {
        pods.push(String::new());
    }
    for names in [pods, services] {
        *names = names
            .iter()
            .flat_map(|name| {
                if name.contains('/') {
                    vec![name.clone()]
                } else {
                    namespaces.iter().map(|namespace| format!("{namespace}/{name}")).collect()
                }
            })
            .collect();
    }
}
