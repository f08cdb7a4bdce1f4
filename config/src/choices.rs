//! Settings with a fixed set of words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines an enum with one spelling for each variant, for texts, serde and the lists in error messages.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All spellings, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The spelling in files, variables and flags.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", Self::NAMES.join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

choice! {
    /// The source of events.
    SourceKind {
        /// Our own programs in this machine's kernel.
        #[default]
        Datapath = "datapath",
        /// A running Cilium agent, by its monitor socket.
        CiliumMonitor = "cilium-monitor",
        /// Another Hubble's gRPC API.
        Hubble = "hubble",
        /// A file that `eyepiece record` wrote.
        Replay = "replay",
    }
}

choice! {
    /// The way to attach programs to an interface.
    Attach {
        /// tcx if the kernel has it (6.6 and later), else clsact.
        #[default]
        Auto = "auto",
        /// tcx links: nothing survives the process.
        Tcx = "tcx",
        /// Filters on a clsact qdisc.
        Clsact = "clsact",
    }
}

choice! {
    /// The buffer that carries records to user space.
    Transport {
        /// The BPF ring buffer.
        #[default]
        Ring = "ring",
        /// A perf event array, one buffer for each CPU.
        Perf = "perf",
    }
}

choice! {
    /// Whether a provider of names runs.
    Enabled {
        /// If this machine has what it asks.
        #[default]
        Auto = "auto",
        /// Always; a failure is reported.
        On = "on",
        /// Never.
        Off = "off",
    }
}

choice! {
    /// The pods that are asked for.
    PodScope {
        /// Those of this node.
        #[default]
        Node = "node",
        /// All of the cluster.
        Cluster = "cluster",
    }
}

choice! {
    /// Cilium's monitor aggregation: the packets of a known connection that become events.
    Aggregation {
        /// Every packet.
        None = "none",
        /// As none, without events for received packets that are seen again further on.
        Low = "low",
        /// New connections, new TCP flags, and once an interval.
        #[default]
        Medium = "medium",
        /// As medium, without looking at single TCP flags.
        Maximum = "maximum",
    }
}

choice! {
    /// Whether something is in use.
    Switch {
        /// In use.
        #[default]
        On = "on",
        /// Left out.
        Off = "off",
    }
}

choice! {
    /// The name of a flow's end in metrics: Hubble's contexts, and some of ours.
    Context {
        /// The one short name that the tables have: of a container, pod, unit or named address, else of the endpoint's
        /// interface, else `host` or `world`.
        #[default]
        Name = "name",
        /// The address.
        Ip = "ip",
        /// The labels of the security identity, else its number.
        Identity = "identity",
        /// The identity if it is a reserved one (`reserved:host`, `reserved:world` …).
        ReservedIdentity = "reserved-identity",
        /// The namespace; a container's is its compose project.
        Namespace = "namespace",
        /// Namespace and pod, `shop/web-1`; a container's pod is its name.
        Pod = "pod",
        /// The pod.
        PodName = "pod-name",
        /// Namespace and workload, `shop/web`; a container's workload is its compose service or its image.
        Workload = "workload",
        /// The workload.
        WorkloadName = "workload-name",
        /// The label `app.kubernetes.io/name`, `k8s-app` or `app`.
        App = "app",
        /// The container.
        Container = "container",
        /// The unit of systemd.
        Unit = "unit",
        /// The DNS names.
        Dns = "dns",
    }
}

choice! {
    /// A further label of Hubble's metrics, by `labelsContext`: first those of the source, then in the same order those of
    /// the destination.
    ContextLabel {
        /// The source's address.
        #[default]
        SourceIp = "source_ip",
        /// Its pod, without namespace.
        SourcePod = "source_pod",
        /// Its namespace.
        SourceNamespace = "source_namespace",
        /// Its workload, without namespace.
        SourceWorkload = "source_workload",
        /// `Deployment`, `DaemonSet` …
        SourceWorkloadKind = "source_workload_kind",
        /// Its label `app.kubernetes.io/name`, `k8s-app` or `app`.
        SourceApp = "source_app",
        /// The destination's address.
        DestinationIp = "destination_ip",
        /// Its pod, without namespace.
        DestinationPod = "destination_pod",
        /// Its namespace.
        DestinationNamespace = "destination_namespace",
        /// Its workload, without namespace.
        DestinationWorkload = "destination_workload",
        /// `Deployment`, `DaemonSet` …
        DestinationWorkloadKind = "destination_workload_kind",
        /// Its label `app.kubernetes.io/name`, `k8s-app` or `app`.
        DestinationApp = "destination_app",
        /// `ingress`, `egress` or `unknown`.
        TrafficDirection = "traffic_direction",
    }
}

