//! A whole node: kube-apiserver, containerd and kubelet with mounts, a network and control groups of their own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use eyepiece_tests::dockerd::IMAGE;
use eyepiece_tests::namespace::{remove_leftovers, run_command};
use eyepiece_tests::{Background, ControlGroup, Inside, Namespace, control_group, eyepiece, peer, until};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{self, Admin, Cluster};

/// Name of its Node object.
pub(crate) const NAME: &str = "node-1";
/// Its address.
const ADDRESS: &str = "192.0.2.1";
/// Its address towards the pods.
pub(crate) const GATEWAY: &str = "10.88.0.1";
/// The only addresses of pods: one that starts after another one's end has its address.
const RANGE: [&str; 2] = ["10.88.0.2", "10.88.0.3"];
/// Before the owner's process id in the names of namespaces, as those of the lab.
const PREFIX: &str = "ep-";
/// Debian's folder of CNI plugins.
const PLUGINS: &str = "/usr/lib/cni";
/// The kernel settings that the kubelet would change for the whole machine, with its values.
const SYSCTLS: [(&str, &str); 4] =
    [("vm/overcommit_memory", "1"), ("vm/panic_on_oom", "0"), ("kernel/panic", "10"), ("kernel/panic_on_oops", "1")];
/// Empties folders that have fixed names in the daemons, covers the files of [`SYSCTLS`] by those of the folder `$0`, and
/// starts a command.
const OWN_MOUNTS: &str = "set -e
for folder in /run /var/lib /var/log; do mount -t tmpfs tmpfs $folder; done
cd \"$0\"
for key in */*; do mount --bind $key /proc/sys/$key; done
exec \"$@\"";
/// How long a start or a change of a pod may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two questions that cost something.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    cluster: cluster::Programs,
    kubelet: PathBuf,
}

/// Finds the programs, or returns the text of [`eyepiece_tests::skip!`].
pub(crate) fn programs() -> Result<Programs, String> {
    let programs = Programs { cluster: cluster::programs()?, kubelet: peer::find("kubelet")? };
    peer::installed(&[("containerd", "containerd"), ("runc", "runc"), ("busybox", "busybox-static")])?;
    if !Path::new(PLUGINS).join("bridge").is_file() {
        return Err("there are no CNI plugins: install containernetworking-plugins".to_owned());
    }
    nix::unistd::geteuid().is_root().then_some(programs).ok_or_else(|| "a node wants root".to_owned())
}

/// A running node. Dropping it ends its processes and pods, and removes its mounts, networks and control groups.
pub(crate) struct Node {
    /// Ends first: it would start pods again.
    kubelet: Background,
    containerd: Background,
    cluster: Cluster,
    /// Has all pods.
    group: ControlGroup,
    /// Ends the shims.
    namespace: Namespace,
    folder: TempDir,
}

/// A pod of one sandbox, as the API server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) address: String,
    /// Names and ids.
    pub(crate) containers: Vec<(String, String)>,
}

impl Node {
    /// Starts a node and waits until it is ready for pods.
    pub(crate) fn start(programs: &Programs) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        remove_leftovers(PREFIX)?;
        let name = format!("{PREFIX}{}-node{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (namespace, folder) = (Namespace::create(&name)?, tempfile::tempdir()?);
        namespace.ip(&format!("address add {ADDRESS}/32 dev lo"))?;
        let cluster = Cluster::start(&programs.cluster, Some(&namespace))?;
        let group = ControlGroup::create(name)?;
        let containerd = start_containerd(&namespace, folder.path())?;
        let enter = |program: &Path| entering(&namespace, &containerd, program);
        let import = ["--namespace", "k8s.io", "images", "import"];
        run_command(enter("ctr".as_ref()).args(import).arg(write_image(folder.path())?), "")?;
        let config = folder.path().join("kubelet.json");
        std::fs::write(&config, kubelet_config(&group.path()).to_string())?;
        let mut kubelet = enter(&programs.kubelet);
        kubelet.arg("--config").arg(config).arg("--kubeconfig").arg(cluster.kubeconfig("admin"));
        kubelet.args(["--hostname-override", NAME, "--node-ip", ADDRESS]);
        let kubelet = Background::spawn(&mut kubelet)?;
        let node = Self { kubelet, containerd, cluster, group, namespace, folder };
        let is_ready = |node: &Value| {
            let conditions = node["status"]["conditions"].as_array()?;
            conditions.iter().find(|condition| condition["type"] == "Ready" && condition["status"] == "True").map(drop)
        };
        node.wait_for("/api/v1/nodes/node-1", |found| is_ready(found?))
            .with_context(|| format!("kubelet: {}", last_lines(&node.kubelet)))?;
        Ok(node)
    }

    /// Its network namespace.
    pub(crate) fn inside(&self) -> &Inside {
        &self.namespace
    }

    /// The kubeconfig of the committed rights.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.cluster.kubeconfig("eyepiece")
    }

    /// A program that starts the product among the node's mounts, as on a real node.
    pub(crate) fn product(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("eyepiece");
        let mounts = format!("/proc/{}/ns/mnt", self.containerd.pid());
        let program = eyepiece::binary()?;
        std::fs::write(&path, format!("#!/bin/sh\nexec nsenter --mount={mounts} {} \"$@\"\n", program.display()))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        Ok(path)
    }

    /// Calls the API server as the admin.
    pub(crate) fn api<T: Send>(&self, call: impl AsyncFnOnce(Admin) -> Result<T> + Send) -> Result<T> {
        // All of a client's sockets are opened by the thread that runs it.
        self.namespace.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { call(self.cluster.admin().await?).await })
        })
    }

    /// Waits until an object, or its absence, is as wanted.
    pub(crate) fn wait_for<T>(&self, path: &str, wanted: impl Fn(Option<&Value>) -> Option<T>) -> Result<T> {
        let mut last = None;
        let answer = until(TIMEOUT, path, || {
            std::thread::sleep(PAUSE);
            last = self.api(async |admin| admin.find(path).await).transpose();
            wanted(last.as_ref().and_then(|found| found.as_ref().ok()))
        });
        answer.with_context(|| format!("{last:?}"))
    }

    /// Waits until all containers of a pod run.
    pub(crate) fn wait_for_pod(&self, path: &str) -> Result<Running> {
        self.wait_for(path, |pod| running(pod?))
            .with_context(|| format!("containerd: {}", last_lines(&self.containerd)))
            .with_context(|| format!("kubelet: {}", last_lines(&self.kubelet)))
    }

    /// Kills the processes of a container.
    pub(crate) fn kill_container(&self, pod: &Running, container: &str) -> Result<()> {
        let (_, id) = pod.containers.iter().find(|(name, _)| name == container).context("no such container")?;
        let path = format!("kubepods/besteffort/pod{}/{id}", pod.uid);
        let folders = self.group.folders().into_iter().map(|folder| folder.join(&path));
        let processes = folders.map(|folder| control_group::processes(&folder)).find(|pids| !pids.is_empty());
        for pid in processes.context("the container has no process")? {
            // Some are gone by now: a script's programs, and all others with its first process.
            kill(pid, Signal::SIGKILL).or_else(|error| if error == Errno::ESRCH { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// The inode of the daemons' mount namespace.
    pub(crate) fn mounts(&self) -> Result<u64> {
        Ok(std::fs::metadata(format!("/proc/{}/ns/mnt", self.containerd.pid()))?.ino())
    }

    /// The folders of its control group.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        self.group.folders()
    }
}

/// The state of a pod whose containers all run.
pub(crate) fn running(pod: &Value) -> Option<Running> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let count = pod["spec"]["containers"].as_array()?.len();
    let statuses = pod["status"]["containerStatuses"].as_array()?.iter();
    let containers: Vec<_> = statuses
        .filter(|status| status["state"]["running"].is_object())
        .filter_map(|status| {
            let id = status["containerID"].as_str()?.strip_prefix("containerd://")?;
            Some((text(&status["name"])?, id.to_owned()))
        })
        .collect();
    let (name, uid) = (text(&pod["metadata"]["name"])?, text(&pod["metadata"]["uid"])?);
    let address = text(&pod["status"]["podIP"])?;
    (containers.len() == count).then_some(Running { name, uid, address, containers })
}

/// A command in the network namespace, among the daemons' mounts.
fn entering(inside: &Inside, containerd: &Background, program: &Path) -> Command {
    let mut command = inside.command("nsenter");
    command.arg(format!("--mount=/proc/{}/ns/mnt", containerd.pid())).arg(program);
    command
}

fn start_containerd(inside: &Inside, folder: &Path) -> Result<Background> {
    let (sysctls, networks) = (folder.join("sysctls"), folder.join("networks"));
    for (key, value) in SYSCTLS {
        let path = sysctls.join(key);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, value)?;
    }
    let [first, last] = RANGE;
    let ranges = json!([[{"subnet": "10.88.0.0/24", "gateway": GATEWAY, "rangeStart": first, "rangeEnd": last}]]);
    let bridge = json!({"cniVersion": "0.4.0", "name": "pods", "type": "bridge", "bridge": "cni0", "isGateway": true,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}});
    std::fs::create_dir(&networks)?;
    std::fs::write(networks.join("pods.conf"), bridge.to_string())?;
    // Without the capability SYS_RESOURCE no process gets a lower OOM score.
    let config = format!(
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = {IMAGE:?}\nrestrict_oom_score_adj = true\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {PLUGINS:?}\nconf_dir = {:?}\n",
        networks.display().to_string()
    );
    let path = folder.join("containerd.toml");
    std::fs::write(&path, config)?;
    let mut command = inside.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", OWN_MOUNTS]).arg(sysctls);
    command.args(["containerd", "--config"]).arg(path);
    let programs = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{programs}:/usr/sbin:/sbin"));
    let mut containerd = Background::spawn(&mut command)?;
    containerd.wait_for_line("successfully booted", TIMEOUT)?;
    Ok(containerd)
}

fn kubelet_config(group: &str) -> Value {
    json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": "127.0.0.1",
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "enforceNodeAllocatable": [],
        // A full disk of the machine is not the test's.
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    })
}

/// Writes an image whose one program is `/busybox`; it sleeps unless a container has another command.
fn write_image(folder: &Path) -> Result<PathBuf> {
    let tar = |archive: &str, of: &Path, files: &[&str]| {
        run_command(Command::new("tar").current_dir(folder).args(["-cf", archive, "-C"]).arg(of).args(files), "")
    };
    tar("layer.tar", "/bin".as_ref(), &["busybox"])?;
    let sum = run_command(Command::new("sha256sum").arg(folder.join("layer.tar")), "")?;
    let digest = sum.split_whitespace().next().context("no digest")?;
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/busybox", "sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]}});
    let manifest = json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    std::fs::write(folder.join("config.json"), config.to_string())?;
    std::fs::write(folder.join("manifest.json"), manifest.to_string())?;
    tar("image.tar", folder, &["manifest.json", "config.json", "layer.tar"])?;
    Ok(folder.join("image.tar"))
}

/// Returns the last twenty lines that a daemon wrote to standard error.
fn last_lines(daemon: &Background) -> String {
    let text = daemon.stderr();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
