//! Paths of control groups: the unit, container or pod that a path names.

use std::borrow::Cow;

/// The unit, pod or container that a control group belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Nothing that is known by its path.
    #[default]
    Other,
    /// A unit of systemd outside of containers.
    Unit {
        /// Its name: `sshd.service`, `session-3.scope`.
        name: &'a str,
        /// The user whose manager has it; `None` for the system's.
        user: Option<u32>,
    },
    /// A pod of Kubernetes, without a container.
    Pod(Cow<'a, str>),
    /// A container.
    Container {
        /// Its full id: 64 hex digits.
        id: &'a str,
        /// Uid of the pod that it runs in, with dashes unless the pod is a static one.
        pod: Option<Cow<'a, str>>,
    },
}

impl<'a> Owner<'a> {
    /// The owner of a path, as the kernel writes it: `/system.slice/sshd.service`. Of nested containers the innermost.
    pub fn of_path(path: &'a str) -> Self {
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let (mut container, mut pod) = (None, None);
        // With cgroupfs paths in systemd's form, a component is `SLICE:RUNTIME:ID`.
        for name in path.split(['/', ':']) {
            if let Some(uid) = pod_uid(name) {
                (container, pod) = (None, Some(uid));
            } else if let Some(id) = container_id(name) {
                container = Some(id);
            }
        }
        match (container, pod) {
            (Some(id), pod) => Self::Container { id, pod },
            (None, Some(uid)) => Self::Pod(uid),
            (None, None) => unit(path),
        }
    }

    /// The owner of a process, by the text of `/proc/PID/cgroup`: by the hierarchy that names it most precisely.
    pub fn of_process(text: &'a str) -> Self {
        let owners = text.lines().filter_map(path).map(Self::of_path);
        // The unified hierarchy is the last line and the first choice.
        owners.max_by_key(Self::precision).unwrap_or_default()
    }

    const fn precision(&self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Unit { .. } => 1,
            Self::Pod(_) => 2,
            Self::Container { .. } => 3,
        }
    }
}

/// The path of a process in the unified hierarchy, by the text of `/proc/PID/cgroup`.
pub fn unified_path(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The path in a line `HIERARCHY:CONTROLLERS:PATH` (cgroups(7)).
fn path(line: &str) -> Option<&str> {
    line.splitn(3, ':').nth(2)
}

/// The id in `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID` …
fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (runtime, id) = name.rsplit_once('-').unwrap_or(("", name));
    // conmon watches a container and runs outside of it.
    (id.len() == 64 && is_hex(id) && !runtime.ends_with("conmon")).then_some(id)
}

