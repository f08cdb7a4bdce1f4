//! Our own datapath: programs of ours in the kernel of this machine.

pub mod links;
