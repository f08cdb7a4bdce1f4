//! The settings: keys, sources and checks.
//!
//! Layers, the later ones win: built-in defaults, `OTEL_*` variables or the file that `OTEL_CONFIG_FILE` names, our own
//! file, `EYEPIECE_*` variables, flags. The caller passes environment, file name and flags as [`Sources`]. [`load`] reports every mistake at once, each with its key, its
//! origin and what would be right.

mod addresses;
mod check;
mod choices;
mod convert;
mod declarative;
mod error;
mod handlers;
mod keys;
mod load;
mod mode;
mod otel;
mod reference;
mod render;
mod secret;
mod settings;
mod signal;
mod sources;
mod units;

pub use addresses::{Listen, Peer, PeerDomain};
pub use choices::{
    Aggregation, Attach, Compression, Context, ContextLabel, Enabled, FlowDetail, HandlerName, LogFormat, LogLevel,
    Naming, PodScope, Protocol, Readiness, SourceKind, Switch, Temporality, Transport,
};
pub use error::{ConfigError, Problem};
pub use handlers::{ContextOptions, EndContexts, Handler, HandlerOptions};
pub use load::{Loaded, load};
pub use reference::reference;
pub use secret::{HIDDEN, Secret};
pub use settings::{
    Admin, CiliumMonitor, Contexts, Datapath, Docker, Hubble, HubbleSource, Interfaces, Kubernetes, Log, LogEvents,
    Logs, Metadata, MetadataCgroup, MetadataDns, MetadataFile, Metrics, Monitor, Node, Otlp, OtlpMetrics, Overrides,
    Prometheus, Replay, ServerTls, Settings, Source, SourceTls, Timeouts, Tls,
};
pub use signal::{Export, Signal, public_url};
pub use sources::{DEFAULT_FILE, Set, Sources};
pub use units::{format_duration, format_seconds, format_size, format_time, parse_duration, parse_size};
