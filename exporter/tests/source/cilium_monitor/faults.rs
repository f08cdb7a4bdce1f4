//! Every way that a connection can fail or end: it is logged, counted, and made anew.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use eyepiece::source::cilium_monitor::{STALL, connection};

use super::scripted::{Reader, Seen, Server, connected, descriptor, raw, sample, send, served};

/// A new connection works: other type ids are no matter.
fn works(reader: &mut Reader, server: &Server, mark: u8) -> UnixStream {
    let mut stream = server.accept(reader);
    // As Go up to 1.25 numbers the first type: 65 instead of 64.
    let mut other = descriptor();
    let at = |bytes: &[u8], found: &[u8]| bytes.windows(found.len()).position(|window| window == found);
    let id = at(&other, &[0x01, 0xff, 0x80]).expect("the id in its descriptor");
    other[id + 2] = 0x82;
    // −65 does not fit into one byte any more.
    let defined = at(&other, &[0x7f]).expect("the id that is defined");
    other.splice(defined..=defined, [0xff, 0x81]);
    other[0] += 1;
    let mut value = sample(2, &[mark]);
    let id = at(&value, &[0xff, 0x80]).expect("the value's id");
    value[id + 1] = 0x82;
    send(&mut stream, &[other, value]);
    reader.until("an event", |reader| reader.seen.last() == Some(&raw(2, &[mark])));
    reader.seen.clear();
    stream
}

#[test]
fn late_agent_is_found() {
    let mut reader = Reader::start_at("run/cilium/m.sock", STALL);
    reader.until_reason(Some("not_there"));
    std::fs::create_dir_all(reader.path.parent().expect("a folder")).expect("the folder");
    reader.until("another attempt", |reader| reader.number("eyepiece.source.attempts", Some("not_there")) > 2);
    let server = Server::at(&reader.path);
    works(&mut reader, &server, 1);
    assert_eq!(reader.number("eyepiece.source.interruptions", None), 0);
}

#[test]
fn close_between_messages_reconnects() {
    let (mut reader, server) = served();
    for round in 0..20 {
        drop(works(&mut reader, &server, round));
        reader.until("an end", |reader| {
            reader.number("eyepiece.source.interruptions", Some("closed")) == u64::from(round) + 1
        });
        assert!(reader.seen.is_empty(), "nothing was cut, so nothing is known to be lost: {:?}", reader.seen);
    }
    assert_eq!(reader.controls.view.get().interruptions, 20);
    assert_eq!(reader.number("eyepiece.source.discarded", None), 0);
}

#[test]
fn close_within_message_reconnects() {
    let (mut reader, server) = served();
    let whole = sample(1, &[9; 300]);
    for cut in 1..whole.len() {
        let mut stream = server.accept(&mut reader);
        send(&mut stream, &[descriptor(), sample(1, &[8]), whole[..cut].to_vec()]);
        drop(stream);
        assert_eq!(reader.take(2), [raw(1, &[8]), Seen::Lost(None, 1)], "cut at {cut}");
    }
    let cut: usize = (1..whole.len()).sum();
    assert_eq!(reader.number("eyepiece.source.discarded", Some("closed")), cut as u64);
    works(&mut reader, &server, 1);
}

#[test]
fn reset_connection_reconnects() {
    let (mut reader, server) = served();
    let stream = server.accept(&mut reader);
    // It closes with unread bytes in its queue: the kernel resets.
    drop(stream);
    reader.until("an end", |reader| reader.number("eyepiece.source.interruptions", None) == 1);
    works(&mut reader, &server, 1);
}

