//! Generated clients and servers of Hubble's gRPC services; their messages are in [`eyepiece_hubble::proto`].

/// The name by which Hubble's CLI asks for the server's health (`hubble status`), beside the empty name: the whole server.
pub const HEALTH_SERVICE: &str = "hubble.server.Observer";

/// The response header with our version; Hubble's CLI warns if its own is older.
pub const VERSION_HEADER: &str = "hubble-server-version";

eyepiece_hubble::generated! {
    /// The service that sends flows and events to clients. Its server streams encoded messages.
    observer
    /// The service that lists the other nodes.
    peer
}
