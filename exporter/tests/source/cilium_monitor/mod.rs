//! The source `cilium-monitor` against unix servers that follow a script: every way that a connection can fail or end.

mod faults;
mod scripted;
mod stream;
