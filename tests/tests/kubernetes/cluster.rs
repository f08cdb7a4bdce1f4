//! A kube-apiserver with its etcd, without nodes: objects are what tests write.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use eyepiece_tests::{Background, Inside, Pki, eventually, kubeconfig, peer};
use http::{Method, Request};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// How long a server may take to start: an idle machine needs 5 s.
const START: Duration = Duration::from_secs(90);
/// The committed rights.
const RBAC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/kubernetes/rbac.yaml");

/// Users, by the names of their kubeconfig files: tokens are their names.
const USERS: [(&str, &str, &str); 3] = [
    ("admin", "admin", "system:masters"),
    ("eyepiece", "system:serviceaccount:eyepiece:eyepiece", "system:serviceaccounts"),
    ("limited", "limited", "limited"),
];

/// The programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    server: PathBuf,
    kubectl: PathBuf,
}

/// Returns the programs, or skips the test.
macro_rules! needs_cluster {
    () => {
        match $crate::cluster::programs() {
            Ok(programs) => programs,
            Err(why) => eyepiece_tests::skip!("{why}"),
        }
    };
}
pub(crate) use needs_cluster;

/// Finds the programs.
pub(crate) fn programs() -> Result<Programs, String> {
    let has_etcd = Command::new("etcd").arg("--version").output().is_ok();
    let found = Programs { server: peer::find("kube-apiserver")?, kubectl: peer::find("kubectl")? };
    has_etcd.then_some(found).ok_or_else(|| "there is no etcd: run tests/setup.sh test".to_owned())
}

/// A running cluster; it ends with its value.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: Programs,
    server: Mutex<Option<Background>>,
    _etcd: Background,
    etcd_port: u16,
    server_port: u16,
    pki: Pki,
    /// The network namespace of its processes; `None`: the test's.
    inside: Option<Inside>,
    folder: tempfile::TempDir,
}

/// The cluster that tests of this program share while any of them runs.
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    /// The cluster that all tests share which stop nothing.
    pub(crate) fn shared(programs: &Programs) -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return Ok(cluster);
        }
        let cluster = Arc::new(Self::start(programs, None)?);
        *shared = Arc::downgrade(&cluster);
        Ok(cluster)
    }

    /// Starts a cluster with the committed rights, in a network namespace or in the test's.
    pub(crate) fn start(programs: &Programs, inside: Option<&Inside>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [etcd_port, peer_port, server_port] = inside.map_or_else(free_ports, |inside| inside.run(free_ports))?;
        let (client, peer) = (format!("http://127.0.0.1:{etcd_port}"), format!("http://127.0.0.1:{peer_port}"));
        let mut etcd = command(inside, "etcd");
        etcd.arg("--data-dir").arg(folder.path().join("etcd")).args(["--unsafe-no-fsync", "--log-level=error"]);
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.arg(format!("--initial-cluster=default={peer}"));
        let etcd = Background::spawn(&mut etcd)?;
        let cluster = Self {
            programs: programs.clone(),
            server: Mutex::default(),
            _etcd: etcd,
            etcd_port,
            server_port,
            pki: Pki::new()?,
            inside: inside.cloned(),
            folder,
        };
        for (token, _, _) in USERS {
            std::fs::write(cluster.kubeconfig(token), cluster.kubeconfig_text(token))?;
        }
        cluster.start_server()?;
        let applied = cluster.kubectl(&["apply", "-f", RBAC])?;
        ensure!(applied.status.success(), "kubectl apply: {}", String::from_utf8_lossy(&applied.stderr));
        Ok(cluster)
    }

    /// Starts the API server and waits until it is ready.
    pub(crate) fn start_server(&self) -> Result<()> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let tokens: Vec<_> =
            USERS.iter().map(|(token, user, group)| format!("{token},{user},{token},{group}")).collect();
        std::fs::write(file("tokens.csv"), tokens.join("\n"))?;
        let serving = self.pki.sign(&["localhost", "127.0.0.1"])?;
        let mut command = command(self.inside.as_ref(), &self.programs.server);
        command.args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.server_port),
            "--bind-address=127.0.0.1".to_owned(),
            // The endpoint of default/kubernetes; a loopback address is refused.
            "--advertise-address=192.0.2.100".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--tls-cert-file={}", serving.cert),
            format!("--tls-private-key-file={}", serving.key),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", serving.cert),
            format!("--service-account-signing-key-file={}", serving.key),
            // Tests write thousands of objects at once.
            "--max-mutating-requests-inflight=1000".to_owned(),
        ]);
        let mut server = Background::spawn(&mut command)?;
        let is_ready = || {
            let ended = server.ended().ok().flatten();
            let answer = self.kubectl(&["get", "--raw", "/readyz"]).ok().filter(|output| output.status.success());
            answer.map(|_| Ok(())).or_else(|| ended.map(Err))
        };
        match eventually(START, "kube-apiserver is not ready", is_ready).with_context(|| server.stderr())? {
            Ok(()) => {}
            Err(status) => anyhow::bail!("kube-apiserver ended, {status}: {}", server.stderr()),
        }
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    /// Kills the API server.
    pub(crate) fn kill_server(&self) -> Result<()> {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        server.context("no server")?.stop(Signal::SIGKILL, Duration::from_secs(10))?;
        Ok(())
    }

    /// Calls kubectl as the admin.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = command(self.inside.as_ref(), &self.programs.kubectl);
        // Its caches would stand in the home folder.
        command.env("HOME", self.folder.path()).arg("--kubeconfig").arg(self.kubeconfig("admin"));
        Ok(command.arg("--request-timeout=5s").args(arguments).output()?)
    }

    /// The kubeconfig of a user.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.path().join(format!("{user}.kubeconfig"))
    }

    fn kubeconfig_text(&self, token: &str) -> String {
        let server = format!("https://127.0.0.1:{}", self.server_port);
        kubeconfig::kubeconfig(
            &json!({"server": server, "certificate-authority": self.pki.ca()}),
            &json!({"token": token}),
        )
    }

    /// Deletes an object behind the API server's back, as `/registry/pods/NAMESPACE/NAME`.
    pub(crate) fn delete_in_etcd(&self, key: &str) -> Result<()> {
        let body = json!({"key": base64(key.as_bytes())}).to_string();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.etcd_port))?;
        write!(
            stream,
            "POST /v3/kv/deleterange HTTP/1.1\r\nhost: etcd\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.contains("\"deleted\":\"1\""), "{key} is not deleted: {answer}");
        Ok(())
    }

    /// A client of the admin.
    pub(crate) async fn admin(&self) -> Result<Admin> {
        Admin::new(&self.kubeconfig("admin")).await
    }
}

