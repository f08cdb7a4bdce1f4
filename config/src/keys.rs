//! The table of keys: path, kind of value and meaning of each.
//!
//! Used by checks, suggestions and the reference file; a test compares it with the fields of [`crate::Settings`].

use crate::choices::{
    Aggregation, Attach, Compression, Context, Enabled, FlowDetail, LogFormat, LogLevel, Naming, PodScope, Protocol,
    Readiness, SourceKind, Switch, Temporality, Transport,
};

/// The allowed values of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A text that is not empty.
    Name,
    /// true or false.
    Bool,
    /// A whole number from the first to the second.
    Integer(u32, u32),
    /// The same, or the empty text.
    IntegerOrEmpty(u32, u32),
    /// A number of at least zero and at most this, with or without a fraction.
    Factor(u32),
    /// A Cilium release such as 1.18, or the empty text.
    ReleaseOrEmpty,
    /// A size in bytes from the first to the second.
    Size(u64, u64),
    /// A duration of more than nothing.
    Duration,
    /// A duration; `0s` has a meaning of its own.
    DurationOrZero,
    /// A duration of more than nothing, or the empty text.
    DurationOrEmpty,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, or the empty text.
    ChoiceOrEmpty(&'static [&'static str]),
    /// Some of these words, with `|` between them.
    Alternatives(&'static [&'static str]),
    /// A list of Hubble's handlers of metrics with their options.
    Handlers,
    /// A list of texts that are not empty.
    List,
    /// A list of addresses to listen on: `unix://` and a path, or an IP address and a port.
    Listens,
    /// A list of other nodes, each `name=address`.
    Peers,
    /// A list of DNS names, with or without a port.
    Domains,
    /// A list of DNS names without a port.
    Hosts,
    /// An address to connect to: `unix://` and a path, or a host with or without a port.
    Target,
    /// A number 2^n − 1 from 1 to 65535.
    Ring,
    /// Header names and secret values.
    Headers,
    /// Attribute names and texts.
    Attributes,
    /// An http or https URL.
    Url,
    /// An http or https URL, or the empty text.
    UrlOrEmpty,
    /// An IP address and port, or the empty text.
    Listen,
    /// An absolute path that a unix socket can have.
    SocketPath,
    /// The same, or the empty text.
    SocketPathOrEmpty,
    /// Permission bits in octal.
    Mode,
}

#[derive(Debug)]
pub(crate) struct Key {
    /// Path with dots.
    pub(crate) path: &'static str,
    /// Its allowed values.
    pub(crate) kind: Kind,
    /// Its meaning: whole sentences, one line of the reference file each.
    pub(crate) doc: &'static str,
}

/// One table of the reference file; a key belongs to the longest section that begins its path.
#[derive(Debug)]
pub(crate) struct Section {
    /// Path with dots.
    pub(crate) path: &'static str,
    /// Its topic.
    pub(crate) doc: &'static str,
}

