//! Names of the registry. Generated: edit `registry/*.yaml`, then
//! `EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv`.

/// The URL of the schema of this version of the registry: that of our instrumentation scopes.
pub const SCHEMA_URL: &str = "https://eyepiece.invalid/schemas/0.1.0";

/// The URL of the schema of OpenTelemetry's conventions that are used here: that of the resource.
pub const OTEL_SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Attribute names.
pub mod attribute {
    use crate::{Attribute, Type};

    /// Full id of the container; of the resource, that of the exporter.
    pub const CONTAINER_ID: &str = "container.id";
    /// Image that the container was made from, without tag and digest.
    pub const CONTAINER_IMAGE_NAME: &str = "container.image.name";
    /// Tag of that image.
    pub const CONTAINER_IMAGE_TAGS: &str = "container.image.tags";
    /// Name of the container, without leading slash.
    pub const CONTAINER_NAME: &str = "container.name";
    /// Program that runs the container.
    pub const CONTAINER_RUNTIME_NAME: &str = "container.runtime.name";
    /// Address of the receiver.
    pub const DESTINATION_ADDRESS: &str = "destination.address";
    /// Full id of the container of the destination, as `container.id` is of a resource.
    pub const DESTINATION_CONTAINER_ID: &str = "destination.container.id";
    /// Image of the destination, as `container.image.name` is of a resource.
    pub const DESTINATION_CONTAINER_IMAGE_NAME: &str = "destination.container.image.name";
    /// Tag of the image of the destination, as `container.image.tags` is of a resource.
    pub const DESTINATION_CONTAINER_IMAGE_TAGS: &str = "destination.container.image.tags";
    /// Container of the destination, as `container.name` is of a resource.
    pub const DESTINATION_CONTAINER_NAME: &str = "destination.container.name";
    /// Runtime of the destination's container, as `container.runtime.name` is of a resource.
    pub const DESTINATION_CONTAINER_RUNTIME_NAME: &str = "destination.container.runtime.name";
    /// Cluster of the destination, as `k8s.cluster.name` is of a resource.
    pub const DESTINATION_K8S_CLUSTER_NAME: &str = "destination.k8s.cluster.name";
    /// Container in the pod of the destination, as `k8s.container.name` is of a resource.
    pub const DESTINATION_K8S_CONTAINER_NAME: &str = "destination.k8s.container.name";
    /// CronJob of the destination, as `k8s.cronjob.name` is of a resource.
    pub const DESTINATION_K8S_CRONJOB_NAME: &str = "destination.k8s.cronjob.name";
    /// DaemonSet of the destination, as `k8s.daemonset.name` is of a resource.
    pub const DESTINATION_K8S_DAEMONSET_NAME: &str = "destination.k8s.daemonset.name";
    /// Deployment of the destination, as `k8s.deployment.name` is of a resource.
    pub const DESTINATION_K8S_DEPLOYMENT_NAME: &str = "destination.k8s.deployment.name";
    /// Job of the destination, as `k8s.job.name` is of a resource.
    pub const DESTINATION_K8S_JOB_NAME: &str = "destination.k8s.job.name";
    /// Kubernetes namespace of the destination, as `k8s.namespace.name` is of a resource.
    pub const DESTINATION_K8S_NAMESPACE_NAME: &str = "destination.k8s.namespace.name";
    /// Node of the pod of the destination, or the destination itself, as `k8s.node.name` is of a resource.
    pub const DESTINATION_K8S_NODE_NAME: &str = "destination.k8s.node.name";
    /// Pod of the destination, as `k8s.pod.name` is of a resource.
    pub const DESTINATION_K8S_POD_NAME: &str = "destination.k8s.pod.name";
    /// Uid of the pod of the destination, as `k8s.pod.uid` is of a resource.
    pub const DESTINATION_K8S_POD_UID: &str = "destination.k8s.pod.uid";
    /// ReplicaSet of the destination, as `k8s.replicaset.name` is of a resource.
    pub const DESTINATION_K8S_REPLICASET_NAME: &str = "destination.k8s.replicaset.name";
    /// Kubernetes service of the destination, as `k8s.service.name` is of a resource.
    pub const DESTINATION_K8S_SERVICE_NAME: &str = "destination.k8s.service.name";
    /// StatefulSet of the destination, as `k8s.statefulset.name` is of a resource.
    pub const DESTINATION_K8S_STATEFULSET_NAME: &str = "destination.k8s.statefulset.name";
    /// Port of the receiver.
    pub const DESTINATION_PORT: &str = "destination.port";
    /// Program of the destination, as `process.executable.name` is of a resource.
    pub const DESTINATION_PROCESS_EXECUTABLE_NAME: &str = "destination.process.executable.name";
    /// Process of the destination, as `process.pid` is of a resource.
    pub const DESTINATION_PROCESS_PID: &str = "destination.process.pid";
    /// Service of docker compose that the destination belongs to, as `service.name` is of a resource.
    pub const DESTINATION_SERVICE_NAME: &str = "destination.service.name";
    /// Project of docker compose that the destination belongs to, as `service.namespace` is of a resource.
    pub const DESTINATION_SERVICE_NAMESPACE: &str = "destination.service.namespace";
    /// Addresses in the answer.
    pub const DNS_ANSWERS: &str = "dns.answers";
    /// Name that was asked for.
    pub const DNS_QUESTION_NAME: &str = "dns.question.name";
    /// The entity's further attributes, a map.
    pub const ENTITY_DESCRIPTION: &str = "entity.description";
    /// The entity's identifying attributes, a map of texts.
    pub const ENTITY_ID: &str = "entity.id";
    /// Seconds after which an unchanged entity is reported again; 0 stands for never.
    pub const ENTITY_REPORT_INTERVAL: &str = "entity.report.interval";
    /// Type of the entity.
    pub const ENTITY_TYPE: &str = "entity.type";
    /// Kind of the failure: an HTTP status, the name of a gRPC code, or a word.
    ///
    /// `rejected` out of a request that was accepted, `unreachable` without a connection, `timeout` without an answer in time, `cancelled` by the end of the program; `queue_full`, `too_large` and `already_shutdown` of records that came to no request.
    pub const ERROR_TYPE: &str = "error.type";
    /// Kind of an event that is no flow.
    pub const EYEPIECE_EVENT_KIND: &str = "eyepiece.event.kind";
    /// Which kernel hook.
    pub const EYEPIECE_HOOK_NAME: &str = "eyepiece.hook.name";
    /// Name of the metric that series belong to.
    pub const EYEPIECE_METRIC_NAME: &str = "eyepiece.metric.name";
    /// How an attempt ended.
    pub const EYEPIECE_OUTCOME: &str = "eyepiece.outcome";
    /// Which bounded queue.
    pub const EYEPIECE_QUEUE_NAME: &str = "eyepiece.queue.name";
    /// Why something was lost, refused or not counted.
    pub const EYEPIECE_REASON: &str = "eyepiece.reason";
    /// OpenTelemetry signal.
    pub const EYEPIECE_SIGNAL: &str = "eyepiece.signal";
    /// Kind of the event source.
    pub const EYEPIECE_SOURCE_KIND: &str = "eyepiece.source.kind";
    /// CPU architecture of the host, by the name that the conventions have for it.
    pub const HOST_ARCH: &str = "host.arch";
    /// Id of the host: its machine id.
    pub const HOST_ID: &str = "host.id";
    /// Name of the host.
    pub const HOST_NAME: &str = "host.name";
    /// Method of the HTTP request.
    pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
    /// Status code of the HTTP response.
    pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
    /// The prefix of addresses with a changed identity.
    pub const HUBBLE_AGENT_EVENT_CIDR: &str = "hubble.agent_event.cidr";
    /// Index of the key that encrypts traffic to them.
    pub const HUBBLE_AGENT_EVENT_ENCRYPT_KEY: &str = "hubble.agent_event.encrypt_key";
    /// The endpoint that it is about.
    pub const HUBBLE_AGENT_EVENT_ENDPOINT_ID: &str = "hubble.agent_event.endpoint.id";
    /// Cause of the failure.
    pub const HUBBLE_AGENT_EVENT_ERROR: &str = "hubble.agent_event.error";
    /// Address of the node behind which they are.
    pub const HUBBLE_AGENT_EVENT_HOST_ADDRESS: &str = "hubble.agent_event.host.address";
    /// Their identity.
    pub const HUBBLE_AGENT_EVENT_IDENTITY: &str = "hubble.agent_event.identity";
    /// Labels of the endpoint or of the policy.
    pub const HUBBLE_AGENT_EVENT_LABELS: &str = "hubble.agent_event.labels";
    /// The JSON of a kind of event that is not known.
    pub const HUBBLE_AGENT_EVENT_NOTIFICATION: &str = "hubble.agent_event.notification";
    /// The monitor's number of a kind of event that is not known.
    pub const HUBBLE_AGENT_EVENT_NUMBER: &str = "hubble.agent_event.number";
    /// Address of the node behind which they were.
    pub const HUBBLE_AGENT_EVENT_OLD_HOST_ADDRESS: &str = "hubble.agent_event.old_host.address";
    /// Their identity before.
    pub const HUBBLE_AGENT_EVENT_OLD_IDENTITY: &str = "hubble.agent_event.old_identity";
    /// Revision of the policy from then on.
    pub const HUBBLE_AGENT_EVENT_POLICY_REVISION: &str = "hubble.agent_event.policy.revision";
    /// How many rules the policy has.
    pub const HUBBLE_AGENT_EVENT_POLICY_RULES: &str = "hubble.agent_event.policy.rules";
    /// Addresses and ports of those that answer for the service.
    pub const HUBBLE_AGENT_EVENT_SERVICE_BACKENDS: &str = "hubble.agent_event.service.backends";
    /// Address and port of the service.
    pub const HUBBLE_AGENT_EVENT_SERVICE_FRONTEND: &str = "hubble.agent_event.service.frontend";
    /// The service that it is about.
    pub const HUBBLE_AGENT_EVENT_SERVICE_ID: &str = "hubble.agent_event.service.id";
    /// Namespace and name of the service.
    pub const HUBBLE_AGENT_EVENT_SERVICE_NAME: &str = "hubble.agent_event.service.name";
    /// Type of the service.
    pub const HUBBLE_AGENT_EVENT_SERVICE_TYPE: &str = "hubble.agent_event.service.type";
    /// When the agent started, as RFC 3339 has it.
    pub const HUBBLE_AGENT_EVENT_TIME: &str = "hubble.agent_event.time";
    /// Kind of the event of Cilium's agent, by the name in Hubble's `flow.AgentEventType`.
    pub const HUBBLE_AGENT_EVENT_TYPE: &str = "hubble.agent_event.type";
    /// Authentication that the policy asked for.
    pub const HUBBLE_AUTH_TYPE: &str = "hubble.auth.type";
    /// Where in the datapath a capture was taken.
    pub const HUBBLE_CAPTURE_POINT: &str = "hubble.capture_point";
    /// CPU on which the event happened.
    pub const HUBBLE_CPU: &str = "hubble.cpu";
    /// First argument of the message.
    pub const HUBBLE_DEBUG_EVENT_ARG1: &str = "hubble.debug_event.arg1";
    /// Second argument of the message.
    pub const HUBBLE_DEBUG_EVENT_ARG2: &str = "hubble.debug_event.arg2";
    /// Third argument of the message.
    pub const HUBBLE_DEBUG_EVENT_ARG3: &str = "hubble.debug_event.arg3";
    /// Hash of the packet.
    pub const HUBBLE_DEBUG_EVENT_HASH: &str = "hubble.debug_event.hash";
    /// The text of the message, as Cilium's monitor prints it.
    pub const HUBBLE_DEBUG_EVENT_MESSAGE: &str = "hubble.debug_event.message";
    /// Kind of the datapath's debug message, by the name in Hubble's `flow.DebugEventType`.
    pub const HUBBLE_DEBUG_EVENT_TYPE: &str = "hubble.debug_event.type";
    /// Application of the destination, by its label `app.kubernetes.io/name`, `k8s-app` or `app`.
    pub const HUBBLE_DESTINATION_APP: &str = "hubble.destination.app";
    /// DNS names of the destination, as those that asked for them know it.
    pub const HUBBLE_DESTINATION_DNS_NAMES: &str = "hubble.destination.dns_names";
    /// Id of the local endpoint that the packet is for.
    pub const HUBBLE_DESTINATION_ENDPOINT_ID: &str = "hubble.destination.endpoint.id";
    /// Security identity of the destination.
    pub const HUBBLE_DESTINATION_IDENTITY: &str = "hubble.destination.identity";
    /// Labels of the destination's identity, as `source:key=value`.
    pub const HUBBLE_DESTINATION_LABELS: &str = "hubble.destination.labels";
    /// The packet's destination, by the configured context.
    ///
    /// See `hubble.source.name`.
    pub const HUBBLE_DESTINATION_NAME: &str = "hubble.destination.name";
    /// Namespace of the Kubernetes service that the destination belongs to.
    pub const HUBBLE_DESTINATION_SERVICE_NAMESPACE: &str = "hubble.destination.service.namespace";
    /// Kind of the first workload that the destination's pod belongs to.
    pub const HUBBLE_DESTINATION_WORKLOAD_KIND: &str = "hubble.destination.workload.kind";
    /// First workload that the destination's pod belongs to.
    pub const HUBBLE_DESTINATION_WORKLOAD_NAME: &str = "hubble.destination.workload.name";
    /// Workloads of the destination's pod, as `Kind/name`, where no attribute of Kubernetes names its kind.
    pub const HUBBLE_DESTINATION_WORKLOADS: &str = "hubble.destination.workloads";
    /// Types of records in the answer.
    pub const HUBBLE_DNS_ANSWER_TYPES: &str = "hubble.dns.answer_types";
    /// Canonical names on the way from the name to its addresses.
    pub const HUBBLE_DNS_CNAMES: &str = "hubble.dns.cnames";
    /// How many addresses the answer has.
    pub const HUBBLE_DNS_IPS_RETURNED: &str = "hubble.dns.ips_returned";
    /// The observer of the DNS message.
    pub const HUBBLE_DNS_OBSERVATION_SOURCE: &str = "hubble.dns.observation_source";
    /// Types of records that were asked for, joined by commas.
    pub const HUBBLE_DNS_QTYPES: &str = "hubble.dns.qtypes";
    /// Types of records that were asked for.
    pub const HUBBLE_DNS_QUERY_TYPES: &str = "hubble.dns.query_types";
    /// Text of the DNS response code, as Hubble's metrics name it; `Policy denied` for drops.
    pub const HUBBLE_DNS_RCODE: &str = "hubble.dns.rcode";
    /// Response code of the answer (RFC 1035 and later).
    pub const HUBBLE_DNS_RESPONSE_CODE: &str = "hubble.dns.response_code";
    /// Type of a record in the answer.
    pub const HUBBLE_DNS_RRTYPE: &str = "hubble.dns.rrtype";
    /// How long the answer holds, in seconds.
    pub const HUBBLE_DNS_TTL: &str = "hubble.dns.ttl";
    /// Source file of the datapath in which the drop was decided.
    pub const HUBBLE_DROP_FILE: &str = "hubble.drop.file";
    /// Line in `hubble.drop.file`.
    pub const HUBBLE_DROP_LINE: &str = "hubble.drop.line";
    /// Symbol and offset in the kernel where the packet was freed.
    pub const HUBBLE_DROP_LOCATION: &str = "hubble.drop.location";
    /// Inode of the network namespace in which the packet was dropped.
    pub const HUBBLE_DROP_NETNS: &str = "hubble.drop.netns";
    /// Why the packet was dropped.
    ///
    /// The kernel's own name for drops that the kernel decided, else the name in Hubble's `flow.DropReason`.
    pub const HUBBLE_DROP_REASON: &str = "hubble.drop.reason";
    /// The program that emitted the events.
    pub const HUBBLE_EMITTER_NAME: &str = "hubble.emitter.name";
    /// The version of the program that emitted the events, if it is known.
    pub const HUBBLE_EMITTER_VERSION: &str = "hubble.emitter.version";
    /// Whether the packet was or will be encrypted.
    pub const HUBBLE_ENCRYPTED: &str = "hubble.encrypted";
    /// Its security identity: `hubble.source.identity`.
    pub const HUBBLE_ENTITY_IDENTITY: &str = "hubble.entity.identity";
    /// Its labels: `hubble.source.labels`.
    pub const HUBBLE_ENTITY_LABELS: &str = "hubble.entity.labels";
    /// The name by which flows and metrics show the entity: `hubble.source.name`.
    pub const HUBBLE_ENTITY_NAME: &str = "hubble.entity.name";
    /// Destination link layer address.
    pub const HUBBLE_ETHERNET_DESTINATION: &str = "hubble.ethernet.destination";
    /// Source link layer address.
    pub const HUBBLE_ETHERNET_SOURCE: &str = "hubble.ethernet.source";
    /// Name of a trace's observation point, protocol of a layer 7 event, or number of an unknown type.
    pub const HUBBLE_EVENT_SUBTYPE: &str = "hubble.event.subtype";
    /// Kind of the event.
    pub const HUBBLE_EVENT_TYPE: &str = "hubble.event.type";
    /// Bytes on the wire since the last event of this direction of the connection.
    pub const HUBBLE_FLOW_BYTES: &str = "hubble.flow.bytes";
    /// The packet was observed before on this node, where it came in by a watched interface; absent otherwise.
    pub const HUBBLE_FLOW_OBSERVED_BEFORE: &str = "hubble.flow.observed_before";
    /// Segments since the last event of this direction of the connection.
    pub const HUBBLE_FLOW_PACKETS: &str = "hubble.flow.packets";
    /// HTTP with its version, as Hubble's metrics name it.
    pub const HUBBLE_HTTP_PROTOCOL: &str = "hubble.http.protocol";
    /// Code of the ICMP or ICMPv6 message.
    pub const HUBBLE_ICMP_CODE: &str = "hubble.icmp.code";
    /// Type and code of the ICMP or ICMPv6 message, as Hubble's metrics name them.
    pub const HUBBLE_ICMP_MESSAGE: &str = "hubble.icmp.message";
    /// Type of the ICMP or ICMPv6 message.
    pub const HUBBLE_ICMP_TYPE: &str = "hubble.icmp.type";
    /// Group address of the IGMP message.
    pub const HUBBLE_IGMP_GROUP: &str = "hubble.igmp.group";
    /// Type of the IGMP message.
    pub const HUBBLE_IGMP_TYPE: &str = "hubble.igmp.type";
    /// Index of the interface on which the packet was seen.
    pub const HUBBLE_INTERFACE_INDEX: &str = "hubble.interface.index";
    /// Trace id that the datapath took from the IP header.
    pub const HUBBLE_IP_TRACE_ID: &str = "hubble.ip_trace_id";
    /// Whether the packet goes from the answering side to the opening side; absent if it is unknown.
    pub const HUBBLE_IS_REPLY: &str = "hubble.is_reply";
    /// Name of the Kafka API.
    pub const HUBBLE_KAFKA_API_KEY: &str = "hubble.kafka.api_key";
    /// Version of the Kafka API.
    pub const HUBBLE_KAFKA_API_VERSION: &str = "hubble.kafka.api_version";
    /// The id that matches a Kafka response to its request.
    pub const HUBBLE_KAFKA_CORRELATION_ID: &str = "hubble.kafka.correlation_id";
    /// Error code of the Kafka response.
    pub const HUBBLE_KAFKA_ERROR_CODE: &str = "hubble.kafka.error_code";
    /// Fields of a protocol's own parser in the proxy, as `name=value`.
    pub const HUBBLE_L7_FIELDS: &str = "hubble.l7.fields";
    /// Nanoseconds from a request to this response, by the proxy's clock.
    pub const HUBBLE_L7_LATENCY: &str = "hubble.l7.latency";
    /// Request, response or sample, by the name in Hubble's `flow.L7FlowType`.
    pub const HUBBLE_L7_TYPE: &str = "hubble.l7.type";
    /// How many events were lost.
    pub const HUBBLE_LOST_COUNT: &str = "hubble.lost.count";
    /// Which buffer lost events, as Hubble names it in lower case.
    pub const HUBBLE_LOST_SOURCE: &str = "hubble.lost.source";
    /// Labels of the node that observed the flow, as `key=value`.
    pub const HUBBLE_NODE_LABELS: &str = "hubble.node.labels";
    /// Where in the datapath a trace was taken.
    pub const HUBBLE_OBSERVATION_POINT: &str = "hubble.observation_point";
    /// Verdict of a policy, in lower case.
    pub const HUBBLE_POLICY_ACTION: &str = "hubble.policy.action";
    /// Direction of the flow that a policy decided on, as Hubble's metrics name it.
    pub const HUBBLE_POLICY_DIRECTION: &str = "hubble.policy.direction";
    /// Which part of a policy decided, in lower case.
    pub const HUBBLE_POLICY_MATCH_TYPE: &str = "hubble.policy.match_type";
    /// Protocol as Hubble's metrics name it.
    pub const HUBBLE_PROTOCOL: &str = "hubble.protocol";
    /// Port of the proxy that the packet goes to or comes from.
    pub const HUBBLE_PROXY_PORT: &str = "hubble.proxy.port";
    /// Rule of the recorder that captured the packet.
    pub const HUBBLE_RECORDER_RULE: &str = "hubble.recorder.rule";
    /// The side of an HTTP connection that was observed: `client`, `server` or `unknown`.
    pub const HUBBLE_REPORTER: &str = "hubble.reporter";
    /// Type of the first SCTP chunk, by the name in Hubble's `flow.SCTPChunkType`.
    pub const HUBBLE_SCTP_CHUNK_NAME: &str = "hubble.sctp.chunk_name";
    /// Type of the first SCTP chunk.
    pub const HUBBLE_SCTP_CHUNK_TYPE: &str = "hubble.sctp.chunk_type";
    /// Id of the control group of the socket's process.
    pub const HUBBLE_SOCK_CGROUP_ID: &str = "hubble.sock.cgroup.id";
    /// The kernel's cookie of the socket.
    pub const HUBBLE_SOCK_COOKIE: &str = "hubble.sock.cookie";
    /// Whether the socket's address is the one before or after translation, and which way.
    pub const HUBBLE_SOCK_TRANSLATION_POINT: &str = "hubble.sock.translation_point";
    /// Source address in the packet's header, where `source.address` is the one before translation.
    pub const HUBBLE_SOURCE_ADDRESS_TRANSLATED: &str = "hubble.source.address_translated";
    /// Application of the source, by its label `app.kubernetes.io/name`, `k8s-app` or `app`.
    pub const HUBBLE_SOURCE_APP: &str = "hubble.source.app";
    /// DNS names of the source, as those that asked for them know it.
    pub const HUBBLE_SOURCE_DNS_NAMES: &str = "hubble.source.dns_names";
    /// Id of the local endpoint that sent the packet.
    pub const HUBBLE_SOURCE_ENDPOINT_ID: &str = "hubble.source.endpoint.id";
    /// Security identity of the source.
    pub const HUBBLE_SOURCE_IDENTITY: &str = "hubble.source.identity";
    /// Labels of the source's identity, as `source:key=value`.
    pub const HUBBLE_SOURCE_LABELS: &str = "hubble.source.labels";
    /// The packet's source, by the configured context.
    ///
    /// The endpoint's interface name, `host` for this machine's own addresses, `world` for the rest, until a provider of metadata knows more.
    pub const HUBBLE_SOURCE_NAME: &str = "hubble.source.name";
    /// Namespace of the Kubernetes service that the source belongs to.
    pub const HUBBLE_SOURCE_SERVICE_NAMESPACE: &str = "hubble.source.service.namespace";
    /// Kind of the first workload that the source's pod belongs to.
    pub const HUBBLE_SOURCE_WORKLOAD_KIND: &str = "hubble.source.workload.kind";
    /// First workload that the source's pod belongs to.
    pub const HUBBLE_SOURCE_WORKLOAD_NAME: &str = "hubble.source.workload.name";
    /// Workloads of the source's pod, as `Kind/name`, where no attribute of Kubernetes names its kind.
    pub const HUBBLE_SOURCE_WORKLOADS: &str = "hubble.source.workloads";
    /// The flow in a few words, as Hubble's summary field; of ARP, which address asks for which.
    pub const HUBBLE_SUMMARY: &str = "hubble.summary";
    /// One TCP flag, as Hubble's metrics name it.
    pub const HUBBLE_TCP_FLAG: &str = "hubble.tcp.flag";
    /// All TCP flags of the packet.
    pub const HUBBLE_TCP_FLAGS: &str = "hubble.tcp.flags";
    /// The packet's state in connection tracking.
    pub const HUBBLE_TRACE_REASON: &str = "hubble.trace_reason";
    /// Direction seen from the endpoint that the event belongs to.
    pub const HUBBLE_TRAFFIC_DIRECTION: &str = "hubble.traffic_direction";
    /// Outer destination address.
    pub const HUBBLE_TUNNEL_DESTINATION_ADDRESS: &str = "hubble.tunnel.destination.address";
    /// Protocol of the tunnel that was looked into.
    pub const HUBBLE_TUNNEL_PROTOCOL: &str = "hubble.tunnel.protocol";
    /// Outer source address.
    pub const HUBBLE_TUNNEL_SOURCE_ADDRESS: &str = "hubble.tunnel.source.address";
    /// Virtual network id of the tunnel.
    pub const HUBBLE_TUNNEL_VNI: &str = "hubble.tunnel.vni";
    /// Verdict on the packet, by the name in Hubble's `flow.Verdict`.
    pub const HUBBLE_VERDICT: &str = "hubble.verdict";
    /// Id of the outermost VLAN tag.
    pub const HUBBLE_VLAN_ID: &str = "hubble.vlan.id";
    /// Priority in the VRRP message.
    pub const HUBBLE_VRRP_PRIORITY: &str = "hubble.vrrp.priority";
    /// Type of the VRRP message.
    pub const HUBBLE_VRRP_TYPE: &str = "hubble.vrrp.type";
    /// Virtual router id of the VRRP message.
    pub const HUBBLE_VRRP_VRID: &str = "hubble.vrrp.vrid";
    /// Cluster of the exporter, as an attribute of the resource; of an entity, its own; of a flow, that of the node that observed it.
    pub const K8S_CLUSTER_NAME: &str = "k8s.cluster.name";
    /// Name of the container in its pod.
    pub const K8S_CONTAINER_NAME: &str = "k8s.container.name";
    /// CronJob of the pod.
    pub const K8S_CRONJOB_NAME: &str = "k8s.cronjob.name";
    /// DaemonSet of the pod.
    pub const K8S_DAEMONSET_NAME: &str = "k8s.daemonset.name";
    /// Deployment of the pod.
    pub const K8S_DEPLOYMENT_NAME: &str = "k8s.deployment.name";
    /// Job of the pod.
    pub const K8S_JOB_NAME: &str = "k8s.job.name";
    /// Namespace of the pod or service that the event is about.
    pub const K8S_NAMESPACE_NAME: &str = "k8s.namespace.name";
    /// Node of the pod; of a flow, that which observed it; of the resource, that of the exporter.
    pub const K8S_NODE_NAME: &str = "k8s.node.name";
    /// Uid of the node.
    pub const K8S_NODE_UID: &str = "k8s.node.uid";
    /// Name of the pod that the event is about.
    pub const K8S_POD_NAME: &str = "k8s.pod.name";
    /// Uid of the pod.
    pub const K8S_POD_UID: &str = "k8s.pod.uid";
    /// ReplicaSet of the pod.
    pub const K8S_REPLICASET_NAME: &str = "k8s.replicaset.name";
    /// Name of the service.
    pub const K8S_SERVICE_NAME: &str = "k8s.service.name";
    /// Uid of the service.
    pub const K8S_SERVICE_UID: &str = "k8s.service.uid";
    /// StatefulSet of the pod.
    pub const K8S_STATEFULSET_NAME: &str = "k8s.statefulset.name";
    /// Id of the record, the same in a replay.
    pub const LOG_RECORD_UID: &str = "log.record.uid";
    /// Topic of the message.
    pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
    /// Name of the interface on which the packet was seen.
    pub const NETWORK_INTERFACE_NAME: &str = "network.interface.name";
    /// Direction on the interface, `receive` or `transmit`.
    pub const NETWORK_IO_DIRECTION: &str = "network.io.direction";
    /// Application protocol, in lower case.
    pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
    /// Version of the application protocol.
    pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
    /// Transport protocol, in lower case.
    pub const NETWORK_TRANSPORT: &str = "network.transport";
    /// Network layer, `ipv4` or `ipv6`.
    pub const NETWORK_TYPE: &str = "network.type";
    /// Name of the operating system.
    pub const OS_NAME: &str = "os.name";
    /// Operating system.
    pub const OS_TYPE: &str = "os.type";
    /// Version of the operating system: `VERSION_ID` of its os-release file.
    pub const OS_VERSION: &str = "os.version";
    /// Its name, with a number.
    pub const OTEL_COMPONENT_NAME: &str = "otel.component.name";
    /// Type of the exporter, the queue, or what collects metrics.
    pub const OTEL_COMPONENT_TYPE: &str = "otel.component.type";
    /// `true` on the series of what the limit of series left out; its only attribute.
    pub const OTEL_METRIC_OVERFLOW: &str = "otel.metric.overflow";
    /// When the process began.
    pub const PROCESS_CREATION_TIME: &str = "process.creation.time";
    /// Name of the process's program.
    pub const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
    /// Id of the process.
    pub const PROCESS_PID: &str = "process.pid";
    /// Host of the receiver.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// Port of the receiver.
    pub const SERVER_PORT: &str = "server.port";
    /// Id of this instance of the service.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    /// Name of the service.
    pub const SERVICE_NAME: &str = "service.name";
    /// Namespace of the service.
    pub const SERVICE_NAMESPACE: &str = "service.namespace";
    /// Version of the service.
    pub const SERVICE_VERSION: &str = "service.version";
    /// Address of the sender.
    pub const SOURCE_ADDRESS: &str = "source.address";
    /// Full id of the container of the source, as `container.id` is of a resource.
    pub const SOURCE_CONTAINER_ID: &str = "source.container.id";
    /// Image of the source, as `container.image.name` is of a resource.
    pub const SOURCE_CONTAINER_IMAGE_NAME: &str = "source.container.image.name";
    /// Tag of the image of the source, as `container.image.tags` is of a resource.
    pub const SOURCE_CONTAINER_IMAGE_TAGS: &str = "source.container.image.tags";
    /// Container of the source, as `container.name` is of a resource.
    pub const SOURCE_CONTAINER_NAME: &str = "source.container.name";
    /// Runtime of the source's container, as `container.runtime.name` is of a resource.
    pub const SOURCE_CONTAINER_RUNTIME_NAME: &str = "source.container.runtime.name";
    /// Cluster of the source, as `k8s.cluster.name` is of a resource.
    pub const SOURCE_K8S_CLUSTER_NAME: &str = "source.k8s.cluster.name";
    /// Container in the pod of the source, as `k8s.container.name` is of a resource.
    pub const SOURCE_K8S_CONTAINER_NAME: &str = "source.k8s.container.name";
    /// CronJob of the source, as `k8s.cronjob.name` is of a resource.
    pub const SOURCE_K8S_CRONJOB_NAME: &str = "source.k8s.cronjob.name";
    /// DaemonSet of the source, as `k8s.daemonset.name` is of a resource.
    pub const SOURCE_K8S_DAEMONSET_NAME: &str = "source.k8s.daemonset.name";
    /// Deployment of the source, as `k8s.deployment.name` is of a resource.
    pub const SOURCE_K8S_DEPLOYMENT_NAME: &str = "source.k8s.deployment.name";
    /// Job of the source, as `k8s.job.name` is of a resource.
    pub const SOURCE_K8S_JOB_NAME: &str = "source.k8s.job.name";
    /// Kubernetes namespace of the source, as `k8s.namespace.name` is of a resource.
    pub const SOURCE_K8S_NAMESPACE_NAME: &str = "source.k8s.namespace.name";
    /// Node of the pod of the source, or the source itself, as `k8s.node.name` is of a resource.
    pub const SOURCE_K8S_NODE_NAME: &str = "source.k8s.node.name";
    /// Pod of the source, as `k8s.pod.name` is of a resource.
    pub const SOURCE_K8S_POD_NAME: &str = "source.k8s.pod.name";
    /// Uid of the pod of the source, as `k8s.pod.uid` is of a resource.
    pub const SOURCE_K8S_POD_UID: &str = "source.k8s.pod.uid";
    /// ReplicaSet of the source, as `k8s.replicaset.name` is of a resource.
    pub const SOURCE_K8S_REPLICASET_NAME: &str = "source.k8s.replicaset.name";
    /// Kubernetes service of the source, as `k8s.service.name` is of a resource.
    pub const SOURCE_K8S_SERVICE_NAME: &str = "source.k8s.service.name";
    /// StatefulSet of the source, as `k8s.statefulset.name` is of a resource.
    pub const SOURCE_K8S_STATEFULSET_NAME: &str = "source.k8s.statefulset.name";
    /// Port of the sender.
    pub const SOURCE_PORT: &str = "source.port";
    /// Program of the source, as `process.executable.name` is of a resource.
    pub const SOURCE_PROCESS_EXECUTABLE_NAME: &str = "source.process.executable.name";
    /// Process of the source, as `process.pid` is of a resource.
    pub const SOURCE_PROCESS_PID: &str = "source.process.pid";
    /// Service of docker compose that the source belongs to, as `service.name` is of a resource.
    pub const SOURCE_SERVICE_NAME: &str = "source.service.name";
    /// Project of docker compose that the source belongs to, as `service.namespace` is of a resource.
    pub const SOURCE_SERVICE_NAMESPACE: &str = "source.service.namespace";
    /// Name of the unit.
    pub const SYSTEMD_UNIT_NAME: &str = "systemd.unit.name";
    /// Name of the distribution of the SDK: eyepiece.
    pub const TELEMETRY_DISTRO_NAME: &str = "telemetry.distro.name";
    /// Version of the distribution.
    pub const TELEMETRY_DISTRO_VERSION: &str = "telemetry.distro.version";
    /// Language of the SDK.
    pub const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
    /// Name of the SDK.
    pub const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
    /// Version of the SDK.
    pub const TELEMETRY_SDK_VERSION: &str = "telemetry.sdk.version";
    /// URL of the request; a password in it is redacted.
    pub const URL_FULL: &str = "url.full";
    /// The user whose manager has the unit.
    pub const USER_ID: &str = "user.id";

