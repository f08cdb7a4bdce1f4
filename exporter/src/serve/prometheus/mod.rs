//! The Prometheus endpoint: /metrics over HTTP/1.1 or HTTPS, on its own thread.
//!
//! [`Pages`] renders a page, and the endpoint shares it between scrapes. These rules hold against hostile clients:
//!
//! - Scrapes within a second of each other get the same rendering, and one that took long is shared for longer: a loop
//!   of scrapes costs at most a tenth of a core for each format, beside the compression. Pages are rendered one after
//!   the other on another thread, so that the endpoint accepts and ends connections meanwhile.
//! - A client that reads slowly holds a reference to shared bytes. While such clients hold several renderings, no more
//!   are made: scrapes get the latest one.
//! - Half-open connections delay no scrape, however many there are: a new connection takes the place of the oldest one
//!   whose request is not complete.
//! - One address has an eighth of the places, so a client at another address than Prometheus cannot keep it out. A
//!   client at the same one, or one with many addresses, can fill the places with requests whose answers it does not
//!   read, for `CONNECTION_TIMEOUT` each. Meanwhile Prometheus is refused at once; its next scrape finds free places.
//! - Connections without an answer are counted in `eyepiece.prometheus.refused`. Against clients that connect anew all
//!   the time there are client certificates and firewalls.

mod negotiation;
mod pages;
mod server;

pub use pages::Pages;
pub use server::{Bound, Config};
