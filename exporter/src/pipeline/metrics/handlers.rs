//! The handlers of Hubble's metrics that are in use, and ours, each with its contexts and options.

use eyepiece_config::{Handler, HandlerName, HandlerOptions};
use eyepiece_flow::lookup::FlowEnd;

use super::context::{Context, Identifier};
use super::metric_contexts::Contexts;
use crate::metadata::WantedTexts;

/// The handlers in use; `None` for one that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handlers {
    /// `drop`: `hubble.drop`.
    pub drop: Option<Contexts>,
    /// `flow`: `hubble.flows_processed`.
    pub flow: Option<Contexts>,
    /// `tcp`: `hubble.tcp_flags`.
    pub tcp: Option<Contexts>,
    /// `icmp`: `hubble.icmp`.
    pub icmp: Option<Contexts>,
    /// `port-distribution`: `hubble.port_distribution`.
    pub port_distribution: Option<Contexts>,
    /// `policy`: `hubble.policy_verdicts`.
    pub policy: Option<Contexts>,
    /// `sctp`: `hubble.sctp_chunk_types`.
    pub sctp: Option<Contexts>,
    /// `flows-to-world`: `hubble.flows_to_world`.
    pub flows_to_world: Option<FlowsToWorldOptions>,
    /// `dns`: `hubble.dns_queries`, `hubble.dns_responses`, `hubble.dns_response_types`.
    pub dns: Option<DnsOptions>,
    /// `http` or `httpV2`: `hubble.http_requests`, `hubble.http_responses`, `hubble.http_request_duration`.
    pub http: Option<HttpOptions>,
    /// Ours, always in use: `hubble.flow.io` and `hubble.flow.packets`.
    pub flow_io: Contexts,
}

/// The options of `flows-to-world`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowsToWorldOptions {
    /// Its contexts.
    pub contexts: Contexts,
    /// Every drop counts, not those by policy alone.
    pub any_drop: bool,
    /// The destination's port is a label.
    pub port: bool,
    /// Only TCP segments with SYN that are no replies count.
    pub syn_only: bool,
}

/// The options of `dns`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsOptions {
    /// Its contexts.
    pub contexts: Contexts,
    /// The name in the question is a label.
    pub query: bool,
    /// Messages that ask for AAAA records alone do not count.
    pub ignore_aaaa: bool,
}

/// The options of `http` and `httpV2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpOptions {
    /// Its contexts.
    pub contexts: Contexts,
    /// `httpV2`: only responses count, with the ends of their requests.
    pub is_v2: bool,
    /// Series have the latest trace id as exemplar.
    pub exemplars: bool,
}

impl Handlers {
    /// No handler of Hubble's, and ours without contexts.
    pub fn none() -> Self {
        Self {
            drop: None,
            flow: None,
            tcp: None,
            icmp: None,
            port_distribution: None,
            policy: None,
            sctp: None,
            flows_to_world: None,
            dns: None,
            http: None,
            flow_io: Contexts::default(),
        }
    }

    /// `drop`, `flow` and `tcp` with these contexts, but none for the source in `flow`, as is usual with Hubble. Ours has
    /// the same ones.
    pub fn usual(source: &Context, destination: &Context) -> Self {
        let both = Contexts::of(source, destination);
        let flow = Some(Contexts::of(&Context::absent(), destination));
        Self { drop: Some(both.clone()), flow, tcp: Some(both.clone()), flow_io: both, ..Self::none() }
    }

    /// Returns the listed handlers, each with the contexts and options of its line; of an empty list, or of `flow-io` alone,
    /// the usual ones with these contexts. Unknown handlers are left out.
    pub fn of(listed: &[Handler], source: &Context, destination: &Context) -> Self {
        let usual = Self::usual(source, destination);
        let is_ours = |handler: &Handler| handler.name == Some(HandlerName::FlowIo);
        let mut handlers = match listed.iter().all(is_ours) {
            true => usual,
            false => Self { flow_io: usual.flow_io, ..Self::none() },
        };
        listed.iter().for_each(|handler| handlers.add(handler));
        handlers
    }

    fn add(&mut self, handler: &Handler) {
        let contexts = Contexts::from(&handler.contexts);
        let HandlerOptions { query, ignore_aaaa, any_drop, port, syn_only, exemplars } = handler.options;
        match handler.name {
            Some(HandlerName::Drop) => self.drop = Some(contexts),
            Some(HandlerName::Flow) => self.flow = Some(contexts),
            Some(HandlerName::Tcp) => self.tcp = Some(contexts),
            Some(HandlerName::Icmp) => self.icmp = Some(contexts),
            Some(HandlerName::PortDistribution) => self.port_distribution = Some(contexts),
            Some(HandlerName::Policy) => self.policy = Some(contexts),
            Some(HandlerName::Sctp) => self.sctp = Some(contexts),
            Some(HandlerName::FlowIo) => self.flow_io = contexts,
            Some(HandlerName::FlowsToWorld) => {
                self.flows_to_world = Some(FlowsToWorldOptions { contexts, any_drop, port, syn_only });
            }
            Some(HandlerName::Dns) => self.dns = Some(DnsOptions { contexts, query, ignore_aaaa }),
            Some(name @ (HandlerName::Http | HandlerName::HttpV2)) => {
                let (is_v2, exemplars) = (name == HandlerName::HttpV2, exemplars == Some(true));
                self.http = Some(HttpOptions { contexts, is_v2, exemplars });
            }
            None => {}
        }
    }

