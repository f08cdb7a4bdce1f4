//! Checks mistakes of real clients of Hubble's API: each gets a clear error, and eyepiece continues to serve.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::harness::load::call;
use eyepiece_tests::hubble::Printed;
use eyepiece_tests::{Background, Fed, Hubble, Pki, eventually, harness, hubble, needs_peers, peer};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Timeout of expected events.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The product's address in its namespace besides its unix socket.
const ADDRESS: &str = "127.0.0.1:4244";
/// The name in its certificate.
const NAME: &str = "fed.default.hubble-grpc.cilium.io";
/// The peer that lists and calls what a server has.
const GRPCURL: &str = "grpcurl";

fn run(command: &mut Command) -> Result<Printed> {
    let mut process = Background::spawn(command)?;
    let code = process.wait(TIMEOUT)?.code();
    Ok(Printed { stdout: process.stdout(), stderr: process.stderr(), code })
}

fn grpcurl(fed: &Fed, arguments: &[&str]) -> Result<Printed> {
    let program = peer::find(GRPCURL).map_err(anyhow::Error::msg)?;
    run(fed.home.command(program).args(["-max-time", "20"]).args(arguments))
}

#[test]
fn grpcurl_needs_nothing_but_reflection() -> Result<()> {
    needs_peers!(harness::NAME, hubble::NAME, GRPCURL);
    let mut fed = Fed::start("reflect", &format!(", \"{ADDRESS}\"]"))?;
    fed.send(10)?;
    let ask = |arguments: &[&str]| grpcurl(&fed, &[&["-plaintext", ADDRESS], arguments].concat());
    let listed = ask(&["list"])?;
    let services: Vec<&str> = listed.ok()?.lines().collect();
    for service in ["grpc.health.v1.Health", "observer.Observer", "peer.Peer"] {
        ensure!(services.contains(&service), "no {service}: {services:?}");
    }
    ensure!(services.iter().any(|name| name.ends_with(".ServerReflection")), "{services:?}");
    let described = ask(&["describe", "observer.Observer"])?;
    for rpc in [
        "rpc GetFlows ( .observer.GetFlowsRequest ) returns ( stream .observer.GetFlowsResponse );",
        "rpc GetAgentEvents (",
        "rpc GetDebugEvents (",
        "rpc GetNodes (",
        "rpc GetNamespaces (",
        "rpc ServerStatus (",
    ] {
        ensure!(described.ok()?.contains(rpc), "no {rpc}: {described:?}");
    }
    let message = ask(&["describe", "flow.Flow"])?;
    ensure!(message.ok()?.contains("string uuid = 34;"), "{message:?}");
    // The arguments of grpcurl come before the address, those of the call after it.
    let called = |data: &str, method: &str| grpcurl(&fed, &["-plaintext", "-d", data, ADDRESS, method]);
    let status: Value = serde_json::from_str(called("{}", "observer.Observer/ServerStatus")?.ok()?)?;
    ensure!(status["maxFlows"] == "4095" && status["numFlows"] == "10" && status["seenFlows"] == "10", "{status}");
    let flows = called("{\"number\": 3}", "observer.Observer/GetFlows")?;
    let found = serde_json::Deserializer::from_str(flows.ok()?).into_iter::<Value>().collect::<Result<Vec<_>, _>>()?;
    let is_sent = |line: &Value| line["flow"]["IP"]["source"] == "10.9.1.1" && line["nodeName"] == "fed";
    ensure!(found.len() == 3 && found.iter().all(is_sent), "{found:?}");
    let health: Value = serde_json::from_str(
        called("{\"service\": \"hubble.server.Observer\"}", "grpc.health.v1.Health/Check")?.ok()?,
    )?;
    ensure!(health["status"] == "SERVING", "{health}");
    let unknown = called("{\"service\": \"nothing\"}", "grpc.health.v1.Health/Check")?;
    ensure!(unknown.code != Some(0) && unknown.stderr.contains("NotFound"), "{unknown:?}");
    ensure!(fed.eyepiece.stop()? == 0, "{}", fed.eyepiece.stderr());
    Ok(())
}

