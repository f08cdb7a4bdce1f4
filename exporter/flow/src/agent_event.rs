//! A notification of Cilium's agent (monitor message type 130). Field meanings follow Hubble's `flow.AgentEvent`.

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEvent {
    /// Arrival time, ns since the Unix epoch.
    pub time: u64,
    /// RFC 9562 version 4, set by the pipeline; all zero until then.
    pub uuid: [u8; 16],
    /// Its kind.
    pub kind: AgentEventKind,
    /// Its content.
    pub notification: Notification,
}

/// Hubble's `flow.AgentEventType`, with its numbers; the monitor's messages have others.
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
    /// An address has a new identity.
    IpcacheUpserted = 9,
    /// An address lost its identity.
    IpcacheDeleted = 10,
    /// A service was added or changed (up to 1.18).
    ServiceUpserted = 11,
    /// A service was deleted (up to 1.18).
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

/// The content of a notification. Texts and lists that the agent left out are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// A notification of an unknown kind.
    Unknown {
        /// The monitor's number of the kind.
        kind: u32,
        /// Its JSON.
        notification: String,
    },
    /// The agent has started.
    AgentStart {
        /// When; `None` if the agent's text is not a time.
        time: Option<Timestamp>,
    },
    /// Policy was changed or deleted.
    Policy {
        /// Labels of the rules.
        labels: Vec<String>,
        /// The new revision of the policy.
        revision: u64,
        /// The number of rules.
        rule_count: i64,
    },
    /// An endpoint was created or deleted, its programs were built, or the build failed.
    Endpoint {
        /// The endpoint.
        id: u64,
        /// Its labels.
        labels: Vec<String>,
        /// The error, empty if none.
        error: String,
        /// Its pod; of a build only in eyepiece's own notifications.
        pod_name: String,
        /// Its pod's namespace; as `pod_name`.
        namespace: String,
        /// Its interface on the host; only in eyepiece's own notifications.
        interface: String,
    },
    /// The identity of addresses was set or removed.
    Ipcache {
        /// The addresses, as a prefix.
        cidr: String,
        /// Their identity.
        identity: u32,
        /// The previous identity.
        old_identity: Option<u32>,
        /// Address of their node.
        host_ip: String,
        /// Address of their node before.
        old_host_ip: String,
        /// Index of the encryption key for traffic to them; 0 = none.
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
        /// The address that it listens on.
        frontend: ServiceAddress,
        /// The addresses of its backends.
        backends: Vec<ServiceAddress>,
        /// `ClusterIP`, `NodePort` …
        kind: String,
        /// Traffic policy (up to 1.16).
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

/// Address and port of a service or a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAddress {
    /// The address as a text.
    pub ip: String,
    /// The port.
    pub port: u32,
}

/// A time as in protobuf: years 1 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds to add, below 1,000,000,000.
    pub nanos: u32,
}