choice! {
    /// A handler of Hubble's metrics, and one of ours.
    HandlerName {
        /// Dropped flows.
        #[default]
        Drop = "drop",
        /// All flows.
        Flow = "flow",
        /// TCP flags.
        Tcp = "tcp",
        /// Ours: packets and bytes.
        FlowIo = "flow-io",
        /// ICMP messages.
        Icmp = "icmp",
        /// DNS queries and responses.
        Dns = "dns",
        /// HTTP requests and responses.
        Http = "http",
        /// HTTP responses, with the labels of their requests.
        HttpV2 = "httpV2",
        /// Packets by destination port.
        PortDistribution = "port-distribution",
        /// Policy verdicts.
        Policy = "policy",
        /// Flows to the world.
        FlowsToWorld = "flows-to-world",
        /// SCTP chunks.
        Sctp = "sctp",
    }
}

choice! {
    /// The labels of packet and byte metrics besides the ends of a flow.
    FlowDetail {
        /// Nothing.
        #[default]
        Ends = "ends",
        /// The transport.
        Transport = "transport",
        /// The transport and the port of the side that answers.
        Port = "port",
    }
}

choice! {
    /// The attribute names of metrics.
    Naming {
        /// OpenTelemetry's semantic conventions, `hubble.` for what they lack.
        #[default]
        Semconv = "semconv",
        /// Hubble's label names.
        Hubble = "hubble",
    }
}

choice! {
    /// What the values of exported sums and histograms are since.
    Temporality {
        /// Since the series began.
        #[default]
        Cumulative = "cumulative",
        /// Since the receiver last accepted the series.
        Delta = "delta",
        /// Delta, but cumulative for our own sums, which are observed.
        LowMemory = "lowmemory",
    }
}

choice! {
    /// The protocol of the receiver.
    Protocol {
        /// OTLP over gRPC.
        #[default]
        Grpc = "grpc",
        /// OTLP over HTTP, protobuf bodies.
        HttpProtobuf = "http/protobuf",
        /// Nothing is sent; readable lines on standard output.
        Stdout = "stdout",
    }
}

choice! {
    /// Compression of requests.
    Compression {
        /// None.
        #[default]
        None = "none",
        /// gzip (RFC 1952).
        Gzip = "gzip",
    }
}

choice! {
    /// The condition for /readyz to answer 200.
    Readiness {
        /// The start is over: interfaces are attached, the source is read.
        #[default]
        Started = "started",
        /// And no export fails.
        Exporting = "exporting",
    }
}

choice! {
    /// The least severe messages of our own log.
    LogLevel {
        /// Nothing at all.
        Off = "off",
        /// Failures.
        Error = "error",
        /// Warnings as well.
        Warn = "warn",
        /// Events of the program as well.
        #[default]
        Info = "info",
        /// Their causes as well.
        Debug = "debug",
        /// Every step as well.
        Trace = "trace",
    }
}

choice! {
    /// The form of our own log.
    LogFormat {
        /// Lines for people.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

#[cfg(test)]
mod tests {
    use super::{Aggregation, Protocol};

    #[test]
    fn names_are_parsed_back() {
        for name in Protocol::NAMES {
            assert_eq!(name.parse::<Protocol>().map(Protocol::name), Ok(*name));
        }
        assert_eq!("GRPC".parse::<Protocol>(), Err("\"GRPC\" is none of grpc, http/protobuf, stdout".to_owned()));
        assert_eq!(Aggregation::default(), Aggregation::Medium);
    }
}
