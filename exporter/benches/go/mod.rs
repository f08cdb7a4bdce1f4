//! Go's figures for the same work, measured by the peer `harness` if it is built.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use eyepiece_tests::peer;

use crate::measured::Figures;

/// By name: `gob-encode`, `gob-decode`, and `parse-N` for each of the payloads. The mean has the garbage collector's
/// part. Prints why it has none if the peer is missing.
pub(crate) fn figures(payloads: &[&[u8]]) -> HashMap<String, Figures> {
    run(payloads).unwrap_or_else(|why| {
        println!("\nGo's figures are left out: {why:#}");
        HashMap::new()
    })
}

fn run(payloads: &[&[u8]]) -> Result<HashMap<String, Figures>> {
    let harness = peer::find("harness").map_err(anyhow::Error::msg)?;
    let mut child = Command::new(harness).arg("bench").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no pipe")?;
    for payload in payloads {
        input.write_all(&u32::try_from(payload.len())?.to_le_bytes())?;
        input.write_all(payload)?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the harness: {}", output.status);
    String::from_utf8(output.stdout)?.lines().map(figure).collect()
}

/// A line of the name, the best and the mean.
fn figure(line: &str) -> Result<(String, Figures)> {
    let mut words = line.split_whitespace();
    let name = words.next().context("an empty line")?.to_owned();
    let mut number = || anyhow::Ok(words.next().context("no figure")?.parse()?);
    Ok((name, Figures { best: number()?, mean: number()? }))
}
