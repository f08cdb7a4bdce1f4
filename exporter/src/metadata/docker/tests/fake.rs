//! A server on a unix socket with scripted answers, right and wrong ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::task::{AbortHandle, JoinSet};

/// The server's answer to a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Json(Value),
    Status(u16, Value),
    /// A body that is no JSON.
    Text(String),
    /// Anything, and the end of the connection.
    Raw(Vec<u8>),
    /// A body without end.
    Endless,
    /// Headers without end.
    EndlessHeaders,
    /// Nothing, and the connection stays.
    Never,
}

/// The server; it ends with its value.
pub(super) struct FakeDocker {
    folder: TempDir,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    events: broadcast::Sender<Vec<u8>>,
    server: AbortHandle,
}

impl FakeDocker {
    /// Serves a version and events; everything else is not found.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (events, answers) = (broadcast::channel(16).0, Arc::default());
        let server = serve(&folder.path().join("docker.sock"), &answers, &events);
        Self { folder, answers, events, server }
    }

    /// Closes all connections and removes the socket.
    pub(super) fn stop(&mut self) {
        self.server.abort();
        std::fs::remove_file(self.path()).expect("the socket");
    }

    /// Serves again, with the same answers.
    pub(super) fn restart(&mut self) {
        self.server = serve(&self.path(), &self.answers, &self.events);
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Sets the answer to a path.
    pub(super) fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().expect("the answers").insert(path.to_owned(), answer);
    }

    pub(super) fn forget(&self, path: &str) {
        self.answers.lock().expect("the answers").remove(path);
    }

    pub(super) async fn event(&self, event: &Value) {
        self.event_bytes(format!("{event}\n").as_bytes()).await;
    }

    /// Sends bytes to those that follow events, when there are any.
    pub(super) async fn event_bytes(&self, bytes: &[u8]) {
        while self.events.send(bytes.to_vec()).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

fn serve(path: &Path, answers: &Answers, events: &broadcast::Sender<Vec<u8>>) -> AbortHandle {
    let listener = UnixListener::bind(path).expect("a socket");
    let (answers, events) = (Arc::clone(answers), events.clone());
    let server = async move {
        // They end with the server.
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(connection(stream, Arc::clone(&answers), events.clone()));
        }
    };
    tokio::spawn(server).abort_handle()
}

/// Answers the one request of a connection. The client may close it at any time.
async fn connection(mut stream: UnixStream, answers: Answers, events: broadcast::Sender<Vec<u8>>) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let request = String::from_utf8(request).ok()?;
    let target = request.split(' ').nth(1)?;
    let path = target.split('?').next()?;
    if path == "/events" {
        let mut events = events.subscribe();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        while let Ok(bytes) = events.recv().await {
            stream.write_all(&bytes).await.ok()?;
        }
        return None;
    }
    let answer = match path {
        "/version" => Some(Answer::Json(json!({"ApiVersion": "1.41"}))),
        _ => answers.lock().expect("the answers").get(path).cloned(),
    };
    let missing = || Answer::Status(404, json!({"message": "no such container"}));
    send(&mut stream, answer.unwrap_or_else(missing)).await
}

async fn send(stream: &mut UnixStream, answer: Answer) -> Option<()> {
    let (status, body) = match answer {
        Answer::Json(value) => (200, value.to_string()),
        Answer::Status(status, value) => (status, value.to_string()),
        Answer::Text(text) => (200, text),
        Answer::Raw(bytes) => return stream.write_all(&bytes).await.ok(),
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[").await.ok()?;
            loop {
                stream.write_all(&[b' '; 65536]).await.ok()?;
            }
        }
        Answer::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
            loop {
                stream.write_all(b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").await.ok()?;
            }
        }
        Answer::Never => std::future::pending().await,
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
}