#[test]
fn garbage_reconnects_without_loss_count() {
    let (mut reader, server) = served();
    let mut random = fastrand::Rng::with_seed(7);
    // Few: the source reconnects to a sender of garbage after growing pauses.
    let mut garbage: Vec<Vec<u8>> = (0..3).map(|_| (0..200).map(|_| random.u8(..)).collect()).collect();
    garbage.push(b"\x02HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    garbage.push([descriptor(), descriptor()].concat());
    garbage.push(sample(1, &[1]));
    let count = garbage.len() as u64;
    for bytes in garbage {
        let mut stream = server.accept(&mut reader);
        send(&mut stream, &[bytes]);
        drop(stream);
        reader.until("an end", |reader| reader.controls.view.get().reason.is_some());
    }
    let garbage = reader.number("eyepiece.source.interruptions", Some("garbage"))
        + reader.number("eyepiece.source.interruptions", Some("message_too_long"));
    assert!(garbage >= count / 2, "{garbage} of {count}");
    assert!(!reader.seen.iter().any(|seen| matches!(seen, Seen::Raw(..))), "{:?}", reader.seen);
    reader.seen.clear();
    works(&mut reader, &server, 1);
}

#[test]
fn message_before_garbage_is_delivered() {
    let (mut reader, _server, mut stream) = connected();
    send(&mut stream, &[descriptor(), sample(1, &[1]), vec![2, 4, 0], sample(1, &[2])]);
    assert_eq!(reader.take(1), [raw(1, &[1])]);
    reader.until_reason(Some("garbage"));
    assert!(reader.seen.is_empty());
}

#[test]
fn wrong_lengths_end_connection() {
    let (mut reader, server) = served();
    // 2^63 bytes; 16 MiB; an empty message, which is not too long.
    for (length, reason) in [
        (&[0xf8, 0x80, 0, 0, 0, 0, 0, 0, 0][..], "message_too_long"),
        (&[0xfd, 0xff, 0xff, 0xff], "message_too_long"),
        (&[0], "garbage"),
    ] {
        let mut stream = server.accept(&mut reader);
        send(&mut stream, &[descriptor(), length.to_vec()]);
        reader.until_reason(Some(reason));
    }
    assert_eq!(reader.number("eyepiece.source.interruptions", Some("message_too_long")), 2);
    assert_eq!(reader.number("eyepiece.source.interruptions", Some("garbage")), 1);
    // A length that is larger than what follows looks like a hanging agent.
    works(&mut reader, &server, 1);
}

#[test]
fn agent_hanging_within_message_is_left() {
    let mut reader = Reader::start_at("m.sock", Duration::from_millis(50));
    let server = Server::at(&reader.path);
    let mut hanging = server.accept(&mut reader);
    send(&mut hanging, &[descriptor(), sample(1, &[1]), sample(1, &[2; 50])[..20].to_vec()]);
    assert_eq!(reader.take(2), [raw(1, &[1]), Seen::Lost(None, 1)]);
    assert_eq!(reader.number("eyepiece.source.interruptions", Some("stalled")), 1);
    works(&mut reader, &server, 2);
}

#[test]
fn idle_agent_stays_connected() {
    let mut reader = Reader::start_at("m.sock", Duration::from_millis(1));
    let server = Server::at(&reader.path);
    let mut quiet = server.accept(&mut reader);
    for _ in 0..20 {
        reader.read(Duration::from_millis(2));
    }
    send(&mut quiet, &[descriptor(), sample(1, &[1])]);
    assert_eq!(reader.take(1), [raw(1, &[1])]);
    assert_eq!(reader.number("eyepiece.source.interruptions", None), 0);
}

#[test]
fn path_of_new_agent_is_followed() {
    let mut reader = Reader::start();
    let first = Server::at(&reader.path);
    let mut old = works(&mut reader, &first, 1);
    // The old agent sends a last message, and stays connected.
    send(
        &mut old,
        &[sample(1, &[2])].map(|mut value| {
            let id = value.windows(2).position(|window| window == [0xff, 0x80]).expect("the id");
            value[id + 1] = 0x82;
            value
        }),
    );
    std::fs::remove_file(&reader.path).expect("remove");
    let second = Server::at(&reader.path);
    reader.until("the replacement", |reader| reader.number("eyepiece.source.interruptions", Some("replaced")) == 1);
    assert_eq!(reader.seen, [raw(1, &[2])], "what had arrived is taken before");
    reader.seen.clear();
    works(&mut reader, &second, 3);
    drop(old);
}

#[test]
fn stale_path_is_retried() {
    let mut reader = Reader::start();
    drop(Server::at(&reader.path));
    reader.until_reason(Some("refused"));
    std::fs::remove_file(&reader.path).expect("remove");
    let server = Server::at(&reader.path);
    works(&mut reader, &server, 1);
}

#[test]
fn full_backlog_does_not_block() {
    let (mut reader, server) = served();
    let mut waiting = Vec::new();
    // std's listeners queue 4096 at most, the kernel's limit may be lower: fill it.
    for _ in 0..5000 {
        let address = connection::address(&reader.path).expect("an address");
        match connection::connect(&address) {
            Ok(stream) => waiting.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
                break;
            }
        }
    }
    reader.until_reason(Some("busy"));
    drop(waiting);
    drop(server);
    std::fs::remove_file(&reader.path).expect("remove");
    let server = Server::at(&reader.path);
    works(&mut reader, &server, 1);
}

#[test]
fn forbidden_path_is_logged() {
    let (mut reader, server) = served();
    std::fs::set_permissions(&reader.path, std::fs::Permissions::from_mode(0o000)).expect("mode");
    if UnixStream::connect(&reader.path).is_ok() {
        // Root may use every path; the file's kind is refused to everybody.
        drop(server);
        std::fs::remove_file(&reader.path).expect("remove");
        std::fs::write(&reader.path, "no socket").expect("a file");
        reader.until("an end", |reader| reader.number("eyepiece.source.attempts", None) > 0);
        std::fs::remove_file(&reader.path).expect("remove");
        let server = Server::at(&reader.path);
        works(&mut reader, &server, 1);
        return;
    }
    reader.until_reason(Some("permission_denied"));
    std::fs::set_permissions(&reader.path, std::fs::Permissions::from_mode(0o600)).expect("mode");
    works(&mut reader, &server, 1);
}
