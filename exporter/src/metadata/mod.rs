//! What is known of endpoints, interfaces and addresses, and how readers get it.

mod departed;
mod tables;

pub use departed::Departed;
pub use tables::{EndInfo, EndKind, IDENTITY_HOST, IDENTITY_WORLD, InterfaceInfo, Publisher, Reader, Tables};
