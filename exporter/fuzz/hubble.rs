//! What filters and requests need of Hubble's modules: the rest are clients.

#[path = "../src/hubble/encode/mod.rs"]
pub mod encode;
#[path = "../src/hubble/extension.rs"]
pub mod extension;
#[path = "../src/hubble/labels.rs"]
mod labels;
#[path = "../src/hubble/mask.rs"]
pub mod mask;

pub use labels::reserved_label;