/// All sections, in the order of the reference file.
pub(crate) const SECTIONS: &[Section] = &[
    Section { path: "node", doc: "This machine." },
    Section { path: "source", doc: "Where events come from." },
    Section { path: "datapath", doc: "The programs in this machine's kernel." },
    Section { path: "cilium_monitor", doc: "A running Cilium agent: events are read from its monitor socket." },
    Section { path: "hubble_source", doc: "Another Hubble (an agent or a relay): flows are read by gRPC." },
    Section { path: "replay", doc: "A file that `eyepiece record --raw` wrote." },
    Section {
        path: "monitor",
        doc: "Cilium's monitor 1.2 API, for `cilium-dbg monitor` and others: raw events on a unix socket.",
    },
    Section { path: "hubble", doc: "Hubble's gRPC API, for `hubble observe`, Hubble Relay and others." },
    Section {
        path: "metadata.docker",
        doc: "Names of containers, from docker, or from podman by its compatible socket.",
    },
    Section {
        path: "metadata.kubernetes",
        doc: "Names of pods, services and nodes, from a Kubernetes API server; rights: docker/kubernetes/rbac.yaml.",
    },
    Section {
        path: "metadata.cgroup",
        doc: "Names of units of systemd, containers, pods and processes of this machine, from control groups and sockets.",
    },
    Section { path: "metadata.file", doc: "Names from a file, which precede all others." },
    Section { path: "metadata.dns", doc: "Names from DNS answers that were seen, for addresses without another name." },
    Section { path: "metrics", doc: "The series of metrics." },
    Section { path: "otlp", doc: "The receiver of metrics and logs." },
    Section {
        path: "otlp.metrics",
        doc: "Metrics. The keys from `endpoint` on are as in [otlp]; empty means: as there.",
    },
    Section {
        path: "otlp.logs",
        doc: "Log records, one for each emitted flow or event. The keys from `endpoint` on are as in [otlp]; empty means: as there.",
    },
    Section {
        path: "prometheus",
        doc: "The endpoint that Prometheus scrapes, at /metrics: Hubble's metrics by Hubble's own names, and ours.",
    },
    Section {
        path: "admin",
        doc: "Our own HTTP endpoint: /healthz, /readyz and /status, which `eyepiece status` reads.",
    },
    Section { path: "log", doc: "Our own log, on standard error." },
];

const fn key(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, doc }
}

/// The smallest capture: the decoder must see the ends of every packet that the kernel programs count, or packets and
/// bytes between ends would be missing. Ethernet 14 + two VLAN tags 2 × 4 + IPv6 40 + TCP 20 (ports and flags) = 82.
/// The largest: a record has room for it.
const CAPTURE: Kind = Kind::Integer(82, 1024);
/// A ring holds at least one page of 4 KiB; `bpf(2)` takes its size as a u32 power of two.
const RING: Kind = Kind::Size(4 << 10, 1 << 31);
/// Receivers refuse more than 4 MiB by default; a request must hold at least one large record.
const BATCH: Kind = Kind::Size(64 << 10, 4 << 20);

