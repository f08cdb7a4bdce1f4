//! Sockets of the node's own processes: their flows and drops are named by unit, or by process where there is no unit.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use eyepiece_flow::control_group::Owner;
use eyepiece_tests::eyepiece::binary;
use eyepiece_tests::namespace::run_command;
use eyepiece_tests::receiver::Received;
use eyepiece_tests::{Background, ControlGroup, Lab, Watch, eventually, skip};

/// How long a process may take to listen, and an event to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the server listens that is there before the product.
const EARLY: u16 = 7101;
/// Where the server listens that starts later.
const LATE: u16 = 7102;
/// Where the outside listens.
const OUTSIDE: u16 = 7103;
/// Dropped as it leaves the node.
const FORBIDDEN: u16 = 7104;
/// Of datagrams.
const DATAGRAMS: u16 = 7105;

/// A process of the node.
struct Actor<'a> {
    lab: &'a Lab,
    folder: &'a Path,
    /// The name of its program: begins with `busybox`, or else busybox takes it for the name of an applet.
    program: &'static str,
    group: Option<&'a ControlGroup>,
}

impl Actor<'_> {
    fn start(&self, arguments: &str) -> Result<Background> {
        let path = self.folder.join(self.program);
        if !path.exists() {
            symlink("/bin/busybox", &path)?;
        }
        let mut command = self.lab.node().command(path);
        command.args(arguments.split(' '));
        if let Some(group) = self.group {
            group.hold(&mut command)?;
        }
        Background::spawn(&mut command)
    }

    /// Starts a server that sends back what it gets, and waits until it listens.
    fn listen(&self, port: u16) -> Result<Background> {
        let server = self.start(&format!("nc -ll -p {port} -e /bin/cat"))?;
        let wanted = format!(":{port:04X} ");
        let is_listening = || {
            let tables = ["tcp", "tcp6"].map(|table| self.lab.node().exec(&format!("cat /proc/net/{table}")));
            let mut lines = tables.iter().flatten().flat_map(|text| text.lines());
            lines.any(|line| line.contains(&wanted) && line.contains(" 0A ")).then_some(())
        };
        eventually(PATIENCE, "a server", is_listening).with_context(|| server.stderr())?;
        Ok(server)
    }
}

/// Talks with a server of the node from outside.
fn talk(lab: &Lab, port: u16) -> Result<()> {
    let outside = lab.outside();
    let mut stream = outside.namespace.run(|| TcpStream::connect((outside.gateway4, port)))?;
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"hello", "{answer:?}");
    Ok(())
}

/// The names and numbers of processes that an end has in the records of a port.
fn ends(received: &Received, end: &str, verdict: &str, port: u16) -> Vec<(String, String)> {
    let port = port.to_string();
    let wanted = [("hubble.verdict", verdict), ("destination.port", port.as_str())];
    let of = |attribute: &str, log: &eyepiece_tests::receiver::Log| {
        log.attributes.get(attribute).cloned().unwrap_or_default()
    };
    let (name, number) = (format!("hubble.{end}.name"), format!("{end}.process.pid"));
    let mut found: Vec<_> = received.logs_with(&wanted).map(|log| (of(&name, log), of(&number, log))).collect();
    found.sort();
    found.dedup();
    found
}

