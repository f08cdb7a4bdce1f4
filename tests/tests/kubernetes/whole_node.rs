//! Flows of real pods: named by network namespace, control group and API from the first one on, never wrongly.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use eyepiece_tests::dockerd::IMAGE;
use eyepiece_tests::receiver::Log;
use eyepiece_tests::{Eyepiece, Hubble, Receiver, eventually, hubble, peer, skip, until};
use serde_json::{Value, json};

use crate::cluster::pods;
use crate::names::{owned, service, template};
use crate::node::{self, GATEWAY, NAME, Node, PAUSE, Running};

const NAMESPACE: &str = "shop";
/// The ports of the pod `web`, each for one client: a pod, the two containers of a pod on the host's network, and the
/// pod that takes the first one's place.
const PORTS: [u16; 4] = [8080, 8081, 8082, 8083];
/// Without a listener, on the node.
const CLOSED: u16 = 9;
/// How long flows may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The product on a node, with its clients.
struct Observed {
    eyepiece: Eyepiece,
    hubble: Hubble,
    receiver: Receiver,
    node: Node,
}

impl Observed {
    fn start(programs: &node::Programs) -> Result<Self> {
        let node = Node::start(programs)?;
        let (receiver, hubble) = (Receiver::start(node.inside())?, Hubble::new("127.0.0.1:4244", Some(node.inside()))?);
        let config = format!(
            "[node]\nname = {NAME:?}\ncluster = \"kind\"\n[hubble]\nlisten = [\"127.0.0.1:4244\"]\n\
             [metadata.kubernetes]\nkubeconfig = {:?}\nscope = \"node\"\n[otlp]\nendpoint = {:?}\n\
             [otlp.metrics]\ninterval = \"1s\"\n[otlp.logs]\nenabled = true\ndelay = \"50ms\"\n",
            node.kubeconfig(),
            receiver.endpoint()
        );
        let eyepiece = Eyepiece::builder(&config).program(&node.product()?).start(node.inside())?;
        let observed = Self { eyepiece, hubble, receiver, node };
        eventually(TIMEOUT, "the provider is not current", || {
            let status = observed.eyepiece.status().ok()?;
            let mut providers = status["metadata"].as_array()?.iter();
            providers.find(|one| one["provider"] == "kubernetes" && one["state"] == "current").map(drop)
        })?;
        Ok(observed)
    }

    /// Creates a pod and waits until it runs.
    fn create(&self, pod: &Value) -> Result<Running> {
        self.node.api(async |admin| admin.create(&pods(NAMESPACE), pod).await)?;
        self.node.wait_for_pod(&path(pod["metadata"]["name"].as_str().unwrap_or_default()))
    }

    /// Waits for a record.
    fn wait_for(&self, what: &str, wanted: impl Fn(&Log) -> bool) -> Result<()> {
        let has_come = || {
            std::thread::sleep(PAUSE);
            self.receiver.look(|received| received.logs.iter().any(&wanted)).then_some(())
        };
        until(TIMEOUT, what, has_come).with_context(|| self.eyepiece.stderr())
    }
}

fn path(pod: &str) -> String {
    format!("{}/{pod}", pods(NAMESPACE))
}

fn container((name, script): &(&str, String)) -> Value {
    json!({"name": name, "image": IMAGE, "imagePullPolicy": "Never", "command": ["/busybox", "sh", "-c", script]})
}

/// A pod with a script for each container.
fn pod(name: &str, generation: &str, scripts: &[(&str, String)]) -> Value {
    json!({
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name, "generation": generation}},
        "spec": {
            "nodeName": NAME,
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 1,
            "containers": scripts.iter().map(container).collect::<Vec<_>>(),
        },
    })
}

/// Connects at once and again and again.
fn connect(to: &str, port: u16) -> String {
    format!("while :; do echo | nc {to} {port}; usleep 300000; done")
}

