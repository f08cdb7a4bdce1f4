//! Hubble's API: Cilium's own clients, servers and relay against eyepiece.

mod cli;
mod faults;
mod followers;
mod get_flows;
mod peers;
mod relay;
mod source;
