//! The source `hubble` against servers in this process that a test scripts: every way that a connection or a stream can
//! fail or end, what comes twice, and what is missed.

mod faults;
mod resume;
mod scripted;
mod silent;
mod tls;