    /// The contexts of all handlers in use.
    pub fn contexts(&self) -> impl Iterator<Item = &Contexts> {
        let Self { drop, flow, tcp, icmp, port_distribution, policy, sctp, flows_to_world, dns, http, flow_io } = self;
        let plain = [drop, flow, tcp, icmp, port_distribution, policy, sctp].map(Option::as_ref);
        let with_options = [
            flows_to_world.as_ref().map(|options| &options.contexts),
            dns.as_ref().map(|options| &options.contexts),
            http.as_ref().map(|options| &options.contexts),
            Some(flow_io),
        ];
        plain.into_iter().chain(with_options).flatten()
    }

    /// The texts of entities that the metrics refer to.
    pub fn wanted_texts(&self) -> WantedTexts {
        let mut wanted = WantedTexts::default();
        for Contexts { source, destination, labels } in self.contexts() {
            source.all().chain(destination.all()).for_each(|context| wanted.add_contexts(context.identifiers()));
            for end in [FlowEnd::Source, FlowEnd::Destination] {
                wanted.add_labels(labels.of_entity(end));
            }
        }
        wanted
    }
}

impl Default for Handlers {
    fn default() -> Self {
        let name = Context::of(&[Identifier::Name]);
        Self::usual(&name, &name)
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_config::{ContextLabel, Handler};
    use eyepiece_flow::lookup::FlowEnd;

    use super::Handlers;
    use crate::metadata::context_names::MAX_LABEL_SETS;
    use crate::pipeline::metrics::{Context, Contexts, DnsOptions, FlowsToWorldOptions, HttpOptions, LabelSet};

    fn of(lines: &[&str]) -> Handlers {
        let listed: Vec<Handler> = lines.iter().map(|line| line.parse().expect(line)).collect();
        let name: Context = "name".parse().expect("a context");
        Handlers::of(&listed, &name, &name)
    }

    #[test]
    fn listed_handlers_replace_usual_ones() {
        let usual = Handlers::default();
        assert_eq!(of(&[]), usual);
        assert_eq!(of(&["kafka"]), Handlers { flow_io: usual.flow_io.clone(), ..Handlers::none() });
        assert_eq!(of(&["flow-io"]), Handlers { flow_io: Contexts::default(), ..usual.clone() });
        let flow_io = usual.flow_io;
        let some = Some(Contexts::default());
        assert_eq!(of(&["drop"]), Handlers { drop: some.clone(), flow_io: flow_io.clone(), ..Handlers::none() });
        let lines = ["icmp", "policy", "sctp", "port-distribution", "tcp", "flow"];
        let (icmp, policy, sctp) = (some.clone(), some.clone(), some.clone());
        let (port_distribution, tcp, flow) = (some.clone(), some.clone(), some);
        let flow_io = flow_io.clone();
        let expected = Handlers { icmp, policy, sctp, port_distribution, tcp, flow, flow_io, ..Handlers::none() };
        assert_eq!(of(&lines), expected);
        let with_options =
            of(&["dns:query;ignoreAAAA", "httpV2:exemplars=true", "flows-to-world:any-drop;port;syn-only"]);
        assert!(with_options.dns.is_some_and(|dns| dns.query && dns.ignore_aaaa));
        assert!(with_options.http.is_some_and(|http| http.is_v2 && http.exemplars));
        assert!(with_options.flows_to_world.is_some_and(|world| world.any_drop && world.port && world.syn_only));
    }

    #[test]
    fn metrics_refer_to_texts_once() {
        let pod: Context = "pod|ip".parse().expect("a context");
        let mut handlers = Handlers::usual(&pod, &pod);
        let mut expected = handlers.wanted_texts();
        let labels = LabelSet::of(&[ContextLabel::SourceApp, ContextLabel::DestinationApp]);
        for contexts in [&mut handlers.drop, &mut handlers.tcp].into_iter().flatten() {
            contexts.labels = labels;
        }
        expected.add_labels(labels.of_entity(FlowEnd::Source));
        assert_eq!(handlers.wanted_texts(), expected);
    }

    #[test]
    fn label_sets_have_room() {
        let some = || Some(Contexts::default());
        let all = Handlers {
            drop: some(),
            flow: some(),
            tcp: some(),
            icmp: some(),
            port_distribution: some(),
            policy: some(),
            sctp: some(),
            flows_to_world: Some(FlowsToWorldOptions::default()),
            dns: Some(DnsOptions::default()),
            http: Some(HttpOptions::default()),
            flow_io: Contexts::default(),
        };
        assert!(2 * all.contexts().count() <= MAX_LABEL_SETS);
    }
}
