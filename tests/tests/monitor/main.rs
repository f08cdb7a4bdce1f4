//! Cilium's monitor socket: eyepiece as its server and as its client, recordings included.

mod agent_names;
mod cilium_source;
mod record_replay;
mod replay;
mod socket;