#[test]
fn wrong_calls_are_answered_with_reason() {
    needs_peers!(harness::NAME, hubble::NAME, GRPCURL);
    let mut fed = Fed::start("wrong", "]").expect("a server");
    fed.send(10).expect("events");
    let status = "/observer.Observer/ServerStatus";
    // Method, message, size of an unknown field, the code, what its text has.
    for (method, message, size, code, text) in [
        ("/observer.Observer/Nothing", &[][..], 0, "Unimplemented", ""),
        ("/no.such.Service/Nothing", &[], 0, "Unimplemented", ""),
        ("/observer.Observer/GetNodes", &[], 0, "Unimplemented", "not implemented"),
        ("/recorder.Recorder/Record", &[], 0, "Unimplemented", ""),
        (status, &[], 5_000_000, "OutOfRange", "too large"),
        (status, &[], 4_000_000, "OK", ""),
        ("/observer.Observer/GetFlows", b"\xff\xff", 0, "Internal", ""),
        // first and follow.
        (
            "/observer.Observer/GetFlows",
            b"\x18\x01\x48\x01",
            0,
            "InvalidArgument",
            "first cannot be specified with follow",
        ),
        // A filter of an address that is none.
        ("/observer.Observer/GetFlows", b"\x32\x04\x0a\x02no", 0, "Unknown", "no"),
    ] {
        let size = format!("-size={size}");
        let further: &[&str] = if size == "-size=0" { &[] } else { &[&size] };
        let called = call(fed.socket(), method, message, further).expect("an answer");
        assert!(called.code == code && called.message.contains(text), "{method} {message:?} {size}: {called:?}");
        let after = call(fed.socket(), status, &[], &[]).expect("an answer");
        assert_eq!((after.code.as_str(), after.responses.len()), ("OK", 1), "behind {method}");
    }
    assert_eq!(fed.eyepiece.stop().expect("an end"), 0, "{}", fed.eyepiece.stderr());
}

#[test]
fn failed_handshakes_are_logged_and_counted() -> Result<()> {
    needs_peers!(harness::NAME, hubble::NAME, GRPCURL);
    let (pki, strangers) = (Pki::new()?, Pki::new()?);
    let pair = pki.sign(&[NAME])?;
    let mut fed =
        Fed::start("hands", &format!(", \"{ADDRESS}\"]\ntls.cert = \"{}\"\ntls.key = \"{}\"\n", pair.cert, pair.key))?;
    fed.send(10)?;
    let (ca, strange) = (pki.ca(), strangers.ca());
    let good = ["-cacert", &ca, "-servername", NAME, ADDRESS, "list"];
    let refused = |fed: &Fed| fed.eyepiece.number("eyepiece.hubble.refused", &[]);
    let curl = |version: &[&str]| {
        let resolve = format!("{NAME}:4244:127.0.0.1");
        let url = format!("https://{NAME}:4244/");
        let flags =
            ["--silent", "--show-error", "--http2", "--cacert", &ca, "--resolve", &resolve, "--output", "/dev/null"];
        run(fed.home.command("curl").args(flags).args(version).arg(url))
    };
    ensure!(grpcurl(&fed, &good)?.ok()?.contains("observer.Observer"));
    // TLS 1.3 and HTTP/2, but no gRPC: an answer.
    let answer = curl(&["--tlsv1.3"])?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let other = ["-cacert", &ca, "-servername", "other.default.hubble-grpc.cilium.io", ADDRESS, "list"];
    let rows: [(&str, Result<Printed>, &str); 4] = [
        ("plaintext", grpcurl(&fed, &["-plaintext", "-connect-timeout", "3", ADDRESS, "list"]), "Failed to"),
        (
            "an authority that the client does not know",
            grpcurl(&fed, &["-cacert", &strange, "-servername", NAME, ADDRESS, "list"]),
            "unknown authority",
        ),
        ("another name", grpcurl(&fed, &other), "certificate is valid for"),
        ("TLS 1.2", curl(&["--tls-max", "1.2"]), "alert protocol version"),
    ];
    for (name, printed, text) in rows {
        let printed = printed.context(name)?;
        ensure!(printed.code != Some(0) && printed.stderr.contains(text), "{name}: {printed:?}");
    }
    // Bytes of nothing that is known.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"\x16\x03\x01\xff\xff"] {
        let mut stream = fed.home.run(|| TcpStream::connect(ADDRESS))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        // It may be closed before all is written.
        let written = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let read = stream.read_to_end(&mut Vec::new());
        println!("{:?}: {written:?}, {read:?}", bytes.first());
    }
    eventually(TIMEOUT, "failed handshakes that are counted", || (refused(&fed).ok()? >= 5).then_some(()))
        .with_context(|| format!("{:?}\n{:#}", refused(&fed), fed.eyepiece.status().unwrap_or_default()["samples"]))?;
    ensure!(grpcurl(&fed, &good)?.ok()?.contains("observer.Observer"));
    // Who comes over the unix socket notices nothing.
    let status = fed.hubble()?.run(&["status"])?;
    ensure!(status.ok()?.contains("Current/Max Flows: 10/4,095"), "{status:?}");
    ensure!(fed.eyepiece.stop()? == 0, "{}", fed.eyepiece.stderr());
    Ok(())
}