/// Creates a deployment, its replica set, the pod of two containers that is theirs, and a service before it.
fn create_web(observed: &Observed) -> Result<Running> {
    let ports = PORTS.map(|port| format!("httpd -p {port}")).join("; ");
    let scripts = [("serve", format!("{ports}; while :; do sleep 100; done")), ("side", connect(GATEWAY, CLOSED))];
    let mut web = pod("web", "1", &scripts);
    let labels = json!({"app": "web", "generation": "1"});
    let owner = observed.node.api(async |admin| {
        admin.namespace(NAMESPACE).await?;
        let mut always = template(&labels);
        always["spec"]["restartPolicy"] = json!("Always");
        let spec = json!({"selector": {"matchLabels": labels}, "template": always});
        let apps = |plural: &str| format!("/apis/apps/v1/namespaces/{NAMESPACE}/{plural}");
        let deployment = json!({"metadata": {"name": "web"}, "spec": spec});
        let deployment = admin.create(&apps("deployments"), &deployment).await?;
        let owners = owned("Deployment", &deployment, &labels);
        let set = json!({"metadata": {"name": "web-5d4f", "labels": labels, "ownerReferences": owners}, "spec": spec});
        admin.create(&apps("replicasets"), &set).await
    })?;
    web["metadata"]["ownerReferences"] = owned("ReplicaSet", &owner, &json!({}));
    let web = observed.create(&web)?;
    observed.node.api(async |admin| service(&admin, NAMESPACE, NAME, [&web.name, &web.uid, &web.address]).await)?;
    Ok(web)
}

/// The client that the records of a port must name.
struct Client<'a> {
    port: u16,
    pod: &'a Running,
    container: &'a str,
    generation: &'a str,
    /// Until when, in ns since the Unix epoch: later another pod may have the address.
    until: u64,
    /// Connections that may lack the client's name: on the host's network the first one of each start of the container,
    /// which may come before its control group is published.
    early: usize,
}

/// How the records of a port are named.
#[derive(Debug, Default)]
struct Named {
    records: usize,
    with_container: usize,
    /// By the client's port: a connection each.
    unnamed: BTreeMap<String, String>,
    wrong: Vec<String>,
}

fn attribute<'a>(log: &'a Log, end: &str, name: &str) -> &'a str {
    log.attributes.get(&format!("{end}.{name}")).map_or("", String::as_str)
}

