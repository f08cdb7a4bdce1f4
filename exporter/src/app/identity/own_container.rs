//! The container that this process runs in, by its control group and its mounts.

use eyepiece_flow::control_group::Owner;

/// The file that podman mounts into a container, from a folder `overlay-containers/ID`.
const OF_PODMAN: &str = "/run/.containerenv";
/// Files that docker mounts into a container, from a folder `containers/ID`.
const OF_DOCKER: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
/// Files that the kubelet mounts into a container, from a folder `pods/UID`.
const OF_KUBELET: [&str; 2] = ["/etc/hosts", "/dev/termination-log"];

/// The container's id, by the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`; `None` outside of a container,
/// and if neither names it.
pub(super) fn container_id<'a>(cgroup: &'a str, mountinfo: &'a str) -> Option<&'a str> {
    match Owner::of_process(cgroup) {
        Owner::Container { id, .. } => Some(id),
        // In a control group namespace of its own the path is `/`.
        _ => of_mounts(mountinfo),
    }
}

fn of_mounts(mountinfo: &str) -> Option<&str> {
    let id = |points: &[&str], folder: &str| {
        let mut of_points = mounts(mountinfo).filter(|(_, point)| points.contains(point));
        of_points.find_map(|(root, _)| id_below(root, folder))
    };
    // Where docker runs a pod's containers, these files are those of the pod's sandbox, another container.
    let is_in_pod = mounts(mountinfo).any(|(root, point)| OF_KUBELET.contains(&point) && root.contains("/pods/"));
    id(&[OF_PODMAN], "overlay-containers").or_else(|| id(&OF_DOCKER, "containers").filter(|_| !is_in_pod))
}

/// The id in `…/FOLDER/ID/…`.
fn id_below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let is_id = |name: &str| name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let names = path.split('/');
    names.clone().zip(names.skip(1)).find(|(parent, name)| *parent == folder && is_id(name)).map(|(_, name)| name)
}

/// Returns whether this looks like a container, also one whose id is unknown: a layered root, or files that a runtime
/// mounts.
pub(super) fn is_container(mountinfo: &str) -> bool {
    let of_runtime = |point: &str| point == OF_PODMAN || OF_DOCKER.contains(&point) || OF_KUBELET.contains(&point);
    let is_layered = |line: &str| line.split_once(" - ").is_some_and(|(_, source)| source.starts_with("overlay "));
    mounts(mountinfo).any(|(_, point)| of_runtime(point))
        || mountinfo.lines().any(|line| is_layered(line) && mounts(line).any(|(_, point)| point == "/"))
}

/// Returns whether something is mounted at a path.
pub(super) fn is_mounted(mountinfo: &str, path: &str) -> bool {
    mounts(mountinfo).any(|(_, point)| point == path)
}

/// The path within its file system and the mount point of each line, by proc_pid_mountinfo(5).
fn mounts(mountinfo: &str) -> impl Iterator<Item = (&str, &str)> {
    mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        fields.next().zip(fields.next())
    })
}

#[cfg(test)]
mod tests {
    use super::{container_id, is_container, is_mounted};

    const ID: &str = "3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e";
    const SANDBOX: &str = "0000000000000000000000000000000000000000000000000000000000000b0b";
    const UID: &str = "1b5e4a3c-0d2f-4e61-8a7b-9c0d1e2f3a4b";
    const LAYER: &str = "65ac47efb9ba87e9ee3ae2a2a4e0ee3a3f5d9a2c5fbd0a5b1a8a3c2e4d6f7081";

    /// The lines of mountinfo that any container has, then these.
    fn mounts(further: &[(&str, &str)]) -> String {
        let upper = format!("upperdir=/var/lib/docker/overlay2/{LAYER}/diff");
        let mut text = format!(
            "659 450 0:183 / / rw,relatime master:88 - overlay overlay rw,{upper}\n\
             660 659 0:185 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n\
             665 663 0:30 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n"
        );
        for (root, point) in further {
            text += &format!("670 659 254:1 {root} {point} rw,relatime - ext4 /dev/vda1 rw\n");
        }
        text
    }