/// Makes flows and drops of a client and two servers of the node, and compares the names at their ends: those of the units
/// that have the groups, or of the processes.
fn check(groups: Option<&[ControlGroup; 3]>, by_unit: bool) -> Result<()> {
    let (lab, folder) = (Lab::new()?, tempfile::tempdir()?);
    let actor = |place: usize, program| Actor {
        lab: &lab,
        folder: folder.path(),
        program,
        group: groups.map(|groups| &groups[place]),
    };
    let (early, late, client) = (actor(0, "busybox-early"), actor(1, "busybox-late"), actor(2, "busybox-client"));
    let early_server = early.listen(EARLY)?;
    let socket = format!("unix://{}", folder.path().join("hubble.sock").display());
    let watch = Watch::start(&lab, &[("hubble.listen", &format!("[\"{socket}\"]"))])?;
    let late_server = late.listen(LATE)?;
    let outside = lab.outside();

    talk(&lab, EARLY)?;
    talk(&lab, LATE)?;
    let listener = outside.namespace.run(|| TcpListener::bind((outside.v4, OUTSIDE)))?;
    let mut short_lived = client.start(&format!("nc {} {OUTSIDE}", outside.v4))?;
    listener.accept()?.0.write_all(b"bye")?;
    ensure!(short_lived.wait(PATIENCE)?.success(), "{}", short_lived.stderr());
    if let Some(groups) = groups.filter(|_| by_unit) {
        let mut shell = lab.node().command("bash");
        shell.args(["-c", &format!("echo hello > /dev/udp/{}/{DATAGRAMS}", outside.v4)]);
        run_command(groups[2].hold(&mut shell)?, "")?;
    }

    lab.node().nft(&format!(
        "table inet own {{ chain out {{ type filter hook output priority 0; tcp dport {FORBIDDEN} drop; }}; \
         chain in {{ type filter hook input priority 0; tcp dport {{ {EARLY}, {LATE} }} drop; }}; }}"
    ))?;
    let forbidden = client.start(&format!("nc -w 1 {} {FORBIDDEN}", outside.v4))?;
    for port in [EARLY, LATE] {
        let address = SocketAddr::new(outside.gateway4.into(), port);
        let timeout = Duration::from_millis(500);
        ensure!(outside.namespace.run(|| TcpStream::connect_timeout(&address, timeout)).is_err(), "not dropped");
    }
    watch.receiver.wait(PATIENCE, "the drops", |received| {
        let has_drop = |end, port| !ends(received, end, "DROPPED", port).is_empty();
        has_drop("source", FORBIDDEN) && has_drop("destination", EARLY) && has_drop("destination", LATE)
    })?;

    let expected = |process: &Background, program: &str| match by_unit {
        true => (program.replace("busybox-", "") + ".service", String::new()),
        false => (program.to_owned(), process.pid().to_string()),
    };
    let observed = observe(&lab, &socket, &expected(&late_server, late.program).0)?;
    ensure!(observed.contains("DROPPED") && observed.contains("FORWARDED"), "{observed}");
    watch.stop()?.look(|received| {
        for (server, actor, port) in [(&early_server, &early, EARLY), (&late_server, &late, LATE)] {
            let expected = expected(server, actor.program);
            let flows = ends(received, "destination", "FORWARDED", port);
            // The first packet from outside comes before any socket of the server has sent one.
            assert!(flows.contains(&expected), "{port}: {flows:?}");
            assert!(flows.iter().all(|end| *end == expected || end.0 == "host"), "{port}: {flows:?}");
            assert_eq!(ends(received, "destination", "DROPPED", port), [expected], "{port}");
        }
        let of_client = |process: &Background| vec![expected(process, client.program)];
        assert_eq!(ends(received, "source", "FORWARDED", OUTSIDE), of_client(&short_lived));
        assert_eq!(ends(received, "source", "DROPPED", FORBIDDEN), of_client(&forbidden));
        if by_unit {
            assert_eq!(ends(received, "source", "FORWARDED", DATAGRAMS), of_client(&short_lived));
        }
    });
    Ok(())
}

/// Returns the output of `eyepiece observe` for the flows of a name, as of a pod.
fn observe(lab: &Lab, server: &str, name: &str) -> Result<String> {
    let mut command = lab.node().command(binary()?);
    command.args(["observe", "--server", server, "--all", "--pod", &format!("host/{name}")]);
    run_command(&mut command, "")
}

/// Groups for the three processes, below folders of this test.
fn groups(paths: [String; 3]) -> Result<[ControlGroup; 3]> {
    let own = std::process::id().to_string();
    let [early, late, client] = paths.map(|path| ControlGroup::unified(path.replace("PID", &own)));
    Ok([early?, late?, client?])
}

#[test]
fn host_sockets_are_named_by_unit() -> Result<()> {
    match groups(["early", "late", "client"].map(|name| format!("eyepiece-PID.slice/{name}.service"))) {
        Ok(groups) => check(Some(&groups), true),
        Err(error) => skip!("{error:#}"),
    }
}

#[test]
fn host_sockets_are_named_by_process() -> Result<()> {
    // Where all processes are in units, as with cgroup v2 alone, these are in groups that are none.
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    if Owner::of_process(&own) == Owner::Other {
        return check(None, false);
    }
    match groups(["early", "late", "client"].map(|name| format!("eyepiece-PID/{name}"))) {
        Ok(groups) => check(Some(&groups), false),
        Err(error) => skip!("{error:#}"),
    }
}
