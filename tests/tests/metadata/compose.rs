//! A compose project on a real daemon: the names of its containers in log records, metrics and `hubble observe`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use eyepiece_tests::namespace::run_command;
use eyepiece_tests::receiver::Log;
use eyepiece_tests::{Dockerd, Eyepiece, Hubble, Receiver, dockerd, hubble, needs_peers, skip};
use serde_json::Value;

/// How long a change may take to arrive on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many seconds a command of compose may take.
const COMMAND_SECONDS: &str = "120";

/// Address of the service `web` in the network `front`.
const WEB: &str = "10.78.1.10";

/// Jobs, each of which connects to a port of its own at [`WEB`], where nothing listens.
const JOBS: u16 = 100;

/// The port of the first job.
const FIRST_PORT: u16 = 10_000;

/// The project; IMAGE is replaced.
const PROJECT: &str = r#"
name: shop
networks:
  front: { ipam: { config: [{ subnet: 10.78.1.0/24, ip_range: 10.78.1.128/25 }] } }
  back: { ipam: { config: [{ subnet: 10.78.2.0/24, ip_range: 10.78.2.128/25 }] } }
services:
  web:
    image: IMAGE
    command: /busybox httpd -f -p 80
    networks: { front: { ipv4_address: 10.78.1.10 } }
  api:
    image: IMAGE
    command: /busybox httpd -f -p 80
    networks: { front: {}, back: { ipv4_address: 10.78.2.10 } }
  client:
    image: IMAGE
    command: /busybox sh -c "while :; do /busybox wget -q -O- http://10.78.1.10/; /busybox sleep 0.3; done"
    networks: [front]
  poller:
    image: IMAGE
    command: /busybox sh -c "while :; do /busybox wget -q -O- http://10.78.2.10/; /busybox sleep 0.3; done"
    networks: [back]
  host:
    image: IMAGE
    command: /busybox sleep 600
    network_mode: host
"#;

struct Scene {
    compose: PathBuf,
    receiver: Receiver,
    hubble: Hubble,
    eyepiece: Eyepiece,
    dockerd: Dockerd,
    folder: tempfile::TempDir,
}

impl Scene {
    fn start(compose: &Path) -> Result<Self> {
        let (dockerd, folder) = (Dockerd::start()?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("compose.yaml"), PROJECT.replace("IMAGE", dockerd::IMAGE))?;
        let receiver = Receiver::start(dockerd.inside())?;
        let socket = folder.path().join("hubble.sock");
        let config = format!(
            "[otlp]\nendpoint = \"{}\"\n[otlp.metrics]\ninterval = \"300ms\"\n[otlp.logs]\ndelay = \"100ms\"\n\
             [hubble]\nlisten = [\"unix://{}\"]\n[metadata.docker]\nenabled = \"on\"\nsocket = \"{}\"\n",
            receiver.endpoint(),
            socket.display(),
            dockerd.socket().display()
        );
        let eyepiece = Eyepiece::start(dockerd.inside(), &config)?;
        let hubble = Hubble::new(&format!("unix://{}", socket.display()), Some(dockerd.inside()))?;
        Ok(Self { compose: compose.to_owned(), receiver, hubble, eyepiece, dockerd, folder })
    }

    /// Runs a command of compose.
    fn compose(&self, line: &str) -> Result<()> {
        let mut command = Command::new("timeout");
        command.arg(COMMAND_SECONDS).arg(&self.compose).args(["--progress", "quiet", "--file"]);
        command.arg(self.folder.path().join("compose.yaml")).args(line.split_whitespace());
        command.env("DOCKER_HOST", format!("unix://{}", self.dockerd.socket().display()));
        command.env("DOCKER_CONFIG", self.folder.path());
        run_command(&mut command, "").with_context(|| format!("compose {line}")).map(drop)
    }

    /// Waits for a record of a flow from one container to another.
    fn wait_for_flow(&self, source: &str, destination: &str) -> Result<()> {
        let is_it = |log: &Log| {
            log.attributes.get("source.container.name").is_some_and(|name| name == source)
                && log.attributes.get("destination.container.name").is_some_and(|name| name == destination)
        };
        let waited = self.receiver.wait(PATIENCE, "a flow", |received| received.logs.iter().any(is_it));
        waited.with_context(|| format!("{source} -> {destination}\n{}", self.eyepiece.stderr()))
    }