/// Events that a stopped client does not take.
const FLOOD: u64 = 100_000;
/// KiB that eyepiece may grow by while a client is stopped and the ring fills with [`FLOOD`] events: the ring's 4,095
/// flows (some KiB each with what they carry), 64 KiB that wait in the stream, and what an allocator keeps.
const GROWTH: u64 = 40 << 10;

fn lines(text: &str) -> u64 {
    text.lines().filter(|line| line.contains("\"flow\"")).count() as u64
}

/// Losses that the CLI prints with --debug: it has no other form for them.
fn losses(text: &str) -> u64 {
    let of_ring = text.lines().filter(|line| line.contains("HUBBLE_RING_BUFFER"));
    let count = |line: &str| -> Option<u64> {
        let (_, rest) = line.split_once("num_events_lost:")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    of_ring.filter_map(count).sum()
}

#[test]
fn stopped_cli_gets_loss_count() -> Result<()> {
    needs_peers!(harness::NAME, hubble::NAME, GRPCURL);
    let mut fed = Fed::start("stopped", "]")?;
    let hubble = fed.hubble()?;
    let follower = start_following(&mut fed, &hubble)?;
    // It began with an event before those that it has shown.
    let before = fed.sent() - lines(&follower.stdout());
    // A round fills the ring, so that what the ring holds is no growth.
    fed.send(10_000)?;
    let whole = |process: &Background| before + lines(&process.stdout()) + losses(&process.stderr());
    let count = |fed: &Fed, process: &Background| {
        eventually(TIMEOUT, "flows and losses", || (whole(process) == fed.sent()).then_some(()))
            .with_context(|| format!("{} of {}: {}", whole(process), fed.sent(), losses(&process.stderr())))
    };
    count(&fed, &follower)?;
    let (shown, memory) = (lines(&follower.stdout()), fed.eyepiece.process.rss_kib()?);
    follower.signal(Signal::SIGSTOP)?;
    for _ in 0..10 {
        fed.send(FLOOD / 10)?;
    }
    let grown = fed.eyepiece.process.rss_kib()?.saturating_sub(memory);
    println!("{memory} KiB, {grown} KiB more with a client that is stopped, {FLOOD} events");
    ensure!(grown <= GROWTH, "{grown} KiB more");
    // Others are served meanwhile.
    ensure!(hubble.run(&["observe", "--last", "5", "-o", "json"])?.json()?.len() == 5);
    follower.signal(Signal::SIGCONT)?;
    // The loss is reported with the next second's first event, at the latest.
    eventually(TIMEOUT, "what was lost", || (losses(&follower.stderr()) > 0).then_some(()))
        .with_context(|| follower.stderr())?;
    count(&fed, &follower)?;
    let more = lines(&follower.stdout()) - shown;
    println!("{more} flows shown and {} lost of {FLOOD}", losses(&follower.stderr()));
    ensure!((4095..FLOOD / 2).contains(&more), "{more}");
    ensure!(fed.eyepiece.stop()? == 0, "{}", fed.eyepiece.stderr());
    Ok(())
}

/// A follower from the ring's first event on.
fn start_following(fed: &mut Fed, hubble: &Hubble) -> Result<Background> {
    fed.send(5)?;
    let follower = hubble.start(&["observe", "-f", "--since", "1h", "-o", "json", "--debug"])?;
    eventually(TIMEOUT, "the first flows", || (lines(&follower.stdout()) >= 5).then_some(()))
        .with_context(|| follower.stderr())?;
    Ok(follower)
}