    /// All of them, ordered by name.
    pub const ALL: &[Attribute] = &[
        Attribute { name: CONTAINER_ID, r#type: Type::String },
        Attribute { name: CONTAINER_IMAGE_NAME, r#type: Type::String },
        Attribute { name: CONTAINER_IMAGE_TAGS, r#type: Type::Strings },
        Attribute { name: CONTAINER_NAME, r#type: Type::String },
        Attribute { name: CONTAINER_RUNTIME_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_ADDRESS, r#type: Type::String },
        Attribute { name: DESTINATION_CONTAINER_ID, r#type: Type::String },
        Attribute { name: DESTINATION_CONTAINER_IMAGE_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_CONTAINER_IMAGE_TAGS, r#type: Type::Strings },
        Attribute { name: DESTINATION_CONTAINER_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_CONTAINER_RUNTIME_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_CLUSTER_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_CONTAINER_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_CRONJOB_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_DAEMONSET_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_DEPLOYMENT_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_JOB_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_NAMESPACE_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_NODE_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_POD_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_POD_UID, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_REPLICASET_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_SERVICE_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_K8S_STATEFULSET_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_PORT, r#type: Type::Int },
        Attribute { name: DESTINATION_PROCESS_EXECUTABLE_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_PROCESS_PID, r#type: Type::Int },
        Attribute { name: DESTINATION_SERVICE_NAME, r#type: Type::String },
        Attribute { name: DESTINATION_SERVICE_NAMESPACE, r#type: Type::String },
        Attribute { name: DNS_ANSWERS, r#type: Type::Strings },
        Attribute { name: DNS_QUESTION_NAME, r#type: Type::String },
        Attribute { name: ENTITY_DESCRIPTION, r#type: Type::Map },
        Attribute { name: ENTITY_ID, r#type: Type::Map },
        Attribute { name: ENTITY_REPORT_INTERVAL, r#type: Type::Int },
        Attribute { name: ENTITY_TYPE, r#type: Type::String },
        Attribute { name: ERROR_TYPE, r#type: Type::String },
        Attribute { name: EYEPIECE_EVENT_KIND, r#type: Type::String },
        Attribute { name: EYEPIECE_HOOK_NAME, r#type: Type::String },
        Attribute { name: EYEPIECE_METRIC_NAME, r#type: Type::String },
        Attribute { name: EYEPIECE_OUTCOME, r#type: Type::String },
        Attribute { name: EYEPIECE_QUEUE_NAME, r#type: Type::String },
        Attribute { name: EYEPIECE_REASON, r#type: Type::String },
        Attribute { name: EYEPIECE_SIGNAL, r#type: Type::String },
        Attribute { name: EYEPIECE_SOURCE_KIND, r#type: Type::String },
        Attribute { name: HOST_ARCH, r#type: Type::String },
        Attribute { name: HOST_ID, r#type: Type::String },
        Attribute { name: HOST_NAME, r#type: Type::String },
        Attribute { name: HTTP_REQUEST_METHOD, r#type: Type::String },
        Attribute { name: HTTP_RESPONSE_STATUS_CODE, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_CIDR, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_ENCRYPT_KEY, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_ENDPOINT_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_ERROR, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_HOST_ADDRESS, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_IDENTITY, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_LABELS, r#type: Type::Strings },
        Attribute { name: HUBBLE_AGENT_EVENT_NOTIFICATION, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_NUMBER, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_OLD_HOST_ADDRESS, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_OLD_IDENTITY, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_POLICY_REVISION, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_POLICY_RULES, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_SERVICE_BACKENDS, r#type: Type::Strings },
        Attribute { name: HUBBLE_AGENT_EVENT_SERVICE_FRONTEND, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_SERVICE_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_AGENT_EVENT_SERVICE_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_SERVICE_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_TIME, r#type: Type::String },
        Attribute { name: HUBBLE_AGENT_EVENT_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_AUTH_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_CAPTURE_POINT, r#type: Type::String },
        Attribute { name: HUBBLE_CPU, r#type: Type::Int },
        Attribute { name: HUBBLE_DEBUG_EVENT_ARG1, r#type: Type::Int },
        Attribute { name: HUBBLE_DEBUG_EVENT_ARG2, r#type: Type::Int },
        Attribute { name: HUBBLE_DEBUG_EVENT_ARG3, r#type: Type::Int },
        Attribute { name: HUBBLE_DEBUG_EVENT_HASH, r#type: Type::Int },
        Attribute { name: HUBBLE_DEBUG_EVENT_MESSAGE, r#type: Type::String },
        Attribute { name: HUBBLE_DEBUG_EVENT_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_DESTINATION_APP, r#type: Type::String },
        Attribute { name: HUBBLE_DESTINATION_DNS_NAMES, r#type: Type::Strings },
        Attribute { name: HUBBLE_DESTINATION_ENDPOINT_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_DESTINATION_IDENTITY, r#type: Type::Int },
        Attribute { name: HUBBLE_DESTINATION_LABELS, r#type: Type::Strings },
        Attribute { name: HUBBLE_DESTINATION_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_DESTINATION_SERVICE_NAMESPACE, r#type: Type::String },
        Attribute { name: HUBBLE_DESTINATION_WORKLOAD_KIND, r#type: Type::String },
        Attribute { name: HUBBLE_DESTINATION_WORKLOAD_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_DESTINATION_WORKLOADS, r#type: Type::Strings },
        Attribute { name: HUBBLE_DNS_ANSWER_TYPES, r#type: Type::Strings },
        Attribute { name: HUBBLE_DNS_CNAMES, r#type: Type::Strings },
        Attribute { name: HUBBLE_DNS_IPS_RETURNED, r#type: Type::Int },
        Attribute { name: HUBBLE_DNS_OBSERVATION_SOURCE, r#type: Type::String },
        Attribute { name: HUBBLE_DNS_QTYPES, r#type: Type::String },
        Attribute { name: HUBBLE_DNS_QUERY_TYPES, r#type: Type::Strings },
        Attribute { name: HUBBLE_DNS_RCODE, r#type: Type::String },
        Attribute { name: HUBBLE_DNS_RESPONSE_CODE, r#type: Type::Int },
        Attribute { name: HUBBLE_DNS_RRTYPE, r#type: Type::String },
        Attribute { name: HUBBLE_DNS_TTL, r#type: Type::Int },
        Attribute { name: HUBBLE_DROP_FILE, r#type: Type::String },
        Attribute { name: HUBBLE_DROP_LINE, r#type: Type::Int },
        Attribute { name: HUBBLE_DROP_LOCATION, r#type: Type::String },
        Attribute { name: HUBBLE_DROP_NETNS, r#type: Type::Int },
        Attribute { name: HUBBLE_DROP_REASON, r#type: Type::String },
        Attribute { name: HUBBLE_EMITTER_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_EMITTER_VERSION, r#type: Type::String },
        Attribute { name: HUBBLE_ENCRYPTED, r#type: Type::Boolean },
        Attribute { name: HUBBLE_ENTITY_IDENTITY, r#type: Type::Int },
        Attribute { name: HUBBLE_ENTITY_LABELS, r#type: Type::Strings },
        Attribute { name: HUBBLE_ENTITY_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_ETHERNET_DESTINATION, r#type: Type::String },
        Attribute { name: HUBBLE_ETHERNET_SOURCE, r#type: Type::String },
        Attribute { name: HUBBLE_EVENT_SUBTYPE, r#type: Type::String },
        Attribute { name: HUBBLE_EVENT_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_FLOW_BYTES, r#type: Type::Int },
        Attribute { name: HUBBLE_FLOW_OBSERVED_BEFORE, r#type: Type::Boolean },
        Attribute { name: HUBBLE_FLOW_PACKETS, r#type: Type::Int },
        Attribute { name: HUBBLE_HTTP_PROTOCOL, r#type: Type::String },
        Attribute { name: HUBBLE_ICMP_CODE, r#type: Type::Int },
        Attribute { name: HUBBLE_ICMP_MESSAGE, r#type: Type::String },
        Attribute { name: HUBBLE_ICMP_TYPE, r#type: Type::Int },
        Attribute { name: HUBBLE_IGMP_GROUP, r#type: Type::String },
        Attribute { name: HUBBLE_IGMP_TYPE, r#type: Type::Int },
        Attribute { name: HUBBLE_INTERFACE_INDEX, r#type: Type::Int },
        Attribute { name: HUBBLE_IP_TRACE_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_IS_REPLY, r#type: Type::Boolean },
        Attribute { name: HUBBLE_KAFKA_API_KEY, r#type: Type::String },
        Attribute { name: HUBBLE_KAFKA_API_VERSION, r#type: Type::Int },
        Attribute { name: HUBBLE_KAFKA_CORRELATION_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_KAFKA_ERROR_CODE, r#type: Type::Int },
        Attribute { name: HUBBLE_L7_FIELDS, r#type: Type::Strings },
        Attribute { name: HUBBLE_L7_LATENCY, r#type: Type::Int },
        Attribute { name: HUBBLE_L7_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_LOST_COUNT, r#type: Type::Int },
        Attribute { name: HUBBLE_LOST_SOURCE, r#type: Type::String },
        Attribute { name: HUBBLE_NODE_LABELS, r#type: Type::Strings },
        Attribute { name: HUBBLE_OBSERVATION_POINT, r#type: Type::String },
        Attribute { name: HUBBLE_POLICY_ACTION, r#type: Type::String },
        Attribute { name: HUBBLE_POLICY_DIRECTION, r#type: Type::String },
        Attribute { name: HUBBLE_POLICY_MATCH_TYPE, r#type: Type::String },
        Attribute { name: HUBBLE_PROTOCOL, r#type: Type::String },
        Attribute { name: HUBBLE_PROXY_PORT, r#type: Type::Int },
        Attribute { name: HUBBLE_RECORDER_RULE, r#type: Type::Int },
        Attribute { name: HUBBLE_REPORTER, r#type: Type::String },
        Attribute { name: HUBBLE_SCTP_CHUNK_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_SCTP_CHUNK_TYPE, r#type: Type::Int },
        Attribute { name: HUBBLE_SOCK_CGROUP_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_SOCK_COOKIE, r#type: Type::Int },
        Attribute { name: HUBBLE_SOCK_TRANSLATION_POINT, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_ADDRESS_TRANSLATED, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_APP, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_DNS_NAMES, r#type: Type::Strings },
        Attribute { name: HUBBLE_SOURCE_ENDPOINT_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_SOURCE_IDENTITY, r#type: Type::Int },
        Attribute { name: HUBBLE_SOURCE_LABELS, r#type: Type::Strings },
        Attribute { name: HUBBLE_SOURCE_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_SERVICE_NAMESPACE, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_WORKLOAD_KIND, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_WORKLOAD_NAME, r#type: Type::String },
        Attribute { name: HUBBLE_SOURCE_WORKLOADS, r#type: Type::Strings },
        Attribute { name: HUBBLE_SUMMARY, r#type: Type::String },
        Attribute { name: HUBBLE_TCP_FLAG, r#type: Type::String },
        Attribute { name: HUBBLE_TCP_FLAGS, r#type: Type::Strings },
        Attribute { name: HUBBLE_TRACE_REASON, r#type: Type::String },
        Attribute { name: HUBBLE_TRAFFIC_DIRECTION, r#type: Type::String },
        Attribute { name: HUBBLE_TUNNEL_DESTINATION_ADDRESS, r#type: Type::String },
        Attribute { name: HUBBLE_TUNNEL_PROTOCOL, r#type: Type::String },
        Attribute { name: HUBBLE_TUNNEL_SOURCE_ADDRESS, r#type: Type::String },
        Attribute { name: HUBBLE_TUNNEL_VNI, r#type: Type::Int },
        Attribute { name: HUBBLE_VERDICT, r#type: Type::String },
        Attribute { name: HUBBLE_VLAN_ID, r#type: Type::Int },
        Attribute { name: HUBBLE_VRRP_PRIORITY, r#type: Type::Int },
        Attribute { name: HUBBLE_VRRP_TYPE, r#type: Type::Int },
        Attribute { name: HUBBLE_VRRP_VRID, r#type: Type::Int },
        Attribute { name: K8S_CLUSTER_NAME, r#type: Type::String },
        Attribute { name: K8S_CONTAINER_NAME, r#type: Type::String },
        Attribute { name: K8S_CRONJOB_NAME, r#type: Type::String },
        Attribute { name: K8S_DAEMONSET_NAME, r#type: Type::String },
        Attribute { name: K8S_DEPLOYMENT_NAME, r#type: Type::String },
        Attribute { name: K8S_JOB_NAME, r#type: Type::String },
        Attribute { name: K8S_NAMESPACE_NAME, r#type: Type::String },
        Attribute { name: K8S_NODE_NAME, r#type: Type::String },
        Attribute { name: K8S_NODE_UID, r#type: Type::String },
        Attribute { name: K8S_POD_NAME, r#type: Type::String },
        Attribute { name: K8S_POD_UID, r#type: Type::String },
        Attribute { name: K8S_REPLICASET_NAME, r#type: Type::String },
        Attribute { name: K8S_SERVICE_NAME, r#type: Type::String },
        Attribute { name: K8S_SERVICE_UID, r#type: Type::String },
        Attribute { name: K8S_STATEFULSET_NAME, r#type: Type::String },
        Attribute { name: LOG_RECORD_UID, r#type: Type::String },
        Attribute { name: MESSAGING_DESTINATION_NAME, r#type: Type::String },
        Attribute { name: NETWORK_INTERFACE_NAME, r#type: Type::String },
        Attribute { name: NETWORK_IO_DIRECTION, r#type: Type::String },
        Attribute { name: NETWORK_PROTOCOL_NAME, r#type: Type::String },
        Attribute { name: NETWORK_PROTOCOL_VERSION, r#type: Type::String },
        Attribute { name: NETWORK_TRANSPORT, r#type: Type::String },
        Attribute { name: NETWORK_TYPE, r#type: Type::String },
        Attribute { name: OS_NAME, r#type: Type::String },
        Attribute { name: OS_TYPE, r#type: Type::String },
        Attribute { name: OS_VERSION, r#type: Type::String },
        Attribute { name: OTEL_COMPONENT_NAME, r#type: Type::String },
        Attribute { name: OTEL_COMPONENT_TYPE, r#type: Type::String },
        Attribute { name: OTEL_METRIC_OVERFLOW, r#type: Type::Boolean },
        Attribute { name: PROCESS_CREATION_TIME, r#type: Type::String },
        Attribute { name: PROCESS_EXECUTABLE_NAME, r#type: Type::String },
        Attribute { name: PROCESS_PID, r#type: Type::Int },
        Attribute { name: SERVER_ADDRESS, r#type: Type::String },
        Attribute { name: SERVER_PORT, r#type: Type::Int },
        Attribute { name: SERVICE_INSTANCE_ID, r#type: Type::String },
        Attribute { name: SERVICE_NAME, r#type: Type::String },
        Attribute { name: SERVICE_NAMESPACE, r#type: Type::String },
        Attribute { name: SERVICE_VERSION, r#type: Type::String },
        Attribute { name: SOURCE_ADDRESS, r#type: Type::String },
        Attribute { name: SOURCE_CONTAINER_ID, r#type: Type::String },
        Attribute { name: SOURCE_CONTAINER_IMAGE_NAME, r#type: Type::String },
        Attribute { name: SOURCE_CONTAINER_IMAGE_TAGS, r#type: Type::Strings },
        Attribute { name: SOURCE_CONTAINER_NAME, r#type: Type::String },
        Attribute { name: SOURCE_CONTAINER_RUNTIME_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_CLUSTER_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_CONTAINER_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_CRONJOB_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_DAEMONSET_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_DEPLOYMENT_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_JOB_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_NAMESPACE_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_NODE_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_POD_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_POD_UID, r#type: Type::String },
        Attribute { name: SOURCE_K8S_REPLICASET_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_SERVICE_NAME, r#type: Type::String },
        Attribute { name: SOURCE_K8S_STATEFULSET_NAME, r#type: Type::String },
        Attribute { name: SOURCE_PORT, r#type: Type::Int },
        Attribute { name: SOURCE_PROCESS_EXECUTABLE_NAME, r#type: Type::String },
        Attribute { name: SOURCE_PROCESS_PID, r#type: Type::Int },
        Attribute { name: SOURCE_SERVICE_NAME, r#type: Type::String },
        Attribute { name: SOURCE_SERVICE_NAMESPACE, r#type: Type::String },
        Attribute { name: SYSTEMD_UNIT_NAME, r#type: Type::String },
        Attribute { name: TELEMETRY_DISTRO_NAME, r#type: Type::String },
        Attribute { name: TELEMETRY_DISTRO_VERSION, r#type: Type::String },
        Attribute { name: TELEMETRY_SDK_LANGUAGE, r#type: Type::String },
        Attribute { name: TELEMETRY_SDK_NAME, r#type: Type::String },
        Attribute { name: TELEMETRY_SDK_VERSION, r#type: Type::String },
        Attribute { name: URL_FULL, r#type: Type::String },
        Attribute { name: USER_ID, r#type: Type::String },
    ];
}

/// Metrics.
pub mod metric {
    use super::attribute;
    use crate::{Instrument, Metric, Usage};

    /// Entries in the connection table.
    pub const EYEPIECE_DATAPATH_CONNECTION_ACTIVE: Metric = Metric {
        name: "eyepiece.datapath.connection.active",
        unit: "{connection}",
        description: "Entries in the connection table.",
        instrument: Instrument::Gauge,
        attributes: &[
            Usage { name: attribute::NETWORK_TYPE, required: true },
        ],
    };
    /// Entries that the connection table can hold.
    pub const EYEPIECE_DATAPATH_CONNECTION_CAPACITY: Metric = Metric {
        name: "eyepiece.datapath.connection.capacity",
        unit: "{connection}",
        description: "Entries that the connection table can hold.",
        instrument: Instrument::Gauge,
        attributes: &[
            Usage { name: attribute::NETWORK_TYPE, required: true },
        ],
    };
    /// Packets that the kernel dropped, by the kernel's own count.
    pub const EYEPIECE_DATAPATH_DROPS: Metric = Metric {
        name: "eyepiece.datapath.drops",
        unit: "{packet}",
        description: "Packets that the kernel dropped, by the kernel's own count.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_DROP_REASON, required: false },
            Usage { name: attribute::HUBBLE_DROP_NETNS, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
        ],
    };
    /// Frees of packets that are not counted as drops.
    pub const EYEPIECE_DATAPATH_IGNORED: Metric = Metric {
        name: "eyepiece.datapath.ignored",
        unit: "{packet}",
        description: "Frees of packets that are not counted as drops.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Records that found no room in the kernel's buffer.
    pub const EYEPIECE_DATAPATH_LOST: Metric = Metric {
        name: "eyepiece.datapath.lost",
        unit: "{event}",
        description: "Records that found no room in the kernel's buffer.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Records that the kernel programs wanted to write.
    pub const EYEPIECE_DATAPATH_OFFERED: Metric = Metric {
        name: "eyepiece.datapath.offered",
        unit: "{event}",
        description: "Records that the kernel programs wanted to write.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Bytes that passed an interface before its hooks were attached.
    pub const EYEPIECE_DATAPATH_UNSEEN_BYTES: Metric = Metric {
        name: "eyepiece.datapath.unseen.bytes",
        unit: "By",
        description: "Bytes that passed an interface before its hooks were attached.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
            Usage { name: attribute::NETWORK_IO_DIRECTION, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
        ],
    };
    /// Packets that passed an interface before its hooks were attached.
    pub const EYEPIECE_DATAPATH_UNSEEN_PACKETS: Metric = Metric {
        name: "eyepiece.datapath.unseen.packets",
        unit: "{packet}",
        description: "Packets that passed an interface before its hooks were attached.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
            Usage { name: attribute::NETWORK_IO_DIRECTION, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
        ],
    };
    /// Bytes that the connection table could not hold.
    pub const EYEPIECE_DATAPATH_UNTRACKED_BYTES: Metric = Metric {
        name: "eyepiece.datapath.untracked.bytes",
        unit: "By",
        description: "Bytes that the connection table could not hold.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Packets that the connection table could not hold.
    pub const EYEPIECE_DATAPATH_UNTRACKED_PACKETS: Metric = Metric {
        name: "eyepiece.datapath.untracked.packets",
        unit: "{packet}",
        description: "Packets that the connection table could not hold.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Ends of flows on this machine that no provider names, and ends that have no name since too many are in use, by reason.
    pub const EYEPIECE_ENDS_UNNAMED: Metric = Metric {
        name: "eyepiece.ends.unnamed",
        unit: "{end}",
        description: "Ends of flows on this machine that no provider names, and ends that have no name since too many are in use, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Events that are no flows, by kind.
    pub const EYEPIECE_EVENTS_DECODED: Metric = Metric {
        name: "eyepiece.events.decoded",
        unit: "{event}",
        description: "Events that are no flows, by kind.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_EVENT_KIND, required: true },
        ],
    };
    /// Events that were lost on the way from the kernel to the pipeline.
    pub const EYEPIECE_EVENTS_LOST: Metric = Metric {
        name: "eyepiece.events.lost",
        unit: "{event}",
        description: "Events that were lost on the way from the kernel to the pipeline.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Events that a source delivered.
    pub const EYEPIECE_EVENTS_RECEIVED: Metric = Metric {
        name: "eyepiece.events.received",
        unit: "{event}",
        description: "Events that a source delivered.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_SOURCE_KIND, required: true },
        ],
    };
    /// Events that were read and are left out, by reason.
    pub const EYEPIECE_EVENTS_SKIPPED: Metric = Metric {
        name: "eyepiece.events.skipped",
        unit: "{event}",
        description: "Events that were read and are left out, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Bytes of encoded requests, before compression.
    pub const EYEPIECE_EXPORT_IO: Metric = Metric {
        name: "eyepiece.export.io",
        unit: "By",
        description: "Bytes of encoded requests, before compression.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_SIGNAL, required: true },
        ],
    };
    /// Records that the receiver acknowledged, or that were given up.
    pub const EYEPIECE_EXPORT_RECORDS: Metric = Metric {
        name: "eyepiece.export.records",
        unit: "{record}",
        description: "Records that the receiver acknowledged, or that were given up.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_SIGNAL, required: true },
            Usage { name: attribute::EYEPIECE_OUTCOME, required: true },
            Usage { name: attribute::EYEPIECE_REASON, required: false },
        ],
    };
    /// Requests to the receiver.
    pub const EYEPIECE_EXPORT_REQUESTS: Metric = Metric {
        name: "eyepiece.export.requests",
        unit: "{request}",
        description: "Requests to the receiver.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_SIGNAL, required: true },
            Usage { name: attribute::EYEPIECE_OUTCOME, required: true },
        ],
    };
    /// Events that could not be decoded.
    pub const EYEPIECE_FLOWS_FAILED: Metric = Metric {
        name: "eyepiece.flows.failed",
        unit: "{event}",
        description: "Events that could not be decoded.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Events that became flows.
    pub const EYEPIECE_FLOWS_PARSED: Metric = Metric {
        name: "eyepiece.flows.parsed",
        unit: "{flow}",
        description: "Events that became flows.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Hooks that are attached: 1, or 0 where one could not be.
    pub const EYEPIECE_HOOK_ATTACHED: Metric = Metric {
        name: "eyepiece.hook.attached",
        unit: "{hook}",
        description: "Hooks that are attached: 1, or 0 where one could not be.",
        instrument: Instrument::UpDownCounter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_HOOK_NAME, required: false },
            Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
        ],
    };
    /// Connections that were made to our Hubble API, refused ones included.
    pub const EYEPIECE_HUBBLE_ACCEPTED: Metric = Metric {
        name: "eyepiece.hubble.accepted",
        unit: "{connection}",
        description: "Connections that were made to our Hubble API, refused ones included.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Connections to our Hubble API.
    pub const EYEPIECE_HUBBLE_CONNECTIONS: Metric = Metric {
        name: "eyepiece.hubble.connections",
        unit: "{connection}",
        description: "Connections to our Hubble API.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// Connections to our Hubble API that are gone, by reason.
    pub const EYEPIECE_HUBBLE_ENDED: Metric = Metric {
        name: "eyepiece.hubble.ended",
        unit: "{connection}",
        description: "Connections to our Hubble API that are gone, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Nodes that clients of our Hubble API are notified of, this one included.
    pub const EYEPIECE_HUBBLE_PEER_ACTIVE: Metric = Metric {
        name: "eyepiece.hubble.peer.active",
        unit: "{node}",
        description: "Nodes that clients of our Hubble API are notified of, this one included.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// Incidents of the list of nodes, by reason.
    pub const EYEPIECE_HUBBLE_PEER_INCIDENTS: Metric = Metric {
        name: "eyepiece.hubble.peer.incidents",
        unit: "{incident}",
        description: "Incidents of the list of nodes, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Connections and requests that our Hubble API refused, by reason.
    pub const EYEPIECE_HUBBLE_REFUSED: Metric = Metric {
        name: "eyepiece.hubble.refused",
        unit: "{refusal}",
        description: "Connections and requests that our Hubble API refused, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Changes of the certificate files of our Hubble API, by whether they could be used.
    pub const EYEPIECE_HUBBLE_RELOADS: Metric = Metric {
        name: "eyepiece.hubble.reloads",
        unit: "{reload}",
        description: "Changes of the certificate files of our Hubble API, by whether they could be used.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_OUTCOME, required: true },
        ],
    };
    /// Requests to our Hubble API, refused ones included.
    pub const EYEPIECE_HUBBLE_REQUESTS: Metric = Metric {
        name: "eyepiece.hubble.requests",
        unit: "{request}",
        description: "Requests to our Hubble API, refused ones included.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Requests to our Hubble API that are being answered.
    pub const EYEPIECE_HUBBLE_STREAMS: Metric = Metric {
        name: "eyepiece.hubble.streams",
        unit: "{request}",
        description: "Requests to our Hubble API that are being answered.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// Incidents while interfaces were watched, by reason.
    pub const EYEPIECE_INTERFACES_INCIDENTS: Metric = Metric {
        name: "eyepiece.interfaces.incidents",
        unit: "{event}",
        description: "Incidents while interfaces were watched, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Lists and watches of a Kubernetes API server that failed.
    pub const EYEPIECE_KUBERNETES_FAILURES: Metric = Metric {
        name: "eyepiece.kubernetes.failures",
        unit: "{failure}",
        description: "Lists and watches of a Kubernetes API server that failed.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Objects of a Kubernetes API server that were left out.
    pub const EYEPIECE_KUBERNETES_OBJECTS_DROPPED: Metric = Metric {
        name: "eyepiece.kubernetes.objects.dropped",
        unit: "{object}",
        description: "Objects of a Kubernetes API server that were left out.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Incidents while names and metadata were collected, by reason.
    pub const EYEPIECE_METADATA_INCIDENTS: Metric = Metric {
        name: "eyepiece.metadata.incidents",
        unit: "{incident}",
        description: "Incidents while names and metadata were collected, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Objects without a name because they exceed a provider's limit, by reason.
    pub const EYEPIECE_METADATA_LEFT_OUT: Metric = Metric {
        name: "eyepiece.metadata.left_out",
        unit: "{object}",
        description: "Objects without a name because they exceed a provider's limit, by reason.",
        instrument: Instrument::Gauge,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Clients of the monitor socket that are gone, by reason.
    pub const EYEPIECE_MONITOR_ENDED: Metric = Metric {
        name: "eyepiece.monitor.ended",
        unit: "{client}",
        description: "Clients of the monitor socket that are gone, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Events that found no room in a queue of the monitor socket; the next client of a queue continues its sum.
    pub const EYEPIECE_MONITOR_LISTENER_LOST: Metric = Metric {
        name: "eyepiece.monitor.listener.lost",
        unit: "{event}",
        description: "Events that found no room in a queue of the monitor socket; the next client of a queue continues its sum.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_QUEUE_NAME, required: true },
        ],
    };
    /// Clients of the monitor socket.
    pub const EYEPIECE_MONITOR_LISTENERS: Metric = Metric {
        name: "eyepiece.monitor.listeners",
        unit: "{client}",
        description: "Clients of the monitor socket.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// Events that a client of the monitor socket did not get, by reason.
    pub const EYEPIECE_MONITOR_LOST: Metric = Metric {
        name: "eyepiece.monitor.lost",
        unit: "{event}",
        description: "Events that a client of the monitor socket did not get, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Clients that the monitor socket refused, by reason.
    pub const EYEPIECE_MONITOR_REFUSED: Metric = Metric {
        name: "eyepiece.monitor.refused",
        unit: "{client}",
        description: "Clients that the monitor socket refused, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Payloads that were written to clients of the monitor socket.
    pub const EYEPIECE_MONITOR_SENT: Metric = Metric {
        name: "eyepiece.monitor.sent",
        unit: "{payload}",
        description: "Payloads that were written to clients of the monitor socket.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Hooks and sinks of the pipeline that panicked and are left out since.
    pub const EYEPIECE_PIPELINE_FAILED: Metric = Metric {
        name: "eyepiece.pipeline.failed",
        unit: "{component}",
        description: "Hooks and sinks of the pipeline that panicked and are left out since.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Connections to the Prometheus endpoint that got no answer, by reason.
    pub const EYEPIECE_PROMETHEUS_REFUSED: Metric = Metric {
        name: "eyepiece.prometheus.refused",
        unit: "{connection}",
        description: "Connections to the Prometheus endpoint that got no answer, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Entries that a queue can hold.
    ///
    /// Absent for queues of the monitor socket (`monitor_listener_N`) unless `monitor.queue` bounds their payloads: by default only their memory is bounded.
    pub const EYEPIECE_QUEUE_CAPACITY: Metric = Metric {
        name: "eyepiece.queue.capacity",
        unit: "{record}",
        description: "Entries that a queue can hold.",
        instrument: Instrument::Gauge,
        attributes: &[
            Usage { name: attribute::EYEPIECE_QUEUE_NAME, required: true },
        ],
    };
    /// Entries that wait in a queue.
    pub const EYEPIECE_QUEUE_DEPTH: Metric = Metric {
        name: "eyepiece.queue.depth",
        unit: "{record}",
        description: "Entries that wait in a queue.",
        instrument: Instrument::Gauge,
        attributes: &[
            Usage { name: attribute::EYEPIECE_QUEUE_NAME, required: true },
        ],
    };
    /// Live series of a metric.
    pub const EYEPIECE_SERIES_ACTIVE: Metric = Metric {
        name: "eyepiece.series.active",
        unit: "{series}",
        description: "Live series of a metric.",
        instrument: Instrument::Gauge,
        attributes: &[
            Usage { name: attribute::EYEPIECE_METRIC_NAME, required: true },
        ],
    };
    /// Series that were removed because they were idle.
    pub const EYEPIECE_SERIES_EXPIRED: Metric = Metric {
        name: "eyepiece.series.expired",
        unit: "{series}",
        description: "Series that were removed because they were idle.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_METRIC_NAME, required: true },
        ],
    };
    /// Measurements that went to the overflow series.
    pub const EYEPIECE_SERIES_OVERFLOWED: Metric = Metric {
        name: "eyepiece.series.overflowed",
        unit: "{record}",
        description: "Measurements that went to the overflow series.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_METRIC_NAME, required: true },
        ],
    };
    /// Attempts to connect to the agent that failed, by reason.
    pub const EYEPIECE_SOURCE_ATTEMPTS: Metric = Metric {
        name: "eyepiece.source.attempts",
        unit: "{attempt}",
        description: "Attempts to connect to the agent that failed, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Time without a connection to the agent, the time before the first one included.
    pub const EYEPIECE_SOURCE_AWAY: Metric = Metric {
        name: "eyepiece.source.away",
        unit: "s",
        description: "Time without a connection to the agent, the time before the first one included.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// 1 while the source is connected to the agent it reads from, 0 while it is not.
    pub const EYEPIECE_SOURCE_CONNECTED: Metric = Metric {
        name: "eyepiece.source.connected",
        unit: "{connection}",
        description: "1 while the source is connected to the agent it reads from, 0 while it is not.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// Places of a recording that could not be read, by reason.
    pub const EYEPIECE_SOURCE_DAMAGED: Metric = Metric {
        name: "eyepiece.source.damaged",
        unit: "{place}",
        description: "Places of a recording that could not be read, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Bytes of the source that were no whole message or record, by reason.
    pub const EYEPIECE_SOURCE_DISCARDED: Metric = Metric {
        name: "eyepiece.source.discarded",
        unit: "By",
        description: "Bytes of the source that were no whole message or record, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Times that reading went on behind events that were missed, by reason.
    ///
    /// The number of events in a gap is unknown: the server does not have them any more.
    pub const EYEPIECE_SOURCE_GAPS: Metric = Metric {
        name: "eyepiece.source.gaps",
        unit: "{gap}",
        description: "Times that reading went on behind events that were missed, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Connections to the agent that ended, by reason.
    ///
    /// The number of events during an interruption is unknown.
    pub const EYEPIECE_SOURCE_INTERRUPTIONS: Metric = Metric {
        name: "eyepiece.source.interruptions",
        unit: "{interruption}",
        description: "Connections to the agent that ended, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::EYEPIECE_REASON, required: true },
        ],
    };
    /// Time since the start.
    pub const EYEPIECE_UPTIME: Metric = Metric {
        name: "eyepiece.uptime",
        unit: "s",
        description: "Time since the start.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// DNS queries, and DNS messages that were dropped.
    pub const HUBBLE_DNS_QUERIES: Metric = Metric {
        name: "hubble.dns_queries",
        unit: "{flow}",
        description: "DNS queries, and DNS messages that were dropped.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_DNS_RCODE, required: false },
            Usage { name: attribute::HUBBLE_DNS_QTYPES, required: false },
            Usage { name: attribute::HUBBLE_DNS_IPS_RETURNED, required: false },
            Usage { name: attribute::DNS_QUESTION_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Records of DNS responses by type.
    pub const HUBBLE_DNS_RESPONSE_TYPES: Metric = Metric {
        name: "hubble.dns_response_types",
        unit: "{record}",
        description: "Records of DNS responses by type.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_DNS_RRTYPE, required: false },
            Usage { name: attribute::HUBBLE_DNS_QTYPES, required: false },
            Usage { name: attribute::DNS_QUESTION_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// DNS responses.
    pub const HUBBLE_DNS_RESPONSES: Metric = Metric {
        name: "hubble.dns_responses",
        unit: "{flow}",
        description: "DNS responses.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_DNS_RCODE, required: false },
            Usage { name: attribute::HUBBLE_DNS_QTYPES, required: false },
            Usage { name: attribute::HUBBLE_DNS_IPS_RETURNED, required: false },
            Usage { name: attribute::DNS_QUESTION_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Flows that were dropped.
    pub const HUBBLE_DROP: Metric = Metric {
        name: "hubble.drop",
        unit: "{flow}",
        description: "Flows that were dropped.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_DROP_REASON, required: false },
            Usage { name: attribute::HUBBLE_PROTOCOL, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Bytes from source to destination, each packet counted once per node.
    pub const HUBBLE_FLOW_IO: Metric = Metric {
        name: "hubble.flow.io",
        unit: "By",
        description: "Bytes from source to destination, each packet counted once per node.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::NETWORK_TRANSPORT, required: false },
            Usage { name: attribute::SOURCE_PORT, required: false },
            Usage { name: attribute::DESTINATION_PORT, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Packets from source to destination, each counted once per node.
    pub const HUBBLE_FLOW_PACKETS: Metric = Metric {
        name: "hubble.flow.packets",
        unit: "{packet}",
        description: "Packets from source to destination, each counted once per node.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::NETWORK_TRANSPORT, required: false },
            Usage { name: attribute::SOURCE_PORT, required: false },
            Usage { name: attribute::DESTINATION_PORT, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Flows that were seen.
    pub const HUBBLE_FLOWS_PROCESSED: Metric = Metric {
        name: "hubble.flows_processed",
        unit: "{flow}",
        description: "Flows that were seen.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_PROTOCOL, required: false },
            Usage { name: attribute::HUBBLE_EVENT_TYPE, required: false },
            Usage { name: attribute::HUBBLE_EVENT_SUBTYPE, required: false },
            Usage { name: attribute::HUBBLE_VERDICT, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Flows to the world.
    pub const HUBBLE_FLOWS_TO_WORLD: Metric = Metric {
        name: "hubble.flows_to_world",
        unit: "{flow}",
        description: "Flows to the world.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_PROTOCOL, required: false },
            Usage { name: attribute::HUBBLE_VERDICT, required: false },
            Usage { name: attribute::DESTINATION_PORT, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Time from an HTTP request to its response.
    pub const HUBBLE_HTTP_REQUEST_DURATION: Metric = Metric {
        name: "hubble.http_request_duration",
        unit: "s",
        description: "Time from an HTTP request to its response.",
        instrument: Instrument::Histogram,
        attributes: &[
            Usage { name: attribute::HTTP_REQUEST_METHOD, required: false },
            Usage { name: attribute::HUBBLE_REPORTER, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// HTTP requests.
    pub const HUBBLE_HTTP_REQUESTS: Metric = Metric {
        name: "hubble.http_requests",
        unit: "{request}",
        description: "HTTP requests.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HTTP_REQUEST_METHOD, required: false },
            Usage { name: attribute::HUBBLE_HTTP_PROTOCOL, required: false },
            Usage { name: attribute::HTTP_RESPONSE_STATUS_CODE, required: false },
            Usage { name: attribute::HUBBLE_REPORTER, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// HTTP responses.
    pub const HUBBLE_HTTP_RESPONSES: Metric = Metric {
        name: "hubble.http_responses",
        unit: "{response}",
        description: "HTTP responses.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HTTP_REQUEST_METHOD, required: false },
            Usage { name: attribute::HUBBLE_HTTP_PROTOCOL, required: false },
            Usage { name: attribute::HTTP_RESPONSE_STATUS_CODE, required: false },
            Usage { name: attribute::HUBBLE_REPORTER, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// ICMP and ICMPv6 messages.
    pub const HUBBLE_ICMP: Metric = Metric {
        name: "hubble.icmp",
        unit: "{flow}",
        description: "ICMP and ICMPv6 messages.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::NETWORK_TYPE, required: false },
            Usage { name: attribute::HUBBLE_ICMP_MESSAGE, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Bytes that passed an interface.
    pub const HUBBLE_INTERFACE_IO: Metric = Metric {
        name: "hubble.interface.io",
        unit: "By",
        description: "Bytes that passed an interface.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
            Usage { name: attribute::NETWORK_IO_DIRECTION, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
        ],
    };
    /// Packets that passed an interface.
    pub const HUBBLE_INTERFACE_PACKETS: Metric = Metric {
        name: "hubble.interface.packets",
        unit: "{packet}",
        description: "Packets that passed an interface.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
            Usage { name: attribute::NETWORK_IO_DIRECTION, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
        ],
    };
    /// Events that were lost before they became flows.
    pub const HUBBLE_LOST_EVENTS: Metric = Metric {
        name: "hubble.lost_events",
        unit: "{event}",
        description: "Events that were lost before they became flows.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_LOST_SOURCE, required: true },
        ],
    };
    /// Verdicts of network policies.
    pub const HUBBLE_POLICY_VERDICTS: Metric = Metric {
        name: "hubble.policy_verdicts",
        unit: "{flow}",
        description: "Verdicts of network policies.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_POLICY_DIRECTION, required: false },
            Usage { name: attribute::HUBBLE_POLICY_MATCH_TYPE, required: false },
            Usage { name: attribute::HUBBLE_POLICY_ACTION, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Flows by destination port.
    pub const HUBBLE_PORT_DISTRIBUTION: Metric = Metric {
        name: "hubble.port_distribution",
        unit: "{flow}",
        description: "Flows by destination port.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_PROTOCOL, required: false },
            Usage { name: attribute::DESTINATION_PORT, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Flows that carried an SCTP chunk.
    pub const HUBBLE_SCTP_CHUNK_TYPES: Metric = Metric {
        name: "hubble.sctp_chunk_types",
        unit: "{flow}",
        description: "Flows that carried an SCTP chunk.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_SCTP_CHUNK_NAME, required: false },
            Usage { name: attribute::NETWORK_TYPE, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Flows that carried a TCP flag.
    pub const HUBBLE_TCP_FLAGS: Metric = Metric {
        name: "hubble.tcp_flags",
        unit: "{flow}",
        description: "Flows that carried a TCP flag.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::HUBBLE_TCP_FLAG, required: false },
            Usage { name: attribute::NETWORK_TYPE, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
            Usage { name: attribute::OTEL_METRIC_OVERFLOW, required: false },
            Usage { name: attribute::SOURCE_ADDRESS, required: false },
            Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
            Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_SOURCE_APP, required: false },
            Usage { name: attribute::DESTINATION_ADDRESS, required: false },
            Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
            Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_NAME, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_WORKLOAD_KIND, required: false },
            Usage { name: attribute::HUBBLE_DESTINATION_APP, required: false },
            Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: false },
        ],
    };
    /// Log records whose export has ended.
    pub const OTEL_SDK_EXPORTER_LOG_EXPORTED: Metric = Metric {
        name: "otel.sdk.exporter.log.exported",
        unit: "{log_record}",
        description: "Log records whose export has ended.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
            Usage { name: attribute::SERVER_ADDRESS, required: false },
            Usage { name: attribute::SERVER_PORT, required: false },
            Usage { name: attribute::ERROR_TYPE, required: false },
        ],
    };
    /// Log records in requests without an outcome, over all attempts.
    pub const OTEL_SDK_EXPORTER_LOG_INFLIGHT: Metric = Metric {
        name: "otel.sdk.exporter.log.inflight",
        unit: "{log_record}",
        description: "Log records in requests without an outcome, over all attempts.",
        instrument: Instrument::UpDownCounter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
            Usage { name: attribute::SERVER_ADDRESS, required: false },
            Usage { name: attribute::SERVER_PORT, required: false },
        ],
    };
    /// Data points of metrics whose export has ended.
    pub const OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED: Metric = Metric {
        name: "otel.sdk.exporter.metric_data_point.exported",
        unit: "{data_point}",
        description: "Data points of metrics whose export has ended.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
            Usage { name: attribute::SERVER_ADDRESS, required: false },
            Usage { name: attribute::SERVER_PORT, required: false },
            Usage { name: attribute::ERROR_TYPE, required: false },
        ],
    };
    /// Data points of metrics in requests without an outcome, over all attempts.
    pub const OTEL_SDK_EXPORTER_METRIC_DATA_POINT_INFLIGHT: Metric = Metric {
        name: "otel.sdk.exporter.metric_data_point.inflight",
        unit: "{data_point}",
        description: "Data points of metrics in requests without an outcome, over all attempts.",
        instrument: Instrument::UpDownCounter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
            Usage { name: attribute::SERVER_ADDRESS, required: false },
            Usage { name: attribute::SERVER_PORT, required: false },
        ],
    };
    /// Time from the first attempt of a request to its outcome, pauses included.
    pub const OTEL_SDK_EXPORTER_OPERATION_DURATION: Metric = Metric {
        name: "otel.sdk.exporter.operation.duration",
        unit: "s",
        description: "Time from the first attempt of a request to its outcome, pauses included.",
        instrument: Instrument::Histogram,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
            Usage { name: attribute::SERVER_ADDRESS, required: false },
            Usage { name: attribute::SERVER_PORT, required: false },
            Usage { name: attribute::ERROR_TYPE, required: false },
        ],
    };
    /// Log records that were offered to the queue.
    pub const OTEL_SDK_LOG_CREATED: Metric = Metric {
        name: "otel.sdk.log.created",
        unit: "{log_record}",
        description: "Log records that were offered to the queue.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Time to collect the metrics of flows (`periodic_metric_reader/0`) or our own (`periodic_metric_reader/1`).
    pub const OTEL_SDK_METRIC_READER_COLLECTION_DURATION: Metric = Metric {
        name: "otel.sdk.metric_reader.collection.duration",
        unit: "s",
        description: "Time to collect the metrics of flows (`periodic_metric_reader/0`) or our own (`periodic_metric_reader/1`).",
        instrument: Instrument::Histogram,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
        ],
    };
    /// Log records that came to a request, or, with an error, to none.
    pub const OTEL_SDK_PROCESSOR_LOG_PROCESSED: Metric = Metric {
        name: "otel.sdk.processor.log.processed",
        unit: "{log_record}",
        description: "Log records that came to a request, or, with an error, to none.",
        instrument: Instrument::Counter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
            Usage { name: attribute::ERROR_TYPE, required: false },
        ],
    };
    /// Log records that the queue can hold.
    pub const OTEL_SDK_PROCESSOR_LOG_QUEUE_CAPACITY: Metric = Metric {
        name: "otel.sdk.processor.log.queue.capacity",
        unit: "{log_record}",
        description: "Log records that the queue can hold.",
        instrument: Instrument::UpDownCounter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
        ],
    };
    /// Log records in the queue.
    pub const OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE: Metric = Metric {
        name: "otel.sdk.processor.log.queue.size",
        unit: "{log_record}",
        description: "Log records in the queue.",
        instrument: Instrument::UpDownCounter,
        attributes: &[
            Usage { name: attribute::OTEL_COMPONENT_TYPE, required: true },
            Usage { name: attribute::OTEL_COMPONENT_NAME, required: true },
        ],
    };

    /// All of them, ordered by name.
    pub const ALL: &[Metric] = &[
        EYEPIECE_DATAPATH_CONNECTION_ACTIVE,
        EYEPIECE_DATAPATH_CONNECTION_CAPACITY,
        EYEPIECE_DATAPATH_DROPS,
        EYEPIECE_DATAPATH_IGNORED,
        EYEPIECE_DATAPATH_LOST,
        EYEPIECE_DATAPATH_OFFERED,
        EYEPIECE_DATAPATH_UNSEEN_BYTES,
        EYEPIECE_DATAPATH_UNSEEN_PACKETS,
        EYEPIECE_DATAPATH_UNTRACKED_BYTES,
        EYEPIECE_DATAPATH_UNTRACKED_PACKETS,
        EYEPIECE_ENDS_UNNAMED,
        EYEPIECE_EVENTS_DECODED,
        EYEPIECE_EVENTS_LOST,
        EYEPIECE_EVENTS_RECEIVED,
        EYEPIECE_EVENTS_SKIPPED,
        EYEPIECE_EXPORT_IO,
        EYEPIECE_EXPORT_RECORDS,
        EYEPIECE_EXPORT_REQUESTS,
        EYEPIECE_FLOWS_FAILED,
        EYEPIECE_FLOWS_PARSED,
        EYEPIECE_HOOK_ATTACHED,
        EYEPIECE_HUBBLE_ACCEPTED,
        EYEPIECE_HUBBLE_CONNECTIONS,
        EYEPIECE_HUBBLE_ENDED,
        EYEPIECE_HUBBLE_PEER_ACTIVE,
        EYEPIECE_HUBBLE_PEER_INCIDENTS,
        EYEPIECE_HUBBLE_REFUSED,
        EYEPIECE_HUBBLE_RELOADS,
        EYEPIECE_HUBBLE_REQUESTS,
        EYEPIECE_HUBBLE_STREAMS,
        EYEPIECE_INTERFACES_INCIDENTS,
        EYEPIECE_KUBERNETES_FAILURES,
        EYEPIECE_KUBERNETES_OBJECTS_DROPPED,
        EYEPIECE_METADATA_INCIDENTS,
        EYEPIECE_METADATA_LEFT_OUT,
        EYEPIECE_MONITOR_ENDED,
        EYEPIECE_MONITOR_LISTENER_LOST,
        EYEPIECE_MONITOR_LISTENERS,
        EYEPIECE_MONITOR_LOST,
        EYEPIECE_MONITOR_REFUSED,
        EYEPIECE_MONITOR_SENT,
        EYEPIECE_PIPELINE_FAILED,
        EYEPIECE_PROMETHEUS_REFUSED,
        EYEPIECE_QUEUE_CAPACITY,
        EYEPIECE_QUEUE_DEPTH,
        EYEPIECE_SERIES_ACTIVE,
        EYEPIECE_SERIES_EXPIRED,
        EYEPIECE_SERIES_OVERFLOWED,
        EYEPIECE_SOURCE_ATTEMPTS,
        EYEPIECE_SOURCE_AWAY,
        EYEPIECE_SOURCE_CONNECTED,
        EYEPIECE_SOURCE_DAMAGED,
        EYEPIECE_SOURCE_DISCARDED,
        EYEPIECE_SOURCE_GAPS,
        EYEPIECE_SOURCE_INTERRUPTIONS,
        EYEPIECE_UPTIME,
        HUBBLE_DNS_QUERIES,
        HUBBLE_DNS_RESPONSE_TYPES,
        HUBBLE_DNS_RESPONSES,
        HUBBLE_DROP,
        HUBBLE_FLOW_IO,
        HUBBLE_FLOW_PACKETS,
        HUBBLE_FLOWS_PROCESSED,
        HUBBLE_FLOWS_TO_WORLD,
        HUBBLE_HTTP_REQUEST_DURATION,
        HUBBLE_HTTP_REQUESTS,
        HUBBLE_HTTP_RESPONSES,
        HUBBLE_ICMP,
        HUBBLE_INTERFACE_IO,
        HUBBLE_INTERFACE_PACKETS,
        HUBBLE_LOST_EVENTS,
        HUBBLE_POLICY_VERDICTS,
        HUBBLE_PORT_DISTRIBUTION,
        HUBBLE_SCTP_CHUNK_TYPES,
        HUBBLE_TCP_FLAGS,
        OTEL_SDK_EXPORTER_LOG_EXPORTED,
        OTEL_SDK_EXPORTER_LOG_INFLIGHT,
        OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED,
        OTEL_SDK_EXPORTER_METRIC_DATA_POINT_INFLIGHT,
        OTEL_SDK_EXPORTER_OPERATION_DURATION,
        OTEL_SDK_LOG_CREATED,
        OTEL_SDK_METRIC_READER_COLLECTION_DURATION,
        OTEL_SDK_PROCESSOR_LOG_PROCESSED,
        OTEL_SDK_PROCESSOR_LOG_QUEUE_CAPACITY,
        OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
    ];
}

/// Event names.
pub mod event {
    use super::attribute;
    use crate::{Event, Usage};

    /// An entity is gone.
    pub const ENTITY_DELETE: &str = "entity.delete";
    /// An entity was found, has other attributes, or is still there.
    pub const ENTITY_STATE: &str = "entity.state";
    /// Something happened in Cilium's agent.
    pub const HUBBLE_AGENT_EVENT: &str = "hubble.agent_event";
    /// A debug message of the datapath about a packet.
    pub const HUBBLE_DEBUG_EVENT: &str = "hubble.debug_event";
    /// A network flow, as the datapath saw one packet of it, a socket or a proxy one message.
    ///
    /// The timestamp is the kernel's, the severity follows the verdict.
    pub const HUBBLE_FLOW: &str = "hubble.flow";
    /// Events were lost before they became flows.
    pub const HUBBLE_LOST_EVENTS: &str = "hubble.lost_events";

    /// All of them, ordered by name.
    pub const ALL: &[Event] = &[
        Event {
            name: ENTITY_DELETE,
            attributes: &[
                Usage { name: attribute::ENTITY_TYPE, required: true },
                Usage { name: attribute::ENTITY_ID, required: true },
            ],
        },
        Event {
            name: ENTITY_STATE,
            attributes: &[
                Usage { name: attribute::ENTITY_TYPE, required: true },
                Usage { name: attribute::ENTITY_ID, required: true },
                Usage { name: attribute::ENTITY_DESCRIPTION, required: false },
                Usage { name: attribute::ENTITY_REPORT_INTERVAL, required: true },
            ],
        },
        Event {
            name: HUBBLE_AGENT_EVENT,
            attributes: &[
                Usage { name: attribute::LOG_RECORD_UID, required: true },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_TYPE, required: true },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_TIME, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_LABELS, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_ERROR, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_ENDPOINT_ID, required: false },
                Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_POLICY_REVISION, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_POLICY_RULES, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_CIDR, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_IDENTITY, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_OLD_IDENTITY, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_HOST_ADDRESS, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_OLD_HOST_ADDRESS, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_ENCRYPT_KEY, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_SERVICE_ID, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_SERVICE_NAME, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_SERVICE_TYPE, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_SERVICE_FRONTEND, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_SERVICE_BACKENDS, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_NUMBER, required: false },
                Usage { name: attribute::HUBBLE_AGENT_EVENT_NOTIFICATION, required: false },
                Usage { name: attribute::K8S_NAMESPACE_NAME, required: false },
                Usage { name: attribute::K8S_POD_NAME, required: false },
            ],
        },
        Event {
            name: HUBBLE_DEBUG_EVENT,
            attributes: &[
                Usage { name: attribute::LOG_RECORD_UID, required: true },
                Usage { name: attribute::HUBBLE_DEBUG_EVENT_TYPE, required: true },
                Usage { name: attribute::HUBBLE_DEBUG_EVENT_HASH, required: true },
                Usage { name: attribute::HUBBLE_DEBUG_EVENT_ARG1, required: true },
                Usage { name: attribute::HUBBLE_DEBUG_EVENT_ARG2, required: true },
                Usage { name: attribute::HUBBLE_DEBUG_EVENT_ARG3, required: true },
                Usage { name: attribute::HUBBLE_DEBUG_EVENT_MESSAGE, required: true },
                Usage { name: attribute::HUBBLE_SOURCE_ENDPOINT_ID, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_IDENTITY, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
                Usage { name: attribute::HUBBLE_CPU, required: true },
            ],
        },
        Event {
            name: HUBBLE_FLOW,
            attributes: &[
                Usage { name: attribute::LOG_RECORD_UID, required: true },
                Usage { name: attribute::HUBBLE_VERDICT, required: true },
                Usage { name: attribute::HUBBLE_EVENT_TYPE, required: true },
                Usage { name: attribute::HUBBLE_EVENT_SUBTYPE, required: false },
                Usage { name: attribute::SOURCE_ADDRESS, required: false },
                Usage { name: attribute::SOURCE_PORT, required: false },
                Usage { name: attribute::DESTINATION_ADDRESS, required: false },
                Usage { name: attribute::DESTINATION_PORT, required: false },
                Usage { name: attribute::NETWORK_TRANSPORT, required: false },
                Usage { name: attribute::NETWORK_TYPE, required: false },
                Usage { name: attribute::NETWORK_INTERFACE_NAME, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_NAME, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_NAME, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_IDENTITY, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_IDENTITY, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_ENDPOINT_ID, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_ENDPOINT_ID, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_ADDRESS_TRANSLATED, required: false },
                Usage { name: attribute::HUBBLE_DROP_REASON, required: false },
                Usage { name: attribute::HUBBLE_DROP_LOCATION, required: false },
                Usage { name: attribute::HUBBLE_DROP_NETNS, required: false },
                Usage { name: attribute::HUBBLE_DROP_FILE, required: false },
                Usage { name: attribute::HUBBLE_DROP_LINE, required: false },
                Usage { name: attribute::HUBBLE_TCP_FLAGS, required: false },
                Usage { name: attribute::HUBBLE_TRAFFIC_DIRECTION, required: true },
                Usage { name: attribute::HUBBLE_IS_REPLY, required: false },
                Usage { name: attribute::HUBBLE_OBSERVATION_POINT, required: false },
                Usage { name: attribute::HUBBLE_CAPTURE_POINT, required: false },
                Usage { name: attribute::HUBBLE_TRACE_REASON, required: false },
                Usage { name: attribute::HUBBLE_SUMMARY, required: false },
                Usage { name: attribute::HUBBLE_CPU, required: false },
                Usage { name: attribute::HUBBLE_INTERFACE_INDEX, required: false },
                Usage { name: attribute::HUBBLE_ETHERNET_SOURCE, required: false },
                Usage { name: attribute::HUBBLE_ETHERNET_DESTINATION, required: false },
                Usage { name: attribute::HUBBLE_VLAN_ID, required: false },
                Usage { name: attribute::HUBBLE_ICMP_TYPE, required: false },
                Usage { name: attribute::HUBBLE_ICMP_CODE, required: false },
                Usage { name: attribute::HUBBLE_IGMP_TYPE, required: false },
                Usage { name: attribute::HUBBLE_IGMP_GROUP, required: false },
                Usage { name: attribute::HUBBLE_VRRP_TYPE, required: false },
                Usage { name: attribute::HUBBLE_VRRP_VRID, required: false },
                Usage { name: attribute::HUBBLE_VRRP_PRIORITY, required: false },
                Usage { name: attribute::HUBBLE_SCTP_CHUNK_TYPE, required: false },
                Usage { name: attribute::HUBBLE_TUNNEL_PROTOCOL, required: false },
                Usage { name: attribute::HUBBLE_TUNNEL_VNI, required: false },
                Usage { name: attribute::HUBBLE_TUNNEL_SOURCE_ADDRESS, required: false },
                Usage { name: attribute::HUBBLE_TUNNEL_DESTINATION_ADDRESS, required: false },
                Usage { name: attribute::HUBBLE_POLICY_MATCH_TYPE, required: false },
                Usage { name: attribute::HUBBLE_AUTH_TYPE, required: false },
                Usage { name: attribute::HUBBLE_PROXY_PORT, required: false },
                Usage { name: attribute::HUBBLE_ENCRYPTED, required: false },
                Usage { name: attribute::HUBBLE_IP_TRACE_ID, required: false },
                Usage { name: attribute::HUBBLE_FLOW_PACKETS, required: false },
                Usage { name: attribute::HUBBLE_FLOW_BYTES, required: false },
                Usage { name: attribute::HUBBLE_FLOW_OBSERVED_BEFORE, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_LABELS, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_LABELS, required: false },
                Usage { name: attribute::SOURCE_K8S_CLUSTER_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_NAMESPACE_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_POD_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_DEPLOYMENT_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_STATEFULSET_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_DAEMONSET_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_REPLICASET_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_JOB_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_CRONJOB_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_SERVICE_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_CLUSTER_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_NAMESPACE_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_POD_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_DEPLOYMENT_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_STATEFULSET_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_DAEMONSET_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_REPLICASET_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_JOB_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_CRONJOB_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_SERVICE_NAME, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_WORKLOADS, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_SERVICE_NAMESPACE, required: false },
                Usage { name: attribute::HUBBLE_SOURCE_DNS_NAMES, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_WORKLOADS, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_SERVICE_NAMESPACE, required: false },
                Usage { name: attribute::HUBBLE_DESTINATION_DNS_NAMES, required: false },
                Usage { name: attribute::SOURCE_CONTAINER_ID, required: false },
                Usage { name: attribute::SOURCE_CONTAINER_NAME, required: false },
                Usage { name: attribute::SOURCE_CONTAINER_IMAGE_NAME, required: false },
                Usage { name: attribute::SOURCE_CONTAINER_IMAGE_TAGS, required: false },
                Usage { name: attribute::SOURCE_CONTAINER_RUNTIME_NAME, required: false },
                Usage { name: attribute::SOURCE_SERVICE_NAME, required: false },
                Usage { name: attribute::SOURCE_SERVICE_NAMESPACE, required: false },
                Usage { name: attribute::SOURCE_PROCESS_PID, required: false },
                Usage { name: attribute::SOURCE_PROCESS_EXECUTABLE_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_CONTAINER_NAME, required: false },
                Usage { name: attribute::SOURCE_K8S_POD_UID, required: false },
                Usage { name: attribute::SOURCE_K8S_NODE_NAME, required: false },
                Usage { name: attribute::DESTINATION_CONTAINER_ID, required: false },
                Usage { name: attribute::DESTINATION_CONTAINER_NAME, required: false },
                Usage { name: attribute::DESTINATION_CONTAINER_IMAGE_NAME, required: false },
                Usage { name: attribute::DESTINATION_CONTAINER_IMAGE_TAGS, required: false },
                Usage { name: attribute::DESTINATION_CONTAINER_RUNTIME_NAME, required: false },
                Usage { name: attribute::DESTINATION_SERVICE_NAME, required: false },
                Usage { name: attribute::DESTINATION_SERVICE_NAMESPACE, required: false },
                Usage { name: attribute::DESTINATION_PROCESS_PID, required: false },
                Usage { name: attribute::DESTINATION_PROCESS_EXECUTABLE_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_CONTAINER_NAME, required: false },
                Usage { name: attribute::DESTINATION_K8S_POD_UID, required: false },
                Usage { name: attribute::DESTINATION_K8S_NODE_NAME, required: false },
                Usage { name: attribute::K8S_NODE_NAME, required: false },
                Usage { name: attribute::K8S_CLUSTER_NAME, required: false },
                Usage { name: attribute::HUBBLE_NODE_LABELS, required: false },
                Usage { name: attribute::HUBBLE_EMITTER_NAME, required: false },
                Usage { name: attribute::HUBBLE_EMITTER_VERSION, required: false },
                Usage { name: attribute::HUBBLE_L7_TYPE, required: false },
                Usage { name: attribute::HUBBLE_L7_LATENCY, required: false },
                Usage { name: attribute::HUBBLE_L7_FIELDS, required: false },
                Usage { name: attribute::HUBBLE_DNS_QUERY_TYPES, required: false },
                Usage { name: attribute::HUBBLE_DNS_ANSWER_TYPES, required: false },
                Usage { name: attribute::HUBBLE_DNS_RESPONSE_CODE, required: false },
                Usage { name: attribute::HUBBLE_DNS_TTL, required: false },
                Usage { name: attribute::HUBBLE_DNS_CNAMES, required: false },
                Usage { name: attribute::HUBBLE_DNS_OBSERVATION_SOURCE, required: false },
                Usage { name: attribute::HUBBLE_KAFKA_API_KEY, required: false },
                Usage { name: attribute::HUBBLE_KAFKA_API_VERSION, required: false },
                Usage { name: attribute::HUBBLE_KAFKA_CORRELATION_ID, required: false },
                Usage { name: attribute::HUBBLE_KAFKA_ERROR_CODE, required: false },
                Usage { name: attribute::HUBBLE_SOCK_TRANSLATION_POINT, required: false },
                Usage { name: attribute::HUBBLE_SOCK_COOKIE, required: false },
                Usage { name: attribute::HUBBLE_SOCK_CGROUP_ID, required: false },
                Usage { name: attribute::HUBBLE_RECORDER_RULE, required: false },
                Usage { name: attribute::NETWORK_PROTOCOL_NAME, required: false },
                Usage { name: attribute::NETWORK_PROTOCOL_VERSION, required: false },
                Usage { name: attribute::HTTP_REQUEST_METHOD, required: false },
                Usage { name: attribute::HTTP_RESPONSE_STATUS_CODE, required: false },
                Usage { name: attribute::URL_FULL, required: false },
                Usage { name: attribute::DNS_QUESTION_NAME, required: false },
                Usage { name: attribute::DNS_ANSWERS, required: false },
                Usage { name: attribute::MESSAGING_DESTINATION_NAME, required: false },
            ],
        },
        Event {
            name: HUBBLE_LOST_EVENTS,
            attributes: &[
                Usage { name: attribute::LOG_RECORD_UID, required: true },
                Usage { name: attribute::HUBBLE_LOST_SOURCE, required: true },
                Usage { name: attribute::HUBBLE_LOST_COUNT, required: true },
                Usage { name: attribute::HUBBLE_CPU, required: false },
            ],
        },
    ];
}

/// Types of entities.
pub mod entity {
    use super::attribute;
    use crate::EntityType;

    /// All of them, ordered by name.
    pub const ALL: &[EntityType] = &[
        // A container of docker or podman, or of a pod.
        EntityType {
            name: "container",
            identifying: &[
                attribute::CONTAINER_ID,
            ],
            descriptive: &[
                attribute::CONTAINER_NAME,
                attribute::CONTAINER_IMAGE_NAME,
                attribute::CONTAINER_IMAGE_TAGS,
                attribute::CONTAINER_RUNTIME_NAME,
                attribute::K8S_CONTAINER_NAME,
                attribute::K8S_POD_UID,
                attribute::HUBBLE_ENTITY_NAME,
                attribute::HUBBLE_ENTITY_IDENTITY,
                attribute::HUBBLE_ENTITY_LABELS,
            ],
        },
        // A node of Kubernetes.
        EntityType {
            name: "k8s.node",
            identifying: &[
                attribute::K8S_NODE_UID,
            ],
            descriptive: &[
                attribute::K8S_NODE_NAME,
                attribute::K8S_CLUSTER_NAME,
                attribute::HUBBLE_ENTITY_NAME,
                attribute::HUBBLE_ENTITY_IDENTITY,
                attribute::HUBBLE_ENTITY_LABELS,
            ],
        },
        // A pod of Kubernetes.
        EntityType {
            name: "k8s.pod",
            identifying: &[
                attribute::K8S_POD_UID,
            ],
            descriptive: &[
                attribute::K8S_POD_NAME,
                attribute::K8S_NAMESPACE_NAME,
                attribute::K8S_CLUSTER_NAME,
                attribute::K8S_NODE_NAME,
                attribute::K8S_DEPLOYMENT_NAME,
                attribute::K8S_STATEFULSET_NAME,
                attribute::K8S_DAEMONSET_NAME,
                attribute::K8S_REPLICASET_NAME,
                attribute::K8S_JOB_NAME,
                attribute::K8S_CRONJOB_NAME,
                attribute::K8S_SERVICE_NAME,
                attribute::HUBBLE_ENTITY_NAME,
                attribute::HUBBLE_ENTITY_IDENTITY,
                attribute::HUBBLE_ENTITY_LABELS,
            ],
        },
        // A service of Kubernetes.
        EntityType {
            name: "k8s.service",
            identifying: &[
                attribute::K8S_SERVICE_UID,
            ],
            descriptive: &[
                attribute::K8S_SERVICE_NAME,
                attribute::K8S_NAMESPACE_NAME,
                attribute::K8S_CLUSTER_NAME,
                attribute::HUBBLE_ENTITY_NAME,
            ],
        },
        // A process outside of units and containers.
        EntityType {
            name: "process",
            identifying: &[
                attribute::PROCESS_PID,
                attribute::PROCESS_CREATION_TIME,
            ],
            descriptive: &[
                attribute::PROCESS_EXECUTABLE_NAME,
                attribute::HUBBLE_ENTITY_IDENTITY,
                attribute::HUBBLE_ENTITY_LABELS,
            ],
        },
        // A service of docker's compose; its containers are its instances.
        EntityType {
            name: "service",
            identifying: &[
                attribute::SERVICE_NAME,
                attribute::SERVICE_NAMESPACE,
            ],
            descriptive: &[
            ],
        },
        // A unit of systemd.
        EntityType {
            name: "systemd.unit",
            identifying: &[
                attribute::SYSTEMD_UNIT_NAME,
                attribute::USER_ID,
            ],
            descriptive: &[
                attribute::HUBBLE_ENTITY_IDENTITY,
                attribute::HUBBLE_ENTITY_LABELS,
            ],
        },
    ];
}

/// The label of Hubble's metrics that carries the same as an attribute.
pub fn hubble_label(name: &str) -> Option<&'static str> {
    Some(match name {
        attribute::DESTINATION_ADDRESS => "destination_ip",
        attribute::DESTINATION_K8S_NAMESPACE_NAME => "destination_namespace",
        attribute::DESTINATION_K8S_POD_NAME => "destination_pod",
        attribute::DESTINATION_PORT => "destination_port",
        attribute::DNS_QUESTION_NAME => "query",
        attribute::HTTP_REQUEST_METHOD => "method",
        attribute::HTTP_RESPONSE_STATUS_CODE => "status",
        attribute::HUBBLE_DESTINATION_APP => "destination_app",
        attribute::HUBBLE_DESTINATION_NAME => "destination",
        attribute::HUBBLE_DESTINATION_WORKLOAD_KIND => "destination_workload_kind",
        attribute::HUBBLE_DESTINATION_WORKLOAD_NAME => "destination_workload",
        attribute::HUBBLE_DNS_IPS_RETURNED => "ips_returned",
        attribute::HUBBLE_DNS_QTYPES => "qtypes",
        attribute::HUBBLE_DNS_RCODE => "rcode",
        attribute::HUBBLE_DNS_RRTYPE => "type",
        attribute::HUBBLE_DROP_NETNS => "netns",
        attribute::HUBBLE_DROP_REASON => "reason",
        attribute::HUBBLE_EVENT_SUBTYPE => "subtype",
        attribute::HUBBLE_EVENT_TYPE => "type",
        attribute::HUBBLE_HTTP_PROTOCOL => "protocol",
        attribute::HUBBLE_ICMP_MESSAGE => "type",
        attribute::HUBBLE_LOST_SOURCE => "source",
        attribute::HUBBLE_POLICY_ACTION => "action",
        attribute::HUBBLE_POLICY_DIRECTION => "direction",
        attribute::HUBBLE_POLICY_MATCH_TYPE => "match",
        attribute::HUBBLE_PROTOCOL => "protocol",
        attribute::HUBBLE_REPORTER => "reporter",
        attribute::HUBBLE_SCTP_CHUNK_NAME => "chunk_type",
        attribute::HUBBLE_SOURCE_APP => "source_app",
        attribute::HUBBLE_SOURCE_NAME => "source",
        attribute::HUBBLE_SOURCE_WORKLOAD_KIND => "source_workload_kind",
        attribute::HUBBLE_SOURCE_WORKLOAD_NAME => "source_workload",
        attribute::HUBBLE_TCP_FLAG => "flag",
        attribute::HUBBLE_TRAFFIC_DIRECTION => "traffic_direction",
        attribute::HUBBLE_VERDICT => "verdict",
        attribute::NETWORK_INTERFACE_NAME => "interface",
        attribute::NETWORK_IO_DIRECTION => "direction",
        attribute::NETWORK_TRANSPORT => "protocol",
        attribute::NETWORK_TYPE => "family",
        attribute::SOURCE_ADDRESS => "source_ip",
        attribute::SOURCE_K8S_NAMESPACE_NAME => "source_namespace",
        attribute::SOURCE_K8S_POD_NAME => "source_pod",
        attribute::SOURCE_PORT => "source_port",
        _ => return None,
    })
}