    /// Connects from a container to a port of the service `web` where nothing listens, and waits for the record.
    fn connect(&self, container: &str, name: &str, port: u16) -> Result<()> {
        let line = format!("exec {container} /busybox nc -w 2 {WEB} {port}");
        // It is refused.
        self.dockerd.docker(&line).expect_err("nothing listens");
        let port = port.to_string();
        let is_it = |log: &Log| {
            log.attributes.get("destination.port") == Some(&port)
                && log.attributes.get("source.container.name").is_some_and(|known| known == name)
        };
        self.receiver
            .wait(PATIENCE, "a flow", |received| received.logs.iter().any(is_it))
            .with_context(|| format!("{name}\n{:#?}", self.records(&port)))
    }

    /// The attributes of the records with a port.
    fn records(&self, port: &str) -> Vec<String> {
        let with = |log: &Log, key| log.attributes.get(key).is_some_and(|known| known == port);
        let logs = self.receiver.logs().into_iter();
        let logs = logs.filter(|log| with(log, "destination.port") || with(log, "source.port"));
        logs.map(|log| format!("{:?}", log.attributes)).collect()
    }

    /// The flows that `hubble observe` shows.
    fn observe(&self, filters: &[&str]) -> Result<Vec<Value>> {
        let lines = self.hubble.run(&[&["observe", "--all", "-o", "jsonpb"], filters].concat())?.json()?;
        Ok(lines.into_iter().map(|mut line| line["flow"].take()).collect())
    }

    /// Checks filters by names, each against the flows that have such an end.
    fn check_filters(&self) -> Result<()> {
        for (filters, end) in [
            (["--pod", "shop/shop-web-1"], "/pod_name=shop-web-1"),
            (["--workload", "web"], "/workloads/0/name=web"),
            (["--namespace", "shop"], "/namespace=shop"),
            (["--label", "container:com.docker.compose.service=api"], "/workloads/0/name=api"),
        ] {
            let flows = self.observe(&filters)?;
            ensure!(!flows.is_empty(), "{filters:?}: no flow");
            let (path, value) = end.split_once('=').context("an end")?;
            let has = |flow: &Value, side: &str| flow[side].pointer(path).is_some_and(|known| known == value);
            let other = flows.iter().find(|flow| !has(flow, "source") && !has(flow, "destination"));
            ensure!(other.is_none(), "{filters:?}: {other:?}");
        }
        Ok(())
    }

    /// Runs the jobs, two at a time. They connect at once, and end soon after.
    fn run_jobs(&self) -> Result<()> {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let run = |numbers: std::ops::Range<u16>| {
                move || -> Result<()> {
                    for number in numbers {
                        let labels = "--label com.docker.compose.project=shop --label com.docker.compose.service=job";
                        let options = format!("run -d --network shop_front --name job-{number} {labels}");
                        let script = format!("/busybox nc -w 2 {WEB} {}; /busybox sleep 2", FIRST_PORT + number);
                        let mut arguments: Vec<_> = options.split(' ').collect();
                        arguments.extend([dockerd::IMAGE, "/busybox", "sh", "-c", &script]);
                        self.dockerd.run_docker(&arguments)?;
                    }
                    Ok(())
                }
            };
            let threads = [0..JOBS / 2, JOBS / 2..JOBS].map(|numbers| scope.spawn(run(numbers)));
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
        println!("{JOBS} jobs in {:?}", start.elapsed());
        Ok(())
    }

