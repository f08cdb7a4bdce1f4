//! Cilium's monitor socket: eyepiece as its server and as its client, recordings included.

mod cilium_source;
mod record_replay;
mod replay;
mod socket;
