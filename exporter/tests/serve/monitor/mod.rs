//! The monitor socket in this process: real sockets, a real pipeline, and our own gob decoder as the client.

mod clients;
mod end;
mod life;
mod support;
