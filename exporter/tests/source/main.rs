//! Sources against scripted servers and files: a Cilium agent, another Hubble, a recording.

mod cilium_monitor;
mod hubble;
mod replay;
