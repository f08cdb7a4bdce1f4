//! The provider `docker` follows a real daemon and its containers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use eyepiece::metadata::docker::DockerProvider;
use eyepiece::metadata::provider::{Condition, Key};
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::{Docker, Enabled};
use eyepiece_tests::{Dockerd, eventually, skip};
use tokio::runtime::Runtime;

use crate::recorder::Recorder;

/// How long a change may take to arrive on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The provider, and what it has sent.
struct Running {
    recorder: Arc<Recorder>,
    /// Ends the provider with this value.
    _runtime: Runtime,
    _stop: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
}

impl Running {
    fn start(dockerd: &Dockerd) -> Result<Self> {
        let (recorder, (stop, stopped)) = (Arc::<Recorder>::default(), shutdown::channel());
        let config = Docker { enabled: Enabled::On, socket: dockerd.socket().display().to_string() };
        let provider = DockerProvider::new(&config, Arc::<Recorder>::clone(&recorder), &Telemetry::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.spawn(provider.expect("it is on").run(stopped));
        Ok(Self { recorder, _runtime: runtime, _stop: stop })
    }

    fn wait_for_containers(&self, n: usize) -> Result<()> {
        let is_current = || (self.recorder.condition() == Some((Condition::Current, n))).then_some(());
        eventually(PATIENCE, &format!("{n} containers"), is_current)
            .map_err(|error| error.context(format!("{:?}", self.recorder.condition())))
    }

    /// Waits until keys lead to containers of these names, or nowhere.
    fn wait_for(&self, what: &str, expected: &[(Key, Option<&str>)]) -> Result<()> {
        let differing = || expected.iter().filter(|(key, name)| self.recorder.name(key).as_deref() != *name);
        eventually(PATIENCE, what, || differing().next().is_none().then_some(()))
            .map_err(|error| error.context(format!("{:?}", differing().collect::<Vec<_>>())))
    }
}

macro_rules! table {
    ($($name:ident: $test:ident;)*) => {$(
        #[test]
        fn $name() {
            match Dockerd::available() {
                Ok(()) => $test().unwrap_or_else(|error| panic!("{error:?}")),
                Err(why) => skip!("{why}"),
            }
        }
    )*};
}

table! {
    networks_of_containers_are_followed: follow_networks;
    containers_are_followed_to_their_end: follow_containers;
    hundred_starts_are_reported: report_hundred_starts;
    restarted_daemon_is_listed_again: list_restarted_daemon;
}

fn container(id: &str) -> Key {
    Key::Container(id.into())
}

/// A container's addresses in a network.
fn addresses(dockerd: &Dockerd, container: &str, network: &str) -> Result<Vec<Key>> {
    let settings = format!("(index .NetworkSettings.Networks {network:?})");
    let format = format!("{{{{{settings}.IPAddress}}}}/{{{{{settings}.GlobalIPv6Address}}}}");
    let output = dockerd.run_docker(&["inspect", "-f", &format, container])?;
    let addresses = output.split('/').filter(|text| !text.is_empty());
    Ok(addresses.map(|text| text.parse::<IpAddr>().map(Key::Address)).collect::<Result<_, _>>()?)
}

fn follow_networks() -> Result<()> {
    let dockerd = Dockerd::start()?;
    dockerd.docker("network create --subnet 10.77.1.0/24 front")?;
    dockerd.docker("network create --ipv6 --subnet 10.77.2.0/24 --subnet fd00:77:2::/64 back")?;
    let web = dockerd.sleep(
        "--name web --network front --label com.docker.compose.project=shop --label com.docker.compose.service=web \
         --label com.docker.compose.config-hash=0 --env PASSWORD=hunter2",
    )?;
    let running = Running::start(&dockerd)?;
    running.wait_for_containers(1)?;
    let front = addresses(&dockerd, &web, "front")?;
    let own = Key::Namespace(dockerd.namespace_of(&web)?);
    running.wait_for(
        "the container that was there",
        &[(container(&web), Some("shop/web")), (own, Some("shop/web")), (front[0].clone(), Some("shop/web"))],
    )?;
    check_entity(&running);

    dockerd.docker("network connect back web")?;
    let back = addresses(&dockerd, &web, "back")?;
    assert_eq!(back.len(), 2, "IPv4 and IPv6");
    running
        .wait_for("a second network", &[(back[0].clone(), Some("shop/web")), (back[1].clone(), Some("shop/web"))])?;
    dockerd.docker("network disconnect front web")?;
    running.wait_for("a disconnect", &[(front[0].clone(), None), (back[0].clone(), Some("shop/web"))])?;
    dockerd.docker("kill web")?;
    running.wait_for("an end", &[(back[0].clone(), None), (back[1].clone(), None)])
}

fn follow_containers() -> Result<()> {
    let dockerd = Dockerd::start()?;
    let running = Running::start(&dockerd)?;
    running.wait_for_containers(0)?;
    let owner = dockerd.sleep("--name owner --network none")?;
    let guest = dockerd.sleep("--name guest --network container:owner")?;
    let host = dockerd.sleep("--name host --network host")?;
    let own = Key::Namespace(dockerd.namespace_of(&owner)?);
    let of_host = Key::Namespace(dockerd.namespace_of(&host)?);
    running.wait_for(
        "a shared namespace and the host's",
        &[
            (container(&guest), Some("guest")),
            (container(&host), Some("host")),
            (own.clone(), Some("owner")),
            (of_host, None),
        ],
    )?;
    dockerd.docker("rename owner renamed")?;
    running.wait_for("a rename", &[(own.clone(), Some("renamed")), (container(&owner), Some("renamed"))])?;
    dockerd.docker("kill guest")?;
    running.wait_for("a kill", &[(container(&guest), Some("guest")), (own.clone(), Some("renamed"))])?;
    dockerd.docker("restart -t 0 renamed")?;
    let restarted = Key::Namespace(dockerd.namespace_of(&owner)?);
    running.wait_for("a restart", &[(restarted.clone(), Some("renamed")), (container(&owner), Some("renamed"))])?;
    for name in ["renamed", "host"] {
        dockerd.docker(&format!("rm -f {name}"))?;
    }
    running.wait_for("an end", &[(container(&owner), Some("renamed")), (restarted, None)])?;
    running.wait_for_containers(0)?;
    assert_eq!(running.recorder.len(), 3, "the containers themselves, for a moment");
    Ok(())
}

fn check_entity(running: &Running) {
    let entity = running.recorder.seen("shop/web").expect("the container");
    let expected = [
        "container:com.docker.compose.project=shop",
        "container:com.docker.compose.service=web",
        "container:image=example.org/team/busybox:1",
        "container:name=web",
    ];
    assert_eq!(entity.metadata.labels, expected);
    assert_eq!(entity.metadata.workloads[0].name, "web");
    assert!(!format!("{entity:?}").contains("hunter2"), "{entity:?}");
}

fn report_hundred_starts() -> Result<()> {
    const THREADS: usize = 4;
    const CONTAINERS: usize = 25;
    let dockerd = Dockerd::start()?;
    let running = Running::start(&dockerd)?;
    running.wait_for_containers(0)?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let run = |thread: usize| {
            let dockerd = &dockerd;
            move || -> Result<()> {
                for number in 0..CONTAINERS {
                    dockerd.sleep(&format!("--network none --name s-{thread}-{number}"))?;
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(run(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    println!("{} starts in {:?}", THREADS * CONTAINERS, start.elapsed());
    running.wait_for_containers(THREADS * CONTAINERS)?;
    for id in dockerd.docker("ps -q --no-trunc")?.lines() {
        let namespace = Key::Namespace(dockerd.namespace_of(id)?);
        assert_eq!(running.recorder.name(&namespace), running.recorder.name(&container(id)));
        assert!(running.recorder.name(&namespace).is_some(), "{id}");
    }
    Ok(())
}

fn list_restarted_daemon() -> Result<()> {
    let mut dockerd = Dockerd::start()?;
    let running = Running::start(&dockerd)?;
    dockerd.sleep("--name before --network none")?;
    running.wait_for_containers(1)?;
    dockerd.stop()?;
    let is_stale = || matches!(running.recorder.condition(), Some((Condition::Stale { .. }, _))).then_some(());
    eventually(PATIENCE, "stale", is_stale)?;
    dockerd.run()?;
    running.wait_for_containers(0)?;
    let after = dockerd.sleep("--name after --network none")?;
    running.wait_for("a container of the new daemon", &[(container(&after), Some("after"))])?;
    running.wait_for_containers(1)
}
