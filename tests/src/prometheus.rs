//! The real Prometheus as a peer: it scrapes endpoints, and answers queries.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::namespace::Inside;
use crate::process::Background;

/// Its port within the namespace, where it is the only one.
const PORT: u16 = 9090;

/// An endpoint that is scraped.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its address.
    pub address: SocketAddr,
    /// Labels that the configuration of the scrape adds to all of its series.
    pub labels: &'a [(&'a str, &'a str)],
}

/// A running Prometheus; its data is in a folder of its own.
#[derive(Debug)]
pub struct Prometheus {
    process: Background,
    inside: Inside,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts Debian's prometheus, which scrapes the targets each second, and waits until it is ready.
    pub fn start(inside: &Inside, targets: &[Target<'_>]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yaml");
        let static_config = |target: &Target<'_>| {
            let labels: Map<String, Value> =
                target.labels.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
            json!({ "targets": [target.address.to_string()], "labels": labels })
        };
        let static_configs: Vec<Value> = targets.iter().map(static_config).collect();
        // JSON is YAML.
        let content = json!({
            "global": { "scrape_interval": "1s" },
            "scrape_configs": [{ "job_name": "eyepiece", "static_configs": static_configs }],
        });
        std::fs::write(&config, format!("{content:#}"))?;
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

    fn api(&self, path: &str) -> Result<Value> {
        let (code, body) = self.inside.get(address(), path)?;
        ensure!(code == 200, "{path}: {code}: {body}");
        Ok(serde_json::from_str::<Value>(&body)?["data"].take())
    }

    /// Whether all targets were scraped last without an error; `None` before the first scrape of each.
    pub fn health(&self) -> Result<Option<(bool, String)>> {
        let targets = self.api("/api/v1/targets")?;
        let targets = targets["activeTargets"].as_array().context("no targets")?;
        let states: Vec<_> = targets.iter().map(|target| target["health"].as_str().unwrap_or_default()).collect();
        if states.is_empty() || states.contains(&"unknown") {
            return Ok(None);
        }
        let errors: String = targets.iter().filter_map(|target| target["lastError"].as_str()).collect();
        Ok(Some((states.iter().all(|state| *state == "up"), errors)))
    }

    /// The sum of the values that a query returns now; `None` if it returns none.
    pub fn query(&self, query: &str) -> Result<Option<f64>> {
        let values = self.values(query)?;
        Ok((!values.is_empty()).then(|| values.iter().sum()))
    }

    /// The values that a query returns now.
    pub fn values(&self, query: &str) -> Result<Vec<f64>> {
        let answer = self.api(&format!("/api/v1/query?query={}", encoded(query)))?;
        let Some(results) = answer["result"].as_array() else { bail!("{query}: {answer}") };
        Ok(results.iter().filter_map(|result| result["value"][1].as_str()?.parse().ok()).collect())
    }

    /// The values of a label, in order: of the series that a selector matches, or of all series.
    pub fn label_values(&self, label: &str, selector: Option<&str>) -> Result<Vec<String>> {
        let matched = selector.map(|selector| format!("?match%5B%5D={}", encoded(selector))).unwrap_or_default();
        let answer = self.api(&format!("/api/v1/label/{label}/values{matched}"))?;
        let Some(values) = answer.as_array() else { bail!("{label} {selector:?}: {answer}") };
        Ok(values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect())
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

/// A text as the value of a parameter in a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], PORT).into()
}
