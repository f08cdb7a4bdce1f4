//! The real Prometheus as a peer: it scrapes one endpoint, and answers queries.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::namespace::Inside;
use crate::process::Background;

/// Its port within the namespace, where it is the only one.
const PORT: u16 = 9090;

/// A running Prometheus; its data is in a folder of its own.
#[derive(Debug)]
pub struct Prometheus {
    process: Background,
    inside: Inside,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts Debian's prometheus, which scrapes `target` each second, and waits until it is ready.
    pub fn start(inside: &Inside, target: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yaml");
        std::fs::write(
            &config,
            format!(
                "global: {{ scrape_interval: 1s }}\n\
                 scrape_configs: [ {{ job_name: eyepiece, static_configs: [ {{ targets: [ \"{target}\" ] }} ] }} ]\n"
            ),
        )?;
        let process = Background::spawn(
            inside
                .command("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address={}", address())),
        )?;
        let prometheus = Self { process, inside: inside.clone(), _folder: folder };
        let is_ready = || matches!(prometheus.inside.get(address(), "/-/ready"), Ok((200, _))).then_some(());
        crate::eventually(Duration::from_secs(60), "Prometheus is not ready", is_ready)
            .with_context(|| prometheus.log())?;
        Ok(prometheus)
    }

    fn api(&self, path: &str) -> Result<serde_json::Value> {
        let (code, body) = self.inside.get(address(), path)?;
        ensure!(code == 200, "{path}: {code}: {body}");
        Ok(serde_json::from_str::<serde_json::Value>(&body)?["data"].take())
    }

    /// Whether the target was scraped last without an error; `None` before the first scrape.
    pub fn health(&self) -> Result<Option<(bool, String)>> {
        let targets = self.api("/api/v1/targets")?;
        let target = &targets["activeTargets"][0];
        let error = target["lastError"].as_str().unwrap_or_default().to_owned();
        Ok(match target["health"].as_str() {
            Some("unknown") => None,
            health => Some((health == Some("up"), error)),
        })
    }

    /// The sum of the values that a query returns now; `None` if it returns none.
    pub fn query(&self, query: &str) -> Result<Option<f64>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.api(&format!("/api/v1/query?query={encoded}"))?;
        let Some(results) = answer["result"].as_array() else { bail!("{query}: {answer}") };
        let values = results.iter().filter_map(|result| result["value"][1].as_str()?.parse::<f64>().ok());
        let values: Vec<f64> = values.collect();
        Ok((!values.is_empty()).then(|| values.iter().sum()))
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.stderr()
    }
}

/// Returns what `promtool check metrics` reports of a page; empty for a clean one.
pub fn lint(page: &str) -> Result<String> {
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool")?;
    promtool.stdin.take().context("no pipe")?.write_all(page.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let found = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success() == found.is_empty(), "promtool: {}: {found}", output.status);
    Ok(found)
}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], PORT).into()
}