    #[test]
    fn containers_of_each_runtime() {
        let docker = format!("/var/lib/docker/containers/{ID}/hostname");
        let docker_apart = format!("/containers/{ID}/resolv.conf");
        let podman = format!("/containers/storage/overlay-containers/{ID}/userdata/.containerenv");
        let pods_hostname = format!("/var/lib/docker/containers/{SANDBOX}/hostname");
        let pods_hosts = format!("/var/lib/kubelet/pods/{UID}/etc-hosts");
        let sandbox = format!("/io.containerd.grpc.v1.cri/sandboxes/{SANDBOX}/hostname");
        let crio = format!("/containers/storage/overlay-containers/{SANDBOX}/userdata/hostname");
        let slice = format!("/kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_"));
        let hidden = "0::/\n".to_owned();
        for (row, cgroup, mountinfo, expected) in [
            ("docker, v1", format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/\n"), mounts(&[]), Some(ID)),
            ("docker, v2", format!("0::/system.slice/docker-{ID}.scope\n"), mounts(&[]), Some(ID)),
            ("docker, hidden", hidden.clone(), mounts(&[(&docker, "/etc/hostname")]), Some(ID)),
            ("docker, a disk of its own", hidden.clone(), mounts(&[(&docker_apart, "/etc/resolv.conf")]), Some(ID)),
            ("podman, hidden", hidden.clone(), mounts(&[(&podman, "/run/.containerenv")]), Some(ID)),
            ("containerd, v1", format!("4:memory:/kubepods/burstable/pod{UID}/{ID}\n"), mounts(&[]), Some(ID)),
            ("containerd, v2", format!("0::{slice}/cri-containerd-{ID}.scope\n"), mounts(&[]), Some(ID)),
            (
                "containerd, hidden",
                hidden.clone(),
                mounts(&[(&pods_hosts, "/etc/hosts"), (&sandbox, "/etc/hostname")]),
                None,
            ),
            ("cri-o, v2", format!("0::{slice}/crio-{ID}.scope\n"), mounts(&[]), Some(ID)),
            ("cri-o, hidden", hidden.clone(), mounts(&[(&pods_hosts, "/etc/hosts"), (&crio, "/etc/hostname")]), None),
            (
                "cri-dockerd, hidden",
                hidden.clone(),
                mounts(&[(&pods_hosts, "/etc/hosts"), (&pods_hostname, "/etc/hostname")]),
                None,
            ),
            ("a volume of docker's folder", hidden.clone(), mounts(&[(&docker, "/data")]), None),
            ("a file of the host", hidden, mounts(&[("/etc/hostname", "/etc/hostname")]), None),
            ("a service", "0::/system.slice/eyepiece.service\n".to_owned(), mounts(&[]), None),
            ("nothing to read", String::new(), String::new(), None),
            ("damaged", "x\n".to_owned(), "1 2 3\n\n".to_owned(), None),
        ] {
            assert_eq!(container_id(&cgroup, &mountinfo), expected, "{row}");
            // All of these rows have a layered root.
            assert_eq!(is_container(&mountinfo), mountinfo.contains(" overlay "), "{row}");
        }
        let root = "25 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n";
        for (further, expected) in [
            ("", false),
            ("30 25 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n", false),
            ("30 25 254:1 /x/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw\n", true),
            ("30 25 0:9 /x /run/.containerenv rw - tmpfs tmpfs rw\n", true),
        ] {
            assert_eq!(is_container(&format!("{root}{further}")), expected, "{further}");
        }
        let mountinfo = mounts(&[("/etc/machine-id", "/etc/machine-id")]);
        assert!(is_mounted(&mountinfo, "/etc/machine-id") && !is_mounted(&mountinfo, "/etc/machine"));
    }
}
