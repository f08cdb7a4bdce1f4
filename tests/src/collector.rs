//! The real OpenTelemetry Collector as a peer: OTLP in, a Prometheus page and a file of log records out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::namespace::Inside;
use crate::process::Background;

/// Ports within the namespace, which is the collector's own: OTLP over gRPC and HTTP as everywhere, the page.
const PORTS: [u16; 3] = [4317, 4318, 9464];

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    process: Background,
    inside: Inside,
    folder: tempfile::TempDir,
}

impl Collector {
    /// Starts the program (see [`crate::peer::find`]) on the namespace's loopback and waits until it listens.
    pub fn start(program: &PathBuf, inside: &Inside) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.yaml");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(&config, configuration(&path("logs.json"), &path("metrics.json")))?;
        let process = Background::spawn(inside.command(program).arg("--config").arg(&config))?;
        let mut collector = Self { process, inside: inside.clone(), folder };
        collector.wait_until_it_listens()?;
        Ok(collector)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        for port in PORTS {
            let listens = || self.inside.run(|| std::net::TcpStream::connect(address(port))).is_ok().then_some(());
            crate::eventually(Duration::from_secs(30), &format!("the collector does not listen on {port}"), listens)
                .with_context(|| self.process.stderr())?;
        }
        Ok(())
    }

    /// The value of `otlp.endpoint` for gRPC.
    pub fn grpc(&self) -> String {
        format!("http://{}", address(PORTS[0]))
    }

    /// The value of `otlp.endpoint` for http/protobuf.
    pub fn http(&self) -> String {
        format!("http://{}", address(PORTS[1]))
    }

    /// The Prometheus page.
    pub fn page(&self) -> Result<String> {
        let (status, body) = self.inside.get(address(PORTS[2]), "/metrics")?;
        ensure!(status == 200, "the page answers {status}: {body}");
        Ok(body)
    }

    /// Returns the sum of the page's series of a name whose labels contain these; `None` without such a series.
    pub fn sample(&self, name: &str, labels: &[(&str, &str)]) -> Result<Option<f64>> {
        let page = self.page()?;
        let found: Vec<f64> = samples(&page)
            .filter(|(sample, has, _)| {
                *sample == name && labels.iter().all(|(label, value)| has.contains(&format!("{label}=\"{value}\"")))
            })
            .map(|(_, _, value)| value)
            .collect();
        Ok((!found.is_empty()).then(|| found.iter().sum()))
    }

    /// The log records in its file, in OTLP's JSON form: `record["eventName"]`, `record["attributes"][0]["key"]` …
    pub fn records(&self) -> Result<Vec<serde_json::Value>> {
        let text = std::fs::read_to_string(self.folder.path().join("logs.json")).unwrap_or_default();
        // A last line without its end is still being written.
        let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let mut records = Vec::new();
        for line in complete.lines() {
            let batch: serde_json::Value = serde_json::from_str(line)?;
            let list = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
            for scope in list(&batch, "resourceLogs").iter().flat_map(|resource| list(resource, "scopeLogs")) {
                records.extend(list(&scope, "logRecords"));
            }
        }
        Ok(records)
    }

    /// Returns its log.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Asks it to end: the exit code.
    pub fn stop(&mut self) -> Result<i32> {
        self.process.stop(Signal::SIGTERM, Duration::from_secs(20))
    }
}

/// A record's attribute as a text; integers are texts in OTLP's JSON form.
pub fn attribute<'a>(record: &'a serde_json::Value, name: &str) -> Option<&'a str> {
    let pair = record["attributes"].as_array()?.iter().find(|pair| pair["key"] == name)?;
    pair["value"].as_object()?.values().next()?.as_str()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Name, labels between the braces, value of each sample of a page.
fn samples(page: &str) -> impl Iterator<Item = (&str, String, f64)> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some((name, labels.trim_end_matches('}').to_owned(), value.parse().ok()?))
    })
}

fn configuration(logs: &str, metrics: &str) -> String {
    let [grpc, http, page] = PORTS.map(address);
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: {grpc}\n      http:\n        endpoint: {http}\n\
         exporters:\n  file/logs:\n    path: {logs}\n    flush_interval: 100ms\n  file/metrics:\n    path: {metrics}\n    flush_interval: 100ms\n  prometheus:\n    endpoint: {page}\n\
         service:\n  telemetry:\n    metrics:\n      level: none\n  pipelines:\n    logs:\n      receivers: [otlp]\n      exporters: [file/logs]\n    metrics:\n      receivers: [otlp]\n      exporters: [prometheus, file/metrics]\n"
    )
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn page_is_read_by_line() {
        let page = "# HELP a b\n# TYPE a counter\na{x=\"1 2\",y=\"\"} 3\nplain 1e3\n\n";
        let read: Vec<_> = samples(page).collect();
        assert_eq!(read, [("a", "x=\"1 2\",y=\"\"".to_owned(), 3.0), ("plain", String::new(), 1000.0)]);
    }
}
