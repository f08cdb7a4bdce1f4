//! Hubble's own handlers of metrics, and its dashboards: tests/peers/hubble-metrics.

use std::io::Read as _;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::{Input, pipe_through, read_frame, write_tagged};

/// The peer's name.
pub const NAME: &str = "hubble-metrics";

/// Handlers as in Cilium's `hubble.metrics.enabled`, separated by blanks, and the format of the page that shows their
/// metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// `drop:sourceContext=pod|ip dns:query`.
    pub handlers: &'a str,
    /// OpenMetrics, which has exemplars, instead of the text format.
    pub is_open_metrics: bool,
}

/// Writes flows to the handlers of all lines.
#[derive(Debug)]
pub struct FlowWriter<'a>(&'a mut Input);

impl FlowWriter<'_> {
    /// Writes an encoded `flow.Flow`.
    pub fn write(&mut self, flow: &[u8]) -> Result<()> {
        write_tagged(self.0, b'F', flow)
    }
}

/// Counts the flows that `feed` writes by the handlers of each line, and returns a page for each.
pub fn count(lines: &[Line<'_>], feed: impl FnOnce(&mut FlowWriter<'_>) -> Result<()> + Send) -> Result<Vec<String>> {
    let pages = pipe_through(
        NAME,
        &["count"],
        |out| {
            for line in lines {
                write_tagged(out, if line.is_open_metrics { b'O' } else { b'T' }, line.handlers.as_bytes())?;
            }
            feed(&mut FlowWriter(out))
        },
        |input| {
            let (mut pages, mut page, mut part) = (Vec::new(), Vec::new(), Vec::new());
            while read_frame(input, &mut part)? {
                page.extend_from_slice(&part);
                if part.is_empty() {
                    pages.push(String::from_utf8(std::mem::take(&mut page)).context("a page that is no text")?);
                }
            }
            Ok(pages)
        },
    )?;
    ensure!(pages.len() == lines.len(), "{} pages of {} lines", pages.len(), lines.len());
    Ok(pages)
}

/// Returns the dashboards by the names of their files.
pub fn dashboards() -> Result<Map<String, Value>> {
    pipe_through(
        NAME,
        &["dashboards"],
        |_| Ok(()),
        |input| {
            let mut text = String::new();
            input.read_to_string(&mut text)?;
            Ok(serde_json::from_str(&text)?)
        },
    )
}