/// A command in a network namespace, or in the test's.
fn command(inside: Option<&Inside>, program: impl AsRef<OsStr>) -> Command {
    inside.map_or_else(|| Command::new(&program), |inside| inside.command(&program))
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let listeners: Vec<_> = (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let chunks = bytes.chunks(3).flat_map(|chunk| {
        let number = chunk.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        (0..4).map(move |at| if at > chunk.len() { '=' } else { char::from(DIGITS[number >> (18 - 6 * at) & 63]) })
    });
    chunks.collect()
}

/// Writes objects.
#[derive(Clone)]
pub(crate) struct Admin(Client);

impl Admin {
    async fn new(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self(Client::try_from(config)?))
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(&method).uri(path).header("content-type", kind);
        let answer = self.0.request(request.body(body.to_string().into_bytes())?).await;
        answer.with_context(|| format!("{method} {path}"))
    }

    /// Creates an object in a collection and returns it; a `status` in it is set as well.
    pub(crate) async fn create(&self, collection: &str, object: &Value) -> Result<Value> {
        let made = self.call(Method::POST, collection, object).await?;
        let Some(status) = object.get("status") else { return Ok(made) };
        let name = object["metadata"]["name"].as_str().context("a name")?;
        self.patch(&format!("{collection}/{name}/status"), &json!({"status": status})).await
    }

    /// Returns an object; `None` if there is none.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.0.request(Request::get(path).body(Vec::new())?).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error).with_context(|| format!("GET {path}")),
        }
    }

    /// Changes an object.
    pub(crate) async fn patch(&self, path: &str, change: &Value) -> Result<Value> {
        self.call(Method::PATCH, path, change).await
    }

    /// Deletes an object at once, or after a grace of seconds.
    pub(crate) async fn delete(&self, path: &str, grace: u32) -> Result<()> {
        self.call(Method::DELETE, path, &json!({"gracePeriodSeconds": grace})).await.map(drop)
    }

    /// Creates a namespace.
    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"metadata": {"name": name, "labels": {"team": name}}});
        self.create("/api/v1/namespaces", &namespace).await.map(drop)
    }
}

/// A running pod of one container.
pub(crate) fn pod(namespace: &str, name: &str, address: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "web"}},
        "spec": {
            "nodeName": "node-1",
            "serviceAccountName": "default",
            "containers": [{"name": "main", "image": "none"}],
        },
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}

/// The path of a namespace's pods.
pub(crate) fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}