/// All keys, in the order of the reference file.
pub(crate) const KEYS: &[Key] = &[
    key("node.name", Kind::Text, "Name of this node in flows and metrics. Empty: the host's name."),
    key(
        "node.cluster",
        Kind::Name,
        "Name of the cluster that the node belongs to; also the resource attribute k8s.cluster.name, except \"default\", which\n\
         stands for no cluster, as in Cilium.",
    ),
    key(
        "node.dry_mode",
        Kind::Bool,
        "Suppresses agent notifications: eyepiece then reports neither its start nor endpoints and addresses that come,\n\
         change and go, to clients of monitor.socket and hubble.listen and in logs, and no entities. As Cilium's dry mode.\n\
         Flows are not affected.",
    ),
    key(
        "node.drain",
        Kind::Duration,
        "How long a shutdown may take to deliver what is queued; what is left then is counted as dropped.",
    ),
    key(
        "source.kind",
        Kind::Choice(SourceKind::NAMES),
        "datapath: our own programs in this machine's kernel. cilium-monitor: a running Cilium agent. hubble: another\n\
         Hubble. replay: a file; at its end what is queued is delivered, and the program exits with 0.",
    ),
    key(
        "datapath.attach",
        Kind::Choice(Attach::NAMES),
        "How the programs are hooked to interfaces. auto: tcx where the kernel has it (6.6 and later), else clsact.",
    ),
    key(
        "datapath.transport",
        Kind::Choice(Transport::NAMES),
        "How records reach user space. ring: one BPF ring buffer for all CPUs; cheaper, and in order. perf: a buffer for each\n\
         CPU, as Cilium's; if one busy CPU must not take the room of the others, or to compare with Cilium. An event\n\
         costs about a quarter more by perf.",
    ),
    key(
        "datapath.buffer",
        RING,
        "Size of the ring; rounded up to a power of two. What does not fit is counted as lost; totals stay exact.",
    ),
    key(
        "datapath.aggregation",
        Kind::Choice(Aggregation::NAMES),
        "When a packet becomes an event, as Cilium's monitor aggregation. Metrics of packets and bytes are exact at every\n\
         level; the number of flows, log records and hubble.flows_processed differs. For each connection,\n\
         direction and interface:\n\
         none: every packet. For troubleshooting a quiet network; a busy one loses events.\n\
         low: every packet that leaves by an interface; of those that come in, as medium.\n\
         medium: the first packet, each SYN, FIN and RST, each TCP flag not seen before, and one packet an interval.\n\
         maximum: as medium, without other TCP flags (ACK, PSH): the fewest.\n\
         Drops are events at every level. A short TCP connection between two watched interfaces makes 20 (none),\n\
         17 (low), 14 (medium) or 8 (maximum); with one of them watched, about half as many.",
    ),
    key(
        "datapath.interval",
        Kind::Duration,
        "How often a live connection makes an event while it is aggregated, and how old its totals become in the kernel.\n\
         Three intervals add up until a byte is seen in a backend: this one, otlp.metrics.interval (how often sums are\n\
         sent), and for log records otlp.logs.delay in its place.",
    ),
    key(
        "datapath.capture_bytes",
        CAPTURE,
        "How many bytes of a packet an event carries, 82 to 1024: fewer would not hold Ethernet, two VLAN tags, IPv6 and\n\
         TCP.",
    ),
    key(
        "datapath.max_connections",
        Kind::Integer(1, 16_777_216),
        "Entries of each of the two connection tables (IPv4, IPv6), one for each connection and interface. Packets beyond\n\
         are counted as untracked. They are allocated at the start: 482 bytes of kernel memory for each of this number,\n\
         both tables together; 60 MiB at the default.",
    ),
    key("datapath.drops", Kind::Bool, "Whether packets that the kernel drops are reported, with the kernel's reason."),
    key(
        "datapath.drops_ignore",
        Kind::List,
        "Kernel drop reasons to leave out (\"NO_SOCKET\"), beside the frees that are no drops: among them IPV6DISABLED and\n\
         TCP_ABORT_ON_DATA (data for a connection that a local program has closed).",
    ),
    key(
        "datapath.debug",
        Kind::Bool,
        "Whether the kernel programs also report for each packet whether its connection was found or made, and capture\n\
         what is delivered to endpoints: for `cilium-dbg monitor` and `eyepiece observe debug-events`. One or two events\n\
         more for each packet, whatever the aggregation: for troubleshooting, not for production.",
    ),
    key(
        "datapath.interfaces.include",
        Kind::List,
        "Interfaces to watch, by name; * is any text, ? is one character. An excluded one stays excluded.",
    ),
    key("datapath.interfaces.exclude", Kind::List, "Interfaces not to watch."),
    key("datapath.timeout.tcp", Kind::Duration, "How long a TCP connection may be idle before it leaves the table."),
    key("datapath.timeout.udp", Kind::Duration, "The same for UDP."),
    key("datapath.timeout.other", Kind::Duration, "The same for every other protocol."),
    key(
        "cilium_monitor.socket",
        Kind::SocketPath,
        "Path of the agent's monitor 1.2 socket. The agent may come later, go and come back.",
    ),
    key(
        "cilium_monitor.version",
        Kind::ReleaseOrEmpty,
        "The agent's release, 1.15 to 1.20, such as \"1.18\", for payloads that do not show it. Empty: the newest known\n\
         one; of services only upserts are recognized, by their JSON. \"guess\": from the events; it may be wrong.",
    ),
    key(
        "hubble_source.address",
        Kind::Target,
        "unix:// and a path, or host and port, such as hubble-relay.kube-system.svc:80. The default port is 4245.",
    ),
    key(
        "hubble_source.tls.ca",
        Kind::Text,
        "PEM file of the authorities to trust; it switches TLS on. Empty: plaintext.",
    ),
    key("hubble_source.tls.cert", Kind::Text, "PEM file of our client certificate. Empty: none."),
    key("hubble_source.tls.key", Kind::Text, "PEM file of its private key."),
    key("hubble_source.tls.server_name", Kind::Text, "Name in the server's certificate. Empty: the address's host."),
    key("replay.path", Kind::Text, "The file; \"-\" is standard input."),
    key(
        "replay.speed",
        Kind::Factor(1_000_000),
        "How many times faster than recorded. 1.0: in real time. 0: as fast as possible.",
    ),
    key(
        "monitor.socket",
        Kind::SocketPathOrEmpty,
        "Path of the socket, such as /run/eyepiece/monitor1_2.sock. A socket with a listener, such as a running agent's,\n\
         is never taken over. Empty: off.",
    ),
    key(
        "monitor.queue",
        Kind::Integer(0, 1_048_576),
        "Events that wait for a client at most, as Cilium's own server counts; a client is notified of what it loses. 0: as\n\
         many as its memory holds. In any case that is 32 MiB for each client (about 140,000 packets cut at 128 bytes), and\n\
         256 MiB for all 32 of them together, of which 4 MiB are each client's own.",
    ),
    key("monitor.group", Kind::Text, "Group that the socket belongs to, its name or number. Empty: the process's."),
    key("monitor.mode", Kind::Mode, "Permissions of the socket. Its clients see the first bytes of packets."),
    key(
        "hubble.listen",
        Kind::Listens,
        "Where it listens: unix:// and a path, and IP addresses with a port, 127.0.0.1:4245 (where the CLI looks first) or\n\
         0.0.0.0:4244 (where Relay looks). [::] takes IPv4 too. Every client sees all flows: use TLS beyond this machine.\n\
         A socket with a listener is never taken over. []: off. An address that is set here and cannot be bound ends the\n\
         start; if the default cannot be bound (no root, a second eyepiece), a warning is logged.",
    ),
    key("hubble.mode", Kind::Mode, "Permissions of the unix sockets."),
    key("hubble.group", Kind::Text, "Group that the unix sockets belong to, its name or number. Empty: the process's."),
    key("hubble.ring", Kind::Ring, "Events that are kept for clients: 2^n - 1, from 1 to 65535."),
    key(
        "hubble.tls.cert",
        Kind::Text,
        "PEM file of the certificate for the IP addresses; unix sockets are not encrypted. TLS is 1.3 and later. The\n\
         files are read again when they change; if they cannot be used, an error is logged and the former ones stay.\n\
         Empty: no TLS.",
    ),
    key("hubble.tls.key", Kind::Text, "PEM file of its private key."),
    key(
        "hubble.tls.client_ca",
        Kind::Text,
        "PEM file of authorities: clients need a certificate of one of them. Empty: clients need none.",
    ),
    key(
        "hubble.peers",
        Kind::Peers,
        "Other nodes, which Relay is notified of: [\"b=10.0.0.2:4244\", \"cluster/c=c.example:4244\"]. An entry with this\n\
         node's own name is the address for others; so the same list fits every node.",
    ),
    key(
        "hubble.peers_file",
        Kind::Text,
        "A file with more of them: one name=address a line, # begins a comment. Changes apply within a second; a mistake\n\
         is logged, and the former list stays. Empty: none.",
    ),
    key(
        "hubble.peers_dns",
        Kind::Domains,
        "DNS names that resolve to all nodes, as a headless service: [\"eyepiece.kube-system.svc:4244\"]. The default port is\n\
         4244. Of a name with IPv4 and IPv6 addresses the IPv4 ones are used; a node is named by its address; this node's\n\
         own address, and those that are named above, are left out.",
    ),
    key("hubble.peers_refresh", Kind::Duration, "How often these names and our own address are resolved."),
    key(
        "metadata.docker.enabled",
        Kind::Choice(Enabled::NAMES),
        "auto: while the socket is there. on: always; its absence is logged as a failure. off: never.",
    ),
    key(
        "metadata.docker.socket",
        Kind::SocketPath,
        "Path of its socket; podman's is /run/podman/podman.sock. Docker and podman may start later, go and come back.",
    ),
    key(
        "metadata.kubernetes.enabled",
        Kind::Choice(Enabled::NAMES),
        "auto: if this program runs in a pod, or kubeconfig is set. on or off.",
    ),
    key(
        "metadata.kubernetes.kubeconfig",
        Kind::Text,
        "File with the cluster's address and our credentials. Empty: those of the pod that this program runs in.",
    ),
    key(
        "metadata.kubernetes.scope",
        Kind::Choice(PodScope::NAMES),
        "The pods that are asked for. node: those of this node; node.name must be the name of its Node object. cluster:\n\
         all, which names the remote ends of flows too, and takes about 2 KiB of memory for each pod.",
    ),
    key(
        "metadata.cgroup.enabled",
        Kind::Choice(Switch::NAMES),
        "on or off. Follows the control groups and processes of this machine; network namespaces lead to their containers,\n\
         and TCP sockets of the machine's own namespace to the processes that connect or listen.",
    ),
    key(
        "metadata.file.path",
        Kind::Text,
        "The file (examples/names.toml); it is read again when it changes. One with a mistake is logged, and the former\n\
         content stays. Empty: none.",
    ),
    key("metadata.dns.enabled", Kind::Choice(Switch::NAMES), "on or off."),
    key(
        "metadata.dns.max_names",
        Kind::Integer(1, 1_048_576),
        "The most names that are kept; the one that expires first makes room for a new one.",
    ),
    key(
        "metrics.contexts.source",
        Kind::Alternatives(Context::NAMES),
        "The name of a flow's source. Of several with | between them the first that is not empty: \"workload|ip\".\n\
         Hubble's contexts: workload (namespace/name), workload-name, pod (namespace/name), pod-name, namespace, app, dns\n\
         (the names, with commas), identity (its labels, else its number), reserved-identity (reserved:host), and ip,\n\
         which has a series for each address, so mind max_series. A container's namespace is its compose project, its\n\
         pod its name, its workload its compose service or image; a unit's namespace is host, its pod the unit.\n\
         Ours: container, unit, and name: the one short name that is known, else the interface, host, or world.",
    ),
    key("metrics.contexts.destination", Kind::Alternatives(Context::NAMES), "The same for the destination."),
    key(
        "metrics.hubble",
        Kind::Handlers,
        "The handlers of Hubble's metrics in use, in Hubble's own notation with their options:\n\
         [\"drop:sourceContext=pod|ip;destinationContext=dns\", \"tcp:labelsContext=source_app,traffic_direction\", \"icmp\"].\n\
         drop, flow, tcp, icmp, port-distribution, policy, sctp, flows-to-world (options any-drop, port, syn-only), dns\n\
         (query, ignoreAAAA), http or httpV2 (exemplars=true). Empty: drop, flow and tcp with metrics.contexts (flow: for\n\
         the destination alone). One that is listed has the contexts of its options and no others: sourceContext,\n\
         destinationContext, and sourceEgressContext, sourceIngressContext and so on, which precede them in flows of that\n\
         direction; labelsContext: source_ip, source_pod, source_namespace, source_workload, source_workload_kind,\n\
         source_app, the same of destination_, and traffic_direction. Ours, flow-io (packets and bytes), is always in use:\n\
         with the options that are listed, else with metrics.contexts.",
    ),
    key(
        "metrics.flow_detail",
        Kind::Choice(FlowDetail::NAMES),
        "Further attributes of hubble.flow.io and hubble.flow.packets, beside source and destination. ends: none. transport:\n\
         network.transport. port: also the port of the side that answers, as destination.port, or as source.port of\n\
         replies. If it is unknown which side answers, it is the destination's, which may be a new one for each\n\
         connection; max_series is still the limit.",
    ),
    key(
        "metrics.max_series",
        Kind::Integer(1, 10_000_000),
        "Series of one metric. Further ones are counted together, in a series with otel.metric.overflow = true.",
    ),
    key(
        "metrics.idle_expiry",
        Kind::DurationOrZero,
        "Series that did not grow for this long, or for two intervals of otlp.metrics, are dropped, by the arrival of\n\
         events. Those of a name or an interface that is gone are dropped after a minute, or two intervals, but only when\n\
         exports and scrapes have had their last value. 0s: never.",
    ),
    key(
        "metrics.naming",
        Kind::Choice(Naming::NAMES),
        "Attribute names. semconv: OpenTelemetry's semantic conventions. hubble: Hubble's label names.",
    ),
    key(
        "otlp.endpoint",
        Kind::Url,
        "Base URL of the receiver; over HTTP /v1/metrics and /v1/logs are appended. With http/protobuf and no endpoint\n\
         given it is http://localhost:4318.",
    ),
    key(
        "otlp.protocol",
        Kind::Choice(Protocol::NAMES),
        "grpc, http/protobuf, or stdout: readable lines on standard output, nothing is sent.",
    ),
    key(
        "otlp.headers",
        Kind::Headers,
        "Headers of every request, for instance { authorization = \"Bearer …\" }. Make a file that holds secrets unreadable for\n\
         others (chmod o-r), and send them over https.",
    ),
    key("otlp.compression", Kind::Choice(Compression::NAMES), "none or gzip."),
    key("otlp.timeout", Kind::Duration, "How long a request may take."),
    key("otlp.tls.ca", Kind::Text, "PEM file of the authorities to trust. Empty: the system's."),
    key("otlp.tls.cert", Kind::Text, "PEM file of our client certificate. Empty: none."),
    key("otlp.tls.key", Kind::Text, "PEM file of its private key."),
    key("otlp.service_name", Kind::Name, "Resource attribute service.name."),
    key(
        "otlp.resource_attributes",
        Kind::Attributes,
        "Further resource attributes, for instance { \"deployment.environment.name\" = \"prod\" }. They replace ours: by\n\
         default, service.instance.id is a UUID of the machine, its network namespace, the node's name and cluster, the\n\
         source, and admin.listen, else monitor.socket, else hubble.listen; the same after a restart. It is random if none\n\
         of these is set with a fixed port or path. An empty value leaves an attribute out.",
    ),
    key("otlp.metrics.enabled", Kind::Bool, "Whether metrics are exported."),
    key(
        "otlp.metrics.interval",
        Kind::Duration,
        "Time between two exports; see datapath.interval for how intervals add up.",
    ),
    key(
        "otlp.metrics.temporality",
        Kind::Choice(Temporality::NAMES),
        "cumulative: values since their series began. delta: what was added since the receiver last accepted them; what a\n\
         failed request had is in the next one. lowmemory: delta, but cumulative for our own sums.",
    ),
    key(
        "otlp.metrics.table",
        Kind::Bool,
        "With the protocol stdout: whether a table of all series is printed, at every interval and at the end.",
    ),
    key("otlp.metrics.endpoint", Kind::UrlOrEmpty, "The metrics' own URL; over HTTP used as it is, path included."),
    key("otlp.metrics.protocol", Kind::ChoiceOrEmpty(Protocol::NAMES), ""),
    key("otlp.metrics.headers", Kind::Headers, "If there are any, they replace those of [otlp]."),
    key("otlp.metrics.compression", Kind::ChoiceOrEmpty(Compression::NAMES), ""),
    key("otlp.metrics.timeout", Kind::DurationOrEmpty, ""),
    key("otlp.metrics.tls.ca", Kind::Text, ""),
    key("otlp.metrics.tls.cert", Kind::Text, ""),
    key("otlp.metrics.tls.key", Kind::Text, ""),
    key(
        "otlp.logs.enabled",
        Kind::Bool,
        "Whether log records are exported: on by default, a record for each flow. Expect 14 for a short TCP connection\n\
         between two watched interfaces, 7 if one is watched, and one an interval and direction while it lives.\n\
         datapath.aggregation = \"maximum\" makes fewer; with false, metrics still count all packets and bytes.",
    ),
    key("otlp.logs.events.flow", Kind::Bool, "Whether flows are exported (event name hubble.flow)."),
    key("otlp.logs.events.agent", Kind::Bool, "Whether agent events are exported (hubble.agent_event)."),
    key(
        "otlp.logs.events.lost",
        Kind::Bool,
        "Whether losses are exported: events that never became flows (hubble.lost_events).",
    ),
    key(
        "otlp.logs.events.debug",
        Kind::Bool,
        "Whether debug messages are exported (hubble.debug_event): several a packet, for troubleshooting.",
    ),
    key(
        "otlp.logs.events.entity",
        Kind::Bool,
        "Whether entities are exported as OpenTelemetry's entity events: entity.state for each container, pod, service,\n\
         node, unit and process that a provider of names finds or that changes, entity.delete when it is gone. Not with\n\
         node.dry_mode.",
    ),
    key(
        "otlp.logs.entity_interval",
        Kind::Duration,
        "How often an unchanged entity is reported again (entity.report.interval): a receiver takes one that is not for\n\
         gone. 0s: never.",
    ),
    key(
        "otlp.logs.queue_records",
        Kind::Integer(1, 16_777_216),
        "Records that wait for a request. Further ones are dropped and counted (queue_full).",
    ),
    key("otlp.logs.batch_records", Kind::Integer(1, 1_048_576), "The most records of one request."),
    key(
        "otlp.logs.batch_bytes",
        BATCH,
        "The most bytes of one request, before compression. Receivers refuse more than 4 MiB by default.",
    ),
    key("otlp.logs.delay", Kind::Duration, "How long a record waits for its batch to fill."),
    key("otlp.logs.in_flight", Kind::Integer(1, 64), "Requests at the same time."),
    key(
        "otlp.logs.attribute_count_limit",
        Kind::IntegerOrEmpty(0, u32::MAX),
        "The most attributes of a record. Further ones are dropped, and counted in its dropped_attributes_count. Empty: no\n\
         limit; no record has OpenTelemetry's default of 128.",
    ),
    key(
        "otlp.logs.attribute_value_length_limit",
        Kind::IntegerOrEmpty(0, u32::MAX),
        "The most characters of an attribute's text, and of each text in its list or map. Longer ones are cut. Empty: no\n\
         limit.",
    ),
    key("otlp.logs.endpoint", Kind::UrlOrEmpty, "The logs' own URL; over HTTP used as it is, path included."),
    key("otlp.logs.protocol", Kind::ChoiceOrEmpty(Protocol::NAMES), ""),
    key("otlp.logs.headers", Kind::Headers, "If there are any, they replace those of [otlp]."),
    key("otlp.logs.compression", Kind::ChoiceOrEmpty(Compression::NAMES), ""),
    key("otlp.logs.timeout", Kind::DurationOrEmpty, ""),
    key("otlp.logs.tls.ca", Kind::Text, ""),
    key("otlp.logs.tls.cert", Kind::Text, ""),
    key("otlp.logs.tls.key", Kind::Text, ""),
    key(
        "prometheus.listen",
        Kind::Listen,
        "IP address and port, such as \"0.0.0.0:9965\"; port 0 takes a free one. Empty: off. Every client can read all\n\
         metrics: consider prometheus.tls before opening it beyond loopback.",
    ),
    key("prometheus.tls.cert", Kind::Text, "PEM file of our certificate and its chain. Without one there is no TLS."),
    key("prometheus.tls.key", Kind::Text, "PEM file of its private key."),
    key("prometheus.tls.client_ca", Kind::Text, "PEM file of authorities of clients: others are refused."),
    key(
        "admin.listen",
        Kind::Listen,
        "IP address and port; port 0 takes a free one. Empty: off. Every client can read it: consider\n\
         that before opening it beyond loopback.",
    ),
    key(
        "admin.hosts",
        Kind::Hosts,
        "Accepted names in Host, beside IP addresses and localhost, such as [\"node1.example\"]. Requests with another Host\n\
         are refused, so that no web page can read /status through a browser on this machine.",
    ),
    key(
        "admin.example_bytes",
        Kind::Integer(0, 64),
        "How many bytes /status shows of an event that could not be decoded. They may hold payload: 0 shows only reason, age\n\
         and length.",
    ),
    key(
        "admin.readiness",
        Kind::Choice(Readiness::NAMES),
        "When /readyz answers 200. started: interfaces are attached and the source is read. exporting: and the last request\n\
         of each exported signal was taken; else it answers 503 with the reason that the receiver or the network gave.",
    ),
    key("log.level", Kind::Choice(LogLevel::NAMES), "off, error, warn, info, debug or trace."),
    key("log.format", Kind::Choice(LogFormat::NAMES), "text or json."),
];

pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Returns whether keys lie below this path.
pub(crate) fn is_table(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Returns whether a key holds a list of texts.
pub(crate) const fn is_list(kind: Kind) -> bool {
    matches!(kind, Kind::List | Kind::Listens | Kind::Peers | Kind::Domains | Kind::Hosts)
}

/// Returns whether a key holds a table with free names.
pub(crate) fn is_map(kind: Kind) -> bool {
    matches!(kind, Kind::Headers | Kind::Attributes)
}

/// The key of a table with free names that a path lies in, and the name, dots included.
pub(crate) fn map_entry(path: &str) -> Option<(&'static str, &str)> {
    KEYS.iter().filter(|key| is_map(key.kind)).find_map(|key| {
        let name = path.strip_prefix(key.path)?.strip_prefix('.')?;
        Some((key.path, name))
    })
}

/// The longest section that a path lies in.
pub(crate) fn section(path: &str) -> Option<&'static Section> {
    let inside = |section: &&Section| path.strip_prefix(section.path).is_some_and(|rest| rest.starts_with('.'));
    SECTIONS.iter().filter(inside).max_by_key(|section| section.path.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use figment::value::{Dict, Value};

    use super::{KEYS, find, is_map, section};
    use crate::Settings;
    use crate::convert::convert;

    fn leaves(prefix: &str, table: &Dict, paths: &mut BTreeSet<String>) {
        for (name, value) in table {
            let path = format!("{prefix}{name}");
            match value {
                Value::Dict(_, table) if !find(&path).is_some_and(|key| is_map(key.kind)) => {
                    leaves(&format!("{path}."), table, paths);
                }
                _ => assert!(paths.insert(path)),
            }
        }
    }

    #[test]
    fn table_has_all_settings() {
        let settings = Value::serialize(Settings::default()).unwrap();
        let mut paths = BTreeSet::new();
        leaves("", settings.as_dict().unwrap(), &mut paths);
        assert_eq!(paths, KEYS.iter().map(|key| key.path.to_owned()).collect());
        assert_eq!(paths.len(), KEYS.len(), "a path is in the table twice");
    }

    #[test]
    fn every_default_is_valid() {
        let settings = Value::serialize(Settings::default()).unwrap();
        for key in KEYS {
            let value = settings.find_ref(key.path).unwrap();
            assert_eq!(convert(key, value).as_ref(), Ok(value), "{}", key.path);
            assert!(section(key.path).is_some(), "{}", key.path);
        }
    }
}
