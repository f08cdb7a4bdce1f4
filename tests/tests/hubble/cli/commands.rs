//! Every sub-command over every transport: the unix socket, TCP, TLS, TLS with certificates of clients; and refused clients.

use anyhow::{Result, ensure};
use eyepiece_tests::{Hubble, Pki, harness, hubble, needs_peers};

use super::flow::Flow;
use super::played::{CLUSTER, COUNTS, NODE, Played};
use super::{TIMEOUT, all};

/// The ports of the servers: without TLS, with it, with certificates of clients.
const PORTS: [u16; 3] = [4244, 4245, 4246];
/// The name in the server's certificate.
const SERVER_NAME: &str = "node-2.west.hubble-grpc.cilium.io";

/// The connection to a server.
struct Transport {
    name: &'static str,
    hubble: Hubble,
    /// The name and address of our own peer, as this server reports them.
    peer: String,
}

type Command = (&'static str, fn(&Transport) -> Result<()>);

/// Every sub-command that asks a server.
const COMMANDS: [Command; 8] = [
    ("status", |via| {
        let printed = via.hubble.run(&["status"])?;
        let text = printed.ok()?;
        let events: usize = COUNTS.iter().sum();
        ensure!(text.contains("): Ok") && text.contains(&format!("Current/Max Flows: {events}/4,095")), "{text}");
        Ok(())
    }),
    ("observe", |via| {
        let lines = via.hubble.run(&["observe", "--all", "-o", "json"])?.json()?;
        let node = format!("{CLUSTER}/{NODE}");
        ensure!(lines.len() == COUNTS[0] && lines.iter().all(|line| line["node_name"] == node.as_str()), "{lines:?}");
        Ok(())
    }),
    ("observe flows", |via| {
        let lines = via.hubble.run(&["observe", "flows", "--to-port", "9153", "-o", "json"])?.json()?;
        ensure!(!lines.is_empty() && lines.iter().all(|line| Flow(line).port("destination") == "9153"), "{lines:?}");
        Ok(())
    }),
    ("observe agent-events", |via| {
        let lines = via.hubble.run(&["observe", "agent-events", "--all", "-o", "json"])?.json()?;
        let kinds: Vec<_> = lines.iter().map(|line| line["agent_event"]["type"].as_str()).collect();
        ensure!(kinds == [Some("AGENT_STARTED"), Some("ENDPOINT_DELETED")], "{lines:?}");
        ensure!(lines[1]["agent_event"]["endpoint_update"]["id"] == "106", "{}", lines[1]);
        let last = via.hubble.run(&["observe", "agent-events", "--last", "1", "-o", "json"])?.json()?;
        ensure!(last[..] == lines[1..], "{last:?}");
        let text = via.hubble.run(&["observe", "agent-events", "--all"])?;
        ensure!(text.ok()?.contains("ENDPOINT_DELETED"), "{text:?}");
        Ok(())
    }),
    ("observe debug-events", |via| {
        let lines = via.hubble.run(&["observe", "debug-events", "--all", "-o", "json"])?.json()?;
        let kinds: Vec<_> = lines.iter().map(|line| line["debug_event"]["type"].as_str()).collect();
        ensure!(kinds == [Some("DBG_GENERIC"), Some("DBG_LOCAL_DELIVERY")], "{lines:?}");
        ensure!(
            lines[0]["debug_event"]["arg1"] == 17 && lines[0]["debug_event"]["source"]["ID"] == 105,
            "{}",
            lines[0]
        );
        let text = via.hubble.run(&["observe", "debug-events", "--all"])?;
        ensure!(text.ok()?.contains("DBG_GENERIC"), "{text:?}");
        Ok(())
    }),
    ("list nodes", |via| {
        let printed = via.hubble.run(&["list", "nodes"])?;
        // A node's own answer; upstream's, too.
        ensure!(printed.code == Some(1) && printed.stderr.contains("code = Unimplemented"), "{printed:?}");
        Ok(())
    }),
    ("list namespaces", |via| {
        // A reader of Cilium's monitor knows none: the head alone. Namespaces of another Hubble server are passed on.
        for (form, wanted) in [("table", "NAMESPACE\n"), ("json", "null\n")] {
            let printed = via.hubble.run(&["list", "namespaces", "-o", form])?;
            ensure!(printed.ok()? == wanted, "{printed:?}");
        }
        Ok(())
    }),
    ("watch peers", |via| {
        let mut watching = via.hubble.start(&["watch", "peers"])?;
        let is_notified = || watching.stdout().lines().next().map(str::to_owned);
        let line = eyepiece_tests::eventually(TIMEOUT, "a peer", is_notified)?;
        ensure!(line.split_whitespace().collect::<Vec<_>>().join(" ") == via.peer, "{line:?} is not {:?}", via.peer);
        // A shell makes what it starts in the background ignore SIGINT.
        watching.stop(nix::sys::signal::Signal::SIGTERM, TIMEOUT)?;
        Ok(())
    }),
];

#[test]
fn every_command_over_every_transport() -> Result<()> {
    needs_peers!(harness::NAME, hubble::NAME);
    let (pki, clients, strangers) = (Pki::new()?, Pki::new()?, Pki::new()?);
    let pair = pki.sign(&[SERVER_NAME])?;
    let tls = |port: u16, further: &str| {
        format!(", \"127.0.0.1:{port}\"]\ntls.cert = \"{}\"\ntls.key = \"{}\"\n{further}", pair.cert, pair.key)
    };
    let listen = [
        format!(", \"127.0.0.1:{}\"]", PORTS[0]),
        tls(PORTS[1], ""),
        tls(PORTS[2], &format!("tls.client_ca = \"{}\"\n", clients.ca())),
    ];
    let played = Played::start("transp", &listen.each_ref().map(String::as_str))?;
    let [plain, secure, mutual] = PORTS.map(|port| format!("127.0.0.1:{port}"));
    let (ca, strange_ca) = (pki.ca(), strangers.ca());
    let (own, strange) = (clients.sign(&["client"])?, strangers.sign(&["client"])?);
    let at =
        |server: &str, flags: &[&str]| Ok::<_, anyhow::Error>(Hubble::new(server, Some(&played.home))?.with(flags));
    let trusting = ["--tls-ca-cert-files", &ca, "--tls-server-name", SERVER_NAME];
    let certificate = ["--tls-client-cert-file", &own.cert, "--tls-client-key-file", &own.key];
    let password = ["--basic-auth-username", "me", "--basic-auth-password", "secret"];
    let by_tls = |server: &str| format!("tls://{server}");
    let listed = |port: u16, tls: bool| {
        let tls = if tls { format!(" (TLS.ServerName: {SERVER_NAME})") } else { String::new() };
        format!("PEER_ADDED 127.0.0.1:{port} {CLUSTER}/{NODE}{tls}")
    };
    let transports = [
        ("unix", played.hubbles[0].clone(), listed(PORTS[0], false)),
        ("unix beside TLS", played.hubbles[2].clone(), listed(PORTS[2], true)),
        ("TCP", at(&plain, &["--timeout", "10s"])?, listed(PORTS[0], false)),
        ("TLS", at(&secure, &[&["--tls"], &trusting[..]].concat())?, listed(PORTS[1], true)),
        ("TLS by the address", at(&by_tls(&secure), &trusting)?, listed(PORTS[1], true)),
        ("TLS with a password", at(&secure, &[&["--tls"], &trusting[..], &password].concat())?, listed(PORTS[1], true)),
        ("TLS unchecked", at(&secure, &["--tls", "--tls-allow-insecure"])?, listed(PORTS[1], true)),
        ("mTLS", at(&mutual, &[&["--tls"], &trusting[..], &certificate].concat())?, listed(PORTS[2], true)),
    ];
    let transports = transports.map(|(name, hubble, peer)| Transport { name, hubble, peer });
    let rows = transports.iter().flat_map(|via| COMMANDS.map(|command| (via, command)));
    all(rows.map(|(via, row)| (format!("{} over {}", row.0, via.name), (via, row))), |(via, (_, run))| run(via));

    let strange_pair = ["--tls-client-cert-file", &strange.cert, "--tls-client-key-file", &strange.key];
    let other_name = ["--tls-ca-cert-files", &ca, "--tls-server-name", "other.west.hubble-grpc.cilium.io"];
    let refused = [
        ("plaintext to TLS", at(&secure, &[])?),
        ("TLS to plaintext", at(&plain, &[&["--tls"], &trusting[..]].concat())?),
        ("an authority that it does not know", at(&secure, &["--tls", "--tls-ca-cert-files", &strange_ca])?),
        ("another name", at(&secure, &[&["--tls"], &other_name[..]].concat())?),
        ("no certificate", at(&mutual, &[&["--tls"], &trusting[..]].concat())?),
        ("a certificate of another authority", at(&mutual, &[&["--tls"], &trusting[..], &strange_pair].concat())?),
        ("a socket that is not there", Hubble::new("unix:///nonexistent.sock", None)?),
    ];
    let rows = refused.into_iter().map(|(name, hubble)| (name.to_owned(), hubble.with(&["--timeout", "3s"])));
    all(rows, |hubble| {
        let printed = hubble.run(&["observe", "--all"])?;
        ensure!(printed.code == Some(1) && printed.stdout.is_empty() && !printed.stderr.is_empty(), "{printed:?}");
        Ok(())
    });
    // All of them go on.
    all(transports.iter().map(|via| (via.name.to_owned(), via)), COMMANDS[0].1);
    let _ = &played.folder;
    for mut eyepiece in played.eyepieces {
        ensure!(eyepiece.stop()? == 0, "{}", eyepiece.stderr());
    }
    Ok(())
}