impl Client<'_> {
    /// The end of a record that is the client's, and the other one.
    fn ends(&self, log: &Log) -> Option<[&'static str; 2]> {
        let is_port = |end: &str| attribute(log, end, "port") == self.port.to_string();
        let is_of_pods = log.time < self.until && attribute(log, "network", "transport") == "tcp";
        match (is_port("source"), is_port("destination")) {
            (false, true) if is_of_pods => Some(["source", "destination"]),
            (true, false) if is_of_pods => Some(["destination", "source"]),
            _ => None,
        }
    }

    /// Compares the records with what was made.
    fn judge(&self, logs: &[Log], web: &Running) -> Named {
        let mut named = Named::default();
        for log in logs {
            let Some(ends) = self.ends(log) else { continue };
            named.records += 1;
            let expected = [(self.pod, self.container, self.generation), (web, "serve", "1")];
            for (end, (pod, container, generation)) in ends.into_iter().zip(expected) {
                let of_end = |name: &str| attribute(log, end, name);
                let line = || format!("{end}, {} ms: {:?}", log.time / 1_000_000, log.attributes);
                if of_end("k8s.pod.name").is_empty() {
                    named.unnamed.insert(attribute(log, ends[0], "port").to_owned(), line());
                    continue;
                }
                let names = ["k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "k8s.node.name", "k8s.cluster.name"];
                let labels = attribute(log, "hubble", &format!("{end}.labels"));
                let own = of_end("k8s.container.name");
                let is_known = pod.containers.iter().any(|(name, id)| name == own && id == of_end("container.id"));
                let is_right = names.map(of_end) == [NAMESPACE, &pod.name, &pod.uid, NAME, "kind"]
                    && labels.contains(&format!("k8s:app={},k8s:generation={generation},", pod.name))
                    && (own.is_empty() || own == container && is_known)
                    && (end != ends[1] || of_end("k8s.deployment.name") == "web");
                if !is_right {
                    named.wrong.push(line());
                }
                named.with_container += usize::from(end == ends[0] && own == container);
            }
        }
        println!(
            "port {}: {} records, {} connections without a name, {} wrong; {} with the client's container",
            self.port,
            named.records,
            named.unnamed.len(),
            named.wrong.len(),
            named.with_container
        );
        named
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[test]
fn pods_are_named_from_first_flow() -> Result<()> {
    let programs = match node::programs().and_then(|programs| peer::find(hubble::NAME).map(|_| programs)) {
        Ok(programs) => programs,
        Err(why) => skip!("{why}"),
    };
    let observed = Observed::start(&programs)?;
    let web = create_web(&observed)?;
    let client = observed.create(&pod("client", "1", &[("main", connect(&web.address, PORTS[0]))]))?;
    let scripts = [("one", connect(&web.address, PORTS[1])), ("two", connect(&web.address, PORTS[2]))];
    let mut agent = pod("agent", "1", &scripts);
    agent["spec"]["hostNetwork"] = json!(true);
    let agent = observed.create(&agent)?;
    for (port, container) in [(PORTS[0], "main"), (PORTS[1], "one"), (PORTS[2], "two")] {
        let client = Client { port, pod: &client, container, generation: "1", until: u64::MAX, early: 0 };
        observed.wait_for(&format!("no record of the container {container}"), |log| {
            client.ends(log).is_some_and(|ends| attribute(log, ends[0], "k8s.container.name") == container)
        })?;
    }
    check_clients(&observed)?;

    let restarted = restart_container(&observed, &agent)?;
    let (gone, successor) = replace(&observed, &client, &web)?;

    let logs = observed.receiver.logs();
    for (port, pod, container, generation, until, early) in [
        (PORTS[0], &client, "main", "1", gone, 0),
        (PORTS[1], &restarted, "one", "1", u64::MAX, 2),
        (PORTS[2], &agent, "two", "1", u64::MAX, 1),
        (PORTS[3], &successor, "main", "2", u64::MAX, 0),
    ] {
        let client = Client { port, pod, container, generation, until, early };
        let named = client.judge(&logs, &web);
        assert!(named.records > 0 && named.with_container > 0, "{named:?}");
        assert!(named.wrong.is_empty() && named.unnamed.len() <= client.early, "port {port}: {named:?}");
    }
    let is_refused = |log: &Log| {
        attribute(log, "hubble", "verdict") == "DROPPED" && attribute(log, "destination", "port") == CLOSED.to_string()
    };
    let refused: Vec<_> = logs.iter().filter(|log| is_refused(log)).collect();
    assert!(!refused.is_empty() && refused.iter().all(|log| attribute(log, "source", "k8s.pod.name") == "web"));
    check_end(observed)
}

/// Kills a container of the pod on the host's network: the kubelet starts another one.
fn restart_container(observed: &Observed, agent: &Running) -> Result<Running> {
    observed.node.kill_container(agent, "one")?;
    let mut restarted = observed
        .node
        .wait_for(&path("agent"), |found| node::running(found?).filter(|pod| pod.containers != agent.containers))?;
    let is_new = |(name, id): &&(String, String)| name == "one" && !agent.containers.iter().any(|(_, old)| old == id);
    let (_, id) = restarted.containers.iter().find(is_new).context("no new container")?.clone();
    observed.wait_for("no record of the new container", |log| attribute(log, "source", "container.id") == id)?;
    // Records have either.
    restarted.containers.extend(agent.containers.clone());
    Ok(restarted)
}

/// Deletes the client, and makes a pod of its name that gets its address. Returns when the former one was gone.
fn replace(observed: &Observed, client: &Running, web: &Running) -> Result<(u64, Running)> {
    observed.node.api(async |admin| admin.delete(&path("client"), 1).await)?;
    observed.node.wait_for(&path("client"), |found| found.is_none().then_some(()))?;
    let gone = now();
    let successor = observed.create(&pod("client", "2", &[("main", connect(&web.address, PORTS[3]))]))?;
    ensure!(successor.address == client.address && successor.uid != client.uid, "{successor:?} after {client:?}");
    let (port, pod, until) = (PORTS[3], &successor, u64::MAX);
    let of_successor = Client { port, pod, container: "main", generation: "2", until, early: 0 };
    observed.wait_for("no record of the successor's container", |log| {
        of_successor.ends(log).is_some_and(|ends| attribute(log, ends[0], "container.id") == successor.containers[0].1)
    })?;
    Ok((gone, successor))
}

/// The names in metrics and in Hubble's API, by its filters.
fn check_clients(observed: &Observed) -> Result<()> {
    let ends = [("hubble.source.name", "client"), ("hubble.destination.name", "shop/web")];
    observed
        .receiver
        .wait(TIMEOUT, "no metric of the pods", |received| received.sum("hubble.flow.packets", &ends) > 0)?;
    let text = |end: &Value, name: &str| end[name].as_str().unwrap_or_default().to_owned();
    for (filter, value) in [
        ("--from-pod", "shop/client"),
        ("--to-pod", "shop/client"),
        ("--from-workload", "Deployment/web"),
        ("--to-namespace", "shop"),
        ("--from-label", "k8s:app=agent"),
        ("--to-service", "shop/web"),
    ] {
        let lines = observed.hubble.run(&["observe", "--all", filter, value, "-o", "jsonpb"])?.json()?;
        ensure!(!lines.is_empty(), "nothing by {filter} {value}");
        for line in &lines {
            let end = &line["flow"][if filter.starts_with("--from") { "source" } else { "destination" }];
            // A pod on the host's network has the host's identity, as in Cilium.
            let is_of_host = end["identity"] == 1 && text(end, "pod_name") == "agent";
            let is_named = text(end, "namespace") == "shop" && (is_of_host || end["identity"].as_u64() > Some(255));
            let workload = || end["workloads"][0]["kind"] == "Deployment" && end["workloads"][0]["name"] == "web";
            let is_of_filter = match value {
                "shop/client" => text(end, "pod_name") == "client",
                "Deployment/web" => text(end, "pod_name") == "web" && workload(),
                "k8s:app=agent" => text(end, "pod_name") == "agent",
                "shop/web" => {
                    text(end, "pod_name") == "web" && text(&line["flow"]["destination_service"], "name") == "web"
                }
                _ => true,
            };
            ensure!(is_named && is_of_filter, "{filter} {value}: {line}");
        }
    }
    Ok(())
}

/// Nothing is left of the node.
fn check_end(mut observed: Observed) -> Result<()> {
    ensure!(observed.eyepiece.stop()? == 0, "{}", observed.eyepiece.stderr());
    let violations = observed.receiver.look(|received| received.violations.clone());
    ensure!(violations.is_empty(), "{violations:?}");
    let mounts = observed.node.mounts()?;
    let (groups, network) = (observed.node.groups(), Path::new("/run/netns").join(observed.node.inside().name()));
    drop(observed);
    ensure!(!groups.is_empty() && groups.iter().all(|group| !group.exists()), "left: {groups:?}");
    ensure!(!network.exists(), "left: {}", network.display());
    let is_among = |process: std::io::Result<std::fs::DirEntry>| {
        std::fs::metadata(process.ok()?.path().join("ns/mnt")).ok().filter(|found| found.ino() == mounts)
    };
    eventually(TIMEOUT, "a process of the node is left", || {
        std::fs::read_dir("/proc").ok()?.find_map(is_among).is_none().then_some(())
    })
}
