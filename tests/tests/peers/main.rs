//! Our decoder, gob and filters against Cilium's own code.

mod decode;
mod filters;
mod gob;
