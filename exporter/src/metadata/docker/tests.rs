//! The provider against servers that misbehave.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::{Docker, Enabled};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use self::fake::{Answer, FakeDocker};
use super::DockerProvider;
use super::client::Client;
use crate::metadata::entry_recorder::EntryRecorder;
use crate::metadata::provider::{Condition, Key, Target};
use crate::support::shutdown;
use crate::support::telemetry::Telemetry;

/// How long a result may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn id(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

fn summary(digit: char) -> Value {
    let networks = json!({"Networks": {"bridge": {"IPAddress": format!("172.17.0.{digit}")}}});
    json!({"Id": id(digit), "Names": [format!("/{digit}")], "Image": "web:1", "State": "running", "NetworkSettings": networks})
}

fn details(digit: char) -> Answer {
    Answer::Json(json!({
        "Id": id(digit),
        "Name": format!("/{digit}"),
        "State": {"Running": true, "Pid": 0},
        "Config": {"Image": "web:1", "Labels": {"tier": "front"}},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": format!("172.17.0.{digit}")}}},
    }))
}

/// A running provider.
struct Running {
    recorder: Arc<EntryRecorder>,
    telemetry: Telemetry,
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(docker: &FakeDocker, enabled: Enabled) -> Self {
        let (recorder, telemetry, (stop, stopped)) =
            (Arc::<EntryRecorder>::default(), Telemetry::default(), shutdown::channel());
        let config = Docker { enabled, socket: docker.path().display().to_string() };
        let provider =
            DockerProvider::new(&config, Arc::<EntryRecorder>::clone(&recorder), &telemetry).expect("it is on");
        Self { recorder, telemetry, stop, task: tokio::spawn(provider.run(stopped)) }
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&EntryRecorder) -> bool) {
        let poll = async {
            while !is_so(&self.recorder) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, poll)
            .await
            .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}: {:?}", self.recorder));
    }

    async fn wait_for_current(&self, containers: usize) {
        let is_so = |recorder: &EntryRecorder| recorder.condition() == Some((Condition::Current, containers));
        self.wait("current", is_so).await;
    }

    fn incidents(&self, reason: &str) -> u64 {
        let samples = self.telemetry.samples();
        let of_reason = |sample: &&crate::support::telemetry::Sample| {
            sample.key.name == "eyepiece.metadata.incidents" && sample.key.attributes[0].1 == reason
        };
        samples.iter().find(of_reason).map_or(0, |sample| sample.value)
    }

    async fn stop(self) {
        self.stop.send(Some(Instant::now())).expect("it runs");
        timeout(PATIENCE, self.task).await.expect("it stops").expect("it does not panic");
    }
}

