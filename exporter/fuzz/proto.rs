//! Hubble's messages, and the services that use them, without what the program has beside them.

macro_rules! generated {
    ($($name:ident: $path:literal)+) => {
        $(
            #[allow(clippy::all, reason = "generated")]
            #[rustfmt::skip]
            #[path = $path]
            pub mod $name;
        )+
    };
}

generated! {
    flow: "../src/proto/flow.rs"
    observer: "../src/proto/observer.rs"
    relay: "../src/proto/relay.rs"
}
#[path = "../src/proto/encoded.rs"]
mod encoded;
#[path = "../src/proto/json.rs"]
pub mod json;

pub use encoded::Encoded;

/// What the messages are, as bytes.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../src/proto/descriptors.bin");
