//! A notification of Cilium's agent (monitor message type 130). Field meanings follow Hubble's `flow.AgentEvent`.

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEvent {
    /// When it arrived, ns since the Unix epoch.
    pub time: u64,
    /// RFC 9562 version 4, set by the pipeline; all zero until then.
    pub uuid: [u8; 16],
    /// What kind it is.
    pub kind: AgentEventKind,
    /// What it says.
    pub notification: Notification,
}

/// Hubble's `flow.AgentEventType`, by its numbers: those of the monitor's messages differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AgentEventKind {
    /// None of the others.
    #[default]
    Unknown = 0,
    /// The agent has started.
    AgentStarted = 2,
    /// Policy was added or changed.
    PolicyUpdated = 3,
    /// Policy was deleted.
    PolicyDeleted = 4,
    /// An endpoint's programs were built.
    EndpointRegenerateSuccess = 5,
    /// An endpoint's programs could not be built.
    EndpointRegenerateFailure = 6,
    /// An endpoint was created.
    EndpointCreated = 7,
    /// An endpoint was deleted.
    EndpointDeleted = 8,
    /// An address got an identity.
    IpcacheUpserted = 9,
    /// An address lost its identity.
    IpcacheDeleted = 10,
    /// A service was added or changed (1.17 and before).
    ServiceUpserted = 11,
    /// A service was deleted (1.17 and before).
    ServiceDeleted = 12,
}

impl AgentEventKind {
    /// The protobuf enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "AGENT_EVENT_UNKNOWN",
            Self::AgentStarted => "AGENT_STARTED",
            Self::PolicyUpdated => "POLICY_UPDATED",
            Self::PolicyDeleted => "POLICY_DELETED",
            Self::EndpointRegenerateSuccess => "ENDPOINT_REGENERATE_SUCCESS",
            Self::EndpointRegenerateFailure => "ENDPOINT_REGENERATE_FAILURE",
            Self::EndpointCreated => "ENDPOINT_CREATED",
            Self::EndpointDeleted => "ENDPOINT_DELETED",
            Self::IpcacheUpserted => "IPCACHE_UPSERTED",
            Self::IpcacheDeleted => "IPCACHE_DELETED",
            Self::ServiceUpserted => "SERVICE_UPSERTED",
            Self::ServiceDeleted => "SERVICE_DELETED",
        }
    }
}

/// What a notification says; empty texts and lists stand for what the agent left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Of a kind that is not known.
    Unknown {
        /// The monitor's number of it.
        kind: u32,
        /// Its JSON as it came.
        notification: String,
    },
    /// The agent has started.
    AgentStart {
        /// When; none where the agent's text was no time.
        time: Option<Timestamp>,
    },
    /// Policy was changed or deleted.
    Policy {
        /// Labels of the rules.
        labels: Vec<String>,
        /// Revision of the policy from then on.
        revision: u64,
        /// How many rules.
        rule_count: i64,
    },
    /// An endpoint's programs were built, or not.
    EndpointRegenerate {
        /// The endpoint.
        id: u64,
        /// Its labels.
        labels: Vec<String>,
        /// What went wrong.
        error: String,
    },
    /// An endpoint came or went.
    EndpointUpdate {
        /// The endpoint.
        id: u64,
        /// Its labels.
        labels: Vec<String>,
        /// What went wrong.
        error: String,
        /// Its pod.
        pod_name: String,
        /// Its pod's namespace.
        namespace: String,
        /// Its interface on the host, of an endpoint of ours; Cilium's agent names none.
        interface: String,
    },
    /// An address got or lost an identity.
    Ipcache {
        /// The addresses, as a prefix.
        cidr: String,
        /// Their identity.
        identity: u32,
        /// The one before; none where there was none.
        old_identity: Option<u32>,
        /// Address of the node behind which they are.
        host_ip: String,
        /// The one before.
        old_host_ip: String,
        /// Index of the key that encrypts traffic to them; 0 = none.
        encrypt_key: u32,
        /// Namespace of the pod.
        namespace: String,
        /// Name of the pod.
        pod_name: String,
    },
    /// A service was added or changed.
    ServiceUpsert {
        /// The service.
        id: u32,
        /// Where it listens.
        frontend: ServiceAddress,
        /// Who answers.
        backends: Vec<ServiceAddress>,
        /// `ClusterIP`, `NodePort` …
        kind: String,
        /// Traffic policy of 1.16 and before.
        traffic_policy: String,
        /// Traffic policy for clients outside of the cluster.
        ext_traffic_policy: String,
        /// Traffic policy for clients inside of it.
        int_traffic_policy: String,
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// A service was deleted.
    ServiceDelete {
        /// The service.
        id: u32,
    },
}

/// Address and port of a service or of one that answers for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The address as a text.
    pub ip: String,
    /// The port.
    pub port: u32,
}

/// A time as protobuf has it: any year from 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds behind them, below 1,000,000,000.
    pub nanos: u32,
}