#[tokio::test]
async fn faults_end_in_their_errors() {
    let error = json!({"message": "x".repeat(10_000)});
    for (name, answer, reason) in [
        ("no HTTP", Answer::Raw(b"220 mail.example ESMTP\r\n".to_vec()), "docker_answer"),
        ("zeros", Answer::Raw(vec![0; 100]), "docker_answer"),
        ("no JSON", Answer::Text("<html>".to_owned()), "docker_answer"),
        ("half of a JSON", Answer::Text("[{\"Id\":".to_owned()), "docker_answer"),
        ("another JSON", Answer::Json(json!({"containers": []})), "docker_answer"),
        ("a text for a list", Answer::Json(json!([{"Id": id('1'), "Names": "web"}])), "docker_answer"),
        ("nothing", Answer::Raw(Vec::new()), "docker_closed"),
        ("a cut answer", Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[".to_vec()), "docker_closed"),
        ("an error", Answer::Status(500, error), "docker_status"),
        ("an endless answer", Answer::Endless, "docker_too_large"),
        ("endless headers", Answer::EndlessHeaders, "docker_answer"),
    ] {
        let docker = FakeDocker::start();
        docker.answer("/containers/json", answer);
        let client = Client::connect(&docker.path()).await.expect(name);
        let error = client.list().await.expect_err(name);
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(error.to_string().len() < 400, "{name}: {error}");
    }
}

#[tokio::test]
async fn slow_answer_ends_in_timeout() {
    let docker = FakeDocker::start();
    docker.answer("/containers/json", Answer::Never);
    docker.answer(&format!("/containers/{}/json", id('1')), Answer::Never);
    let client = Client::connect(&docker.path()).await.expect("a version");
    // The server never answers, so time passes at once.
    tokio::time::pause();
    assert_eq!(client.list().await.expect_err("late").reason(), "docker_timeout");
    assert_eq!(client.inspect(id('1').into()).await.expect_err("late").reason(), "docker_timeout");
}

#[tokio::test]
async fn bad_container_costs_no_other() {
    let docker = FakeDocker::start();
    docker.answer("/containers/json", Answer::Json(json!([summary('1'), summary('2'), summary('3'), summary('4')])));
    docker.answer(&format!("/containers/{}/json", id('1')), details('1'));
    docker.answer(&format!("/containers/{}/json", id('2')), Answer::Text("no JSON".to_owned()));
    docker.answer(&format!("/containers/{}/json", id('4')), Answer::Raw(Vec::new()));
    // Without an answer of its own, the third one is not found: it has just ended.
    let running = Running::start(&docker, Enabled::On);
    running.wait_for_current(3).await;
    let entries = running.recorder.entries();
    let labels = |digit| match entries.get(&Key::Container(id(digit).into())) {
        Some(Target::Entity(entity)) => entity.metadata.labels.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(['1', '2', '4'].map(labels), [3, 2, 2], "the others are as in the listing");
    let leads =
        |digit: char| entries.contains_key(&Key::Address(format!("172.17.0.{digit}").parse().expect("an address")));
    assert_eq!(['1', '2', '3', '4'].map(leads), [true, true, false, true]);
    assert_eq!(["docker_answer", "docker_closed", "docker_status"].map(|reason| running.incidents(reason)), [1, 1, 0]);
    running.stop().await;
}

#[tokio::test]
async fn events_change_containers() {
    let docker = FakeDocker::start();
    docker.answer("/containers/json", Answer::Json(json!([])));
    let running = Running::start(&docker, Enabled::On);
    running.wait_for_current(0).await;
    let event = |action: &str, digit| json!({"Type": "container", "Action": action, "Actor": {"ID": id(digit)}});
    // Known before its start, without an answer.
    docker.event(&event("create", '1')).await;
    let key = Key::Container(id('1').into());
    running.wait("created", |recorder| recorder.entries().contains_key(&key)).await;
    docker.answer(&format!("/containers/{}/json", id('1')), details('1'));
    docker.event(&event("start", '1')).await;
    running.wait_for_current(1).await;
    docker.event(&event("exec_start: true", '1')).await;
    docker.forget(&format!("/containers/{}/json", id('1')));
    docker.event(&event("die", '1')).await;
    docker.event(&event("destroy", '1')).await;
    running.wait_for_current(0).await;
    let left: Vec<_> = running.recorder.entries().into_keys().collect();
    assert_eq!(left, [Key::Container(id('1').into())], "for its last flows");
    running.stop().await;
}

#[tokio::test]
async fn broken_stream_of_events_reconnects() {
    for (name, bytes, reason) in [
        ("no JSON", b"<html>\n".to_vec(), "docker_answer"),
        ("an endless line", vec![b' '; 300 << 10], "docker_too_large"),
    ] {
        let docker = FakeDocker::start();
        docker.answer("/containers/json", Answer::Json(json!([summary('1')])));
        docker.answer(&format!("/containers/{}/json", id('1')), details('1'));
        let running = Running::start(&docker, Enabled::Auto);
        running.wait_for_current(1).await;
        docker.event_bytes(&bytes).await;
        running.wait(name, |recorder| recorder.replacements() >= 2).await;
        assert_eq!(running.incidents(reason), 1, "{name}");
        let was_stale = |(condition, n): &(Condition, usize)| matches!(condition, Condition::Stale { .. }) && *n == 1;
        assert!(running.recorder.conditions().iter().any(was_stale), "{name}");
        running.stop().await;
    }
}

#[tokio::test]
async fn lost_server_leaves_stale_state() {
    let mut docker = FakeDocker::start();
    docker.answer("/containers/json", Answer::Json(json!([summary('1')])));
    docker.answer(&format!("/containers/{}/json", id('1')), details('1'));
    let running = Running::start(&docker, Enabled::Auto);
    running.wait_for_current(1).await;
    let before = running.recorder.entries();
    docker.stop();
    let is_stale = |recorder: &EntryRecorder| matches!(recorder.condition(), Some((Condition::Stale { .. }, 1)));
    running.wait("stale", is_stale).await;
    running.wait("refused", |_| running.incidents("docker_connect") > 0).await;
    assert_eq!(running.recorder.entries(), before, "the last state stays");
    docker.restart();
    docker.answer("/containers/json", Answer::Json(json!([])));
    running.wait_for_current(0).await;
    assert!(running.recorder.entries().is_empty());
    assert_eq!(running.recorder.replacements(), 2);
    running.stop().await;
}

#[tokio::test]
async fn missing_socket_fails_only_if_enabled() {
    for (enabled, is_failure) in [(Enabled::Auto, false), (Enabled::On, true)] {
        let mut docker = FakeDocker::start();
        docker.answer("/containers/json", Answer::Json(json!([])));
        docker.stop();
        let running = Running::start(&docker, enabled);
        let is_reported = |recorder: &EntryRecorder| match recorder.condition() {
            Some((Condition::Unavailable(_), 0)) => !is_failure,
            Some((Condition::Connecting(Some(_)), 0)) => is_failure,
            _ => false,
        };
        running.wait(enabled.name(), is_reported).await;
        assert_eq!(running.incidents("docker_connect") > 0, is_failure, "{enabled}");
        docker.restart();
        running.wait_for_current(0).await;
        running.stop().await;
    }
}

#[test]
fn provider_can_be_off() {
    let config = Docker { enabled: Enabled::Off, ..Docker::default() };
    assert!(DockerProvider::new(&config, Arc::<EntryRecorder>::default(), &Telemetry::default()).is_none());
}