/// The uid in `podUID` and `kubepods-burstable-podUID.slice`, where it has underscores.
fn pod_uid(name: &str) -> Option<Cow<'_, str>> {
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (before, uid) = name.rsplit_once("pod")?;
    if !before.is_empty() && !before.ends_with('-') {
        return None;
    }
    match uid.len() {
        // A static pod's uid is a hash of its manifest.
        32 if is_hex(uid) => Some(Cow::Borrowed(uid)),
        36 if uid.split(['-', '_']).map(str::len).eq([8, 4, 4, 4, 12]) && uid.split(['-', '_']).all(is_hex) => {
            Some(if uid.contains('_') { Cow::Owned(uid.replace('_', "-")) } else { Cow::Borrowed(uid) })
        }
        _ => None,
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The innermost unit that a manager of the host started. Behind the first folder that is no unit, others make groups,
/// such as a machine's own systemd.
fn unit(path: &str) -> Owner<'_> {
    let (mut owner, mut user) = (Owner::Other, None);
    // A path outside of the reader's cgroup namespace begins with `/..`.
    for name in path.split('/').filter(|name| !matches!(*name, "" | "..")) {
        // systemd escapes names that would be a file's of the kernel, such as `_cgroup.service`.
        let name = name.strip_prefix('_').unwrap_or(name);
        match name.rsplit_once('.') {
            Some((_, "slice")) => {}
            Some((stem, "service" | "scope" | "socket" | "mount" | "swap")) if !stem.is_empty() => {
                owner = Owner::Unit { name, user };
                user = stem.strip_prefix("user@").and_then(|uid| uid.parse().ok()).or(user);
            }
            _ => break,
        }
    }
    owner
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Owner, unified_path};

    const A: &str = "3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e";
    const B: &str = "0000000000000000000000000000000000000000000000000000000000000b0b";
    const UID: &str = "1b5e4a3c-0d2f-4e61-8a7b-9c0d1e2f3a4b";
    const SLICED: &str = "1b5e4a3c_0d2f_4e61_8a7b_9c0d1e2f3a4b";
    const STATIC: &str = "d41d8cd98f00b204e9800998ecf8427e";

    const fn container(id: &str) -> Owner<'_> {
        Owner::Container { id, pod: None }
    }

    fn in_pod<'a>(id: &'a str, uid: &'a str) -> Owner<'a> {
        Owner::Container { id, pod: Some(Cow::Borrowed(uid)) }
    }

    const fn unit(name: &str) -> Owner<'_> {
        Owner::Unit { name, user: None }
    }

    #[test]
    fn paths_name_their_owner() {
        let slice = format!("kubepods-burstable-pod{SLICED}.slice");
        for (row, path, expected) in [
            ("root", "/".to_owned(), Owner::Other),
            ("empty", String::new(), Owner::Other),
            ("system service", "/system.slice/sshd.service".to_owned(), unit("sshd.service")),
            ("first process", "/init.scope".to_owned(), unit("init.scope")),
            ("slice alone", "/system.slice".to_owned(), Owner::Other),
            ("template", r"/system.slice/system-getty.slice/getty@tty1.service".to_owned(), unit("getty@tty1.service")),
            ("group of a service", "/system.slice/a.service/worker/b.service".to_owned(), unit("a.service")),
            ("escaped", "/system.slice/_cgroup.service".to_owned(), unit("cgroup.service")),
            ("deleted", "/system.slice/a.service (deleted)".to_owned(), unit("a.service")),
            ("another namespace", "/../../system.slice/a.service".to_owned(), unit("a.service")),
            ("mount", "/system.slice/mnt-data.mount".to_owned(), unit("mnt-data.mount")),
            ("no unit", "/.service".to_owned(), Owner::Other),
            ("session", "/user.slice/user-1000.slice/session-3.scope".to_owned(), unit("session-3.scope")),
            (
                "user service",
                "/user.slice/user-1000.slice/user@1000.service/app.slice/a.service".to_owned(),
                Owner::Unit { name: "a.service", user: Some(1000) },
            ),
            ("user manager", "/user.slice/user-0.slice/user@0.service".to_owned(), unit("user@0.service")),
            ("unit of a machine", "/lxc.payload.web/system.slice/nginx.service".to_owned(), Owner::Other),
            ("docker, cgroupfs", format!("/docker/{A}"), container(A)),
            ("docker, systemd", format!("/system.slice/docker-{A}.scope"), container(A)),
            ("docker, another parent", format!("/actions_job/{A}"), container(A)),
            ("docker in docker", format!("/docker/{A}/docker/{B}"), container(B)),
            ("systemd in docker", format!("/docker/{A}/system.slice/nginx.service"), container(A)),
            ("short id", "/docker/3f4aa1b2c3d4".to_owned(), Owner::Other),
            ("upper case", format!("/docker/{}", A.to_uppercase()), Owner::Other),
            ("podman", format!("/machine.slice/libpod-{A}.scope/container"), container(A)),
            ("podman, cgroupfs", format!("/libpod_parent/libpod-{A}"), container(A)),
            ("podman, its watcher", format!("/machine.slice/libpod-conmon-{A}.scope"), unit_of_conmon()),
            (
                "podman, rootless",
                format!("/user.slice/user-7.slice/user@7.service/user.slice/libpod-{A}.scope"),
                container(A),
            ),
            ("kubelet, cgroupfs", format!("/kubepods/burstable/pod{UID}/{A}"), in_pod(A, UID)),
            ("guaranteed", format!("/kubepods/pod{UID}/{A}"), in_pod(A, UID)),
            ("static pod", format!("/kubepods/besteffort/pod{STATIC}/{A}"), in_pod(A, STATIC)),
            (
                "containerd",
                format!("/kubepods.slice/kubepods-burstable.slice/{slice}/cri-containerd-{A}.scope"),
                in_pod(A, UID),
            ),
            ("cri-o", format!("/kubepods.slice/kubepods-pod{SLICED}.slice/crio-{A}.scope"), in_pod(A, UID)),
            (
                "cri-o, its watcher",
                format!("/kubepods.slice/{slice}/crio-conmon-{A}.scope"),
                Owner::Pod(Cow::Borrowed(UID)),
            ),
            ("cri-dockerd", format!("/kubepods.slice/{slice}/docker-{A}.scope"), in_pod(A, UID)),
            ("systemd form", format!("/system.slice/containerd.service/{slice}:cri-containerd:{A}"), in_pod(A, UID)),
            ("pod alone", format!("/kubepods/burstable/pod{UID}"), Owner::Pod(Cow::Borrowed(UID))),
            ("pod in docker", format!("/docker/{B}/kubepods/pod{UID}/{A}"), in_pod(A, UID)),
            ("pod in docker, alone", format!("/docker/{B}/kubepods/pod{UID}"), Owner::Pod(Cow::Borrowed(UID))),
            ("docker in a pod", format!("/kubepods/pod{UID}/{A}/docker/{B}"), in_pod(B, UID)),
            ("kubepods", "/kubepods/burstable".to_owned(), Owner::Other),
            ("no uid", "/kubepods/podman-1b5e4a3c0d2f4e618a7b9c0d1e2f3a4b".to_owned(), Owner::Other),
        ] {
            assert_eq!(Owner::of_path(&path), expected, "{row}: {path}");
        }
    }

    fn unit_of_conmon() -> Owner<'static> {
        unit("libpod-conmon-3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e.scope")
    }

    #[test]
    fn process_is_named_most_precisely() {
        for (row, text, expected) in [
            ("unified", format!("0::/system.slice/docker-{A}.scope\n"), container(A)),
            ("hybrid", format!("2:pids:/docker/{A}\n1:name=systemd:/system.slice/a.service\n0::/\n"), container(A)),
            ("v1", format!("3:cpu,cpuacct:/kubepods/pod{UID}/{A}\n1:name=systemd:/\n"), in_pod(A, UID)),
            ("unit", "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service".into(), unit("b.service")),
            ("damaged", "x\n1:2\n\n".to_owned(), Owner::Other),
            ("colons", "0::/system.slice/a:b.service".to_owned(), unit("a:b.service")),
        ] {
            assert_eq!(Owner::of_process(&text), expected, "{row}");
        }
        assert_eq!(unified_path("1:name=systemd:/a\n0::/b\n"), Some("/b"));
        assert_eq!(unified_path("1:name=systemd:/a\n"), None);
    }
}
