//! Generated clients and servers of Hubble's gRPC services; their messages are in [`eyepiece_hubble::proto`].

/// Declares the generated modules, all with the same lint exceptions.
macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident)+) => {
        $($(#[$doc])*
        #[allow(
            missing_docs,
            non_camel_case_types,
            unreachable_pub,
            unused_qualifications,
            clippy::all,
            clippy::pedantic,
            clippy::restriction,
            reason = "generated from protobuf files, with their comments"
        )]
        #[rustfmt::skip]
        pub mod $name;)+
    };
}

generated! {
    /// The service that sends flows and events to clients. Its server streams encoded messages.
    observer
    /// The service that lists the other nodes.
    peer
    /// The service that records packets.
    recorder
}
