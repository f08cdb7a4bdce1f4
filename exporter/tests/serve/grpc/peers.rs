//! The Peer service over a socket: a file that changes, names that lead elsewhere, several streams.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use eyepiece::serve::peer::Resolve;
use eyepiece::services::peer::peer_client::PeerClient;
use eyepiece_hubble::proto::peer::{ChangeNotification, NotifyRequest};
use tokio::time::timeout;
use tonic::Streaming;

use super::support::{Server, Setup, TIMEOUT, unix};

async fn notify(server: &Server) -> Streaming<ChangeNotification> {
    PeerClient::new(server.channel().await).notify(NotifyRequest {}).await.unwrap().into_inner()
}

/// The next change and its peer.
async fn next(stream: &mut Streaming<ChangeNotification>) -> String {
    let change = timeout(TIMEOUT, stream.message()).await.expect("a change").unwrap().unwrap();
    format!("{} {} {}", ["?", "+", "-", "~"][change.r#type as usize], change.name, change.address)
}

/// Replaces a file as editors and configuration managers do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn changed_peers_file_is_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers");
    let server = Setup { peers_file: Some(path.clone()), ..Setup::default() }.start().await;
    let us = format!("us {}", server.tcp());
    assert_eq!(server.number("peer.incidents", "file"), 1, "it is not there yet");
    let mut stream = notify(&server).await;
    assert_eq!(next(&mut stream).await, format!("+ {us}"));
    replace(&path, "b=10.0.0.2:1\nc=10.0.0.3:1\n");
    assert_eq!(next(&mut stream).await, "+ b 10.0.0.2:1");
    assert_eq!(next(&mut stream).await, "+ c 10.0.0.3:1");
    // Nothing of a file with a mistake counts.
    replace(&path, "b=10.9.9.9:1\nwhat\n");
    server.until("peer.incidents", "file", 2).await;
    replace(&path, "# c is called d now\nb=10.0.0.2:2\nd=10.0.0.3:1\n");
    for expected in ["- c 10.0.0.3:1", "~ b 10.0.0.2:2", "+ d 10.0.0.3:1"] {
        assert_eq!(next(&mut stream).await, expected);
    }
    // A file that is gone is a mistake, not an empty list.
    std::fs::remove_file(&path).unwrap();
    server.until("peer.incidents", "file", 3).await;
    let mut late = notify(&server).await;
    for expected in [&format!("+ {us}"), "+ b 10.0.0.2:2", "+ d 10.0.0.3:1"] {
        assert_eq!(next(&mut late).await, *expected);
    }
    replace(&path, "");
    for stream in [&mut stream, &mut late] {
        assert_eq!(next(stream).await, "- b 10.0.0.2:2");
        assert_eq!(next(stream).await, "- d 10.0.0.3:1");
    }
    server.until("peer.active", "", 1).await;
}

type Answers = Arc<Mutex<BTreeMap<String, Vec<SocketAddr>>>>;

/// A resolver with scripted answers; a name without an answer fails.
fn scripted(answers: &Answers) -> Resolve {
    let answers = Arc::clone(answers);
    Arc::new(move |domain| {
        let found = answers.lock().unwrap().get(&domain.host).cloned();
        Box::pin(async move { found.ok_or_else(|| std::io::ErrorKind::NotFound.into()) })
    })
}

#[tokio::test]
async fn changed_name_notifies_peers() {
    let answers = Answers::default();
    let set = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        answers.lock().unwrap().insert("nodes.example".to_owned(), addresses);
    };
    set(&["10.0.0.2:4244", "[fd00::2]:4244"]);
    let domains = vec!["nodes.example".to_owned()];
    let server = Setup { domains, resolve: scripted(&answers), ..Setup::default() }.start().await;
    server.until("peer.active", "", 2).await;
    let mut stream = notify(&server).await;
    assert_eq!(next(&mut stream).await, format!("+ us {}", server.tcp()));
    assert_eq!(next(&mut stream).await, "+ 10.0.0.2 10.0.0.2:4244", "one node, by IPv4");
    // Ourselves among them.
    set(&["10.0.0.2:4244", "10.0.0.3:4244", &server.tcp().to_string()]);
    assert_eq!(next(&mut stream).await, "+ 10.0.0.3 10.0.0.3:4244");
    // An unreachable name server removes no peer.
    answers.lock().unwrap().clear();
    while server.number("peer.incidents", "dns") == 0 {
        tokio::task::yield_now().await;
    }
    set(&["[fd00::4]:4244"]);
    for expected in ["- 10.0.0.2 10.0.0.2:4244", "- 10.0.0.3 10.0.0.3:4244", "+ fd00::4 [fd00::4]:4244"] {
        assert_eq!(next(&mut stream).await, expected);
    }
}

/// The machine's own resolver: `localhost` is in every /etc/hosts.
#[tokio::test]
async fn system_resolver_answers_peer_name() {
    let server = Setup { domains: vec!["localhost:9".to_owned()], ..Setup::default() }.start().await;
    server.until("peer.active", "", 2).await;
    let mut stream = notify(&server).await;
    assert_eq!(next(&mut stream).await, format!("+ us {}", server.tcp()));
    assert_eq!(next(&mut stream).await, "+ 127.0.0.1 127.0.0.1:9");
}

#[tokio::test]
async fn unix_socket_alone_is_peer_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubble.sock");
    let _server = Setup { listen: vec![unix(&path)], ..Setup::default() }.start().await;
    let url = format!("unix://{}", path.display());
    let channel = super::support::connect(&url, None).await.unwrap();
    let mut stream = PeerClient::new(channel).notify(NotifyRequest {}).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, format!("+ us {url}"));
}