    /// Checks the names of the jobs in records and flows: by the port, which only the job has.
    fn check_jobs(&self) -> Result<()> {
        let job = |port: &str| port.parse::<u16>().ok()?.checked_sub(FIRST_PORT).filter(|&number| number < JOBS);
        let seen = |log: &Log| log.attributes.get("source.port").and_then(|port| job(port));
        // Refused: the last packet comes from `web`.
        let all = |logs: &[Log]| logs.iter().filter_map(seen).collect::<BTreeSet<_>>().len() == usize::from(JOBS);
        self.receiver.wait(PATIENCE, "all jobs", |received| all(&received.logs))?;
        let of_log = |log: Log| {
            let text = |key: &str| log.attributes.get(key).cloned().unwrap_or_default();
            [
                text("source.port"),
                text("source.container.name"),
                text("destination.port"),
                text("destination.container.name"),
            ]
        };
        check_ends("log records", self.receiver.logs().into_iter().map(of_log), job)?;
        let of_flow = |flow: Value| {
            let text = |path: &str| match flow.pointer(path) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            };
            let (source, destination) = (text("/l4/TCP/source_port"), text("/l4/TCP/destination_port"));
            [source, text("/source/pod_name"), destination, text("/destination/pod_name")]
        };
        check_ends("hubble observe", self.observe(&["--protocol", "tcp"])?.into_iter().map(of_flow), job)
    }

    /// Checks that metrics have no other ends than the project's, and the jobs.
    fn check_metrics(&self) -> Result<()> {
        let jobs = || {
            self.receiver.sum(
                "hubble.flow.packets",
                &[("hubble.source.name", "shop/job"), ("hubble.destination.name", "shop/web")],
            )
        };
        let most = u64::from(JOBS - JOBS / 20);
        eyepiece_tests::eventually(PATIENCE, "jobs in metrics", || (jobs() >= most).then_some(()))
            .with_context(|| format!("{} of {most}", jobs()))?;
        let known = ["shop/web", "shop/api", "shop/client", "shop/poller", "shop/job", "shop/host", "host", "world"];
        let strangers: BTreeSet<String> = self.receiver.look(|received| {
            let points = received.points.keys().filter(|(name, _)| name.starts_with("hubble."));
            let ends = points.flat_map(|(_, attributes)| {
                ["hubble.source.name", "hubble.destination.name"].map(|key| attributes.get(key))
            });
            // A container's interface sends before its process starts.
            let is_known = |end: &str| known.contains(&end) || end.starts_with("veth");
            ends.flatten().filter(|end| !is_known(end)).cloned().collect()
        });
        ensure!(strangers.is_empty(), "{strangers:?}");
        Ok(())
    }
}

/// Checks source port, source, destination port and destination of records: none has a wrong name, and nearly all jobs and
/// their peer have the right one. On a busy machine a name may come after a packet has waited for it.
fn check_ends(what: &str, records: impl Iterator<Item = [String; 4]>, job: impl Fn(&str) -> Option<u16>) -> Result<()> {
    let (mut right, mut unnamed) = (0, Vec::new());
    for record in records {
        let [source_port, source, destination_port, destination] = &record;
        let expected = match (job(source_port), job(destination_port)) {
            (None, Some(number)) => [format!("job-{number}"), "shop-web-1".to_owned()],
            (Some(number), None) => ["shop-web-1".to_owned(), format!("job-{number}")],
            _ => continue,
        };
        for (found, expected) in [source, destination].into_iter().zip(expected) {
            if *found == expected {
                right += 1;
            } else if found.is_empty() {
                unnamed.push(format!("{expected} in {record:?}"));
            } else {
                anyhow::bail!("{what}: {found} instead of {expected}: {record:?}");
            }
        }
    }
    println!("{what}: {right} ends named, {} not: {unnamed:#?}", unnamed.len());
    ensure!(right >= 4 * usize::from(JOBS), "{what}: {right} ends");
    ensure!(unnamed.len() * 100 <= right, "{what}: {right} ends are named, not {unnamed:?}");
    Ok(())
}

#[test]
fn compose_project_is_named() -> Result<()> {
    let [compose, _] = &needs_peers!("docker-compose", hubble::NAME);
    if let Err(why) = Dockerd::available() {
        skip!("{why}");
    }
    let mut scene = Scene::start(compose)?;
    scene.compose("up --detach")?;
    scene.wait_for_flow("shop-client-1", "shop-web-1")?;
    scene.wait_for_flow("shop-web-1", "shop-client-1")?;
    scene.wait_for_flow("shop-poller-1", "shop-api-1")?;
    scene.check_filters()?;

    scene.compose("up --detach --no-recreate --scale client=2")?;
    scene.wait_for_flow("shop-client-2", "shop-web-1")?;
    scene.dockerd.docker("rename shop-api-1 renamed")?;
    scene.wait_for_flow("shop-poller-1", "renamed")?;
    scene.dockerd.docker("network connect shop_front shop-poller-1")?;
    scene.connect("shop-poller-1", "shop-poller-1", 9001)?;
    scene.dockerd.docker("network disconnect shop_back shop-poller-1")?;
    scene.connect("shop-poller-1", "shop-poller-1", 9002)?;
    scene.compose("kill client")?;

    scene.run_jobs()?;
    scene.check_jobs()?;
    scene.check_metrics()?;

    scene.dockerd.stop()?;
    scene.dockerd.run()?;
    scene.receiver.clear();
    scene.compose("up --detach")?;
    scene.wait_for_flow("shop-client-1", "shop-web-1")?;
    ensure!(scene.eyepiece.stop()? == 0, "{}", scene.eyepiece.stderr());
    Ok(())
}
