//! Attributes of the resource: the machine, its operating system, and the container that this process runs in.

use std::env::consts::{ARCH, OS};

use eyepiece_semconv::attribute;

use super::{os_release, own_container};

/// Files with the machine's id: `machine-id(5)`, and the one of systems without systemd.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// Files with the name of the operating system, the first one for changes of the administrator.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// The texts of the files that describe them; empty where there is no file.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// The machine's id; empty if it has none, as most containers.
    pub(super) id: String,
    os_release: String,
    cgroup: String,
    mountinfo: String,
}

impl Machine {
    /// Reads the files.
    pub(super) fn read() -> Self {
        let first = |paths: &[&str]| {
            let bytes = paths.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self {
            id: first(&MACHINE_ID).trim().to_owned(),
            os_release: first(&OS_RELEASE),
            cgroup: first(&["/proc/self/cgroup"]),
            mountinfo: first(&["/proc/self/mountinfo"]),
        }
    }

    /// The attributes of the resource that are known.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let container = own_container::container_id(&self.cgroup, &self.mountinfo);
        let os = |name: &str| os_release::value(&self.os_release, name);
        let all = [
            (attribute::HOST_ID, self.host_id(container.is_some()).map(str::to_owned)),
            (attribute::HOST_ARCH, Some(host_arch(ARCH).to_owned())),
            (attribute::OS_TYPE, Some(OS.to_owned())),
            (attribute::OS_NAME, os("NAME")),
            (attribute::OS_VERSION, os("VERSION_ID")),
            (attribute::CONTAINER_ID, container.map(str::to_owned)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }

    /// The id of the host. An image may have an id of its own, which all its containers share: in a container it is the
    /// host's only if the file is mounted.
    fn host_id(&self, has_container_id: bool) -> Option<&str> {
        let is_in_container = has_container_id || own_container::is_container(&self.mountinfo);
        let is_hosts =
            !is_in_container || MACHINE_ID.iter().any(|path| own_container::is_mounted(&self.mountinfo, path));
        // At a first start it may be the word `uninitialized`.
        let is_id = self.id.len() == 32 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_hosts && is_id).then_some(self.id.as_str())
    }
}

/// The conventions' name of an architecture of Rust's; its own name if they have none.
fn host_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        // `s390x` and `x86` are the same.
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, host_arch};

    const ID: &str = "fdbf79e8af94cb7f9e8df36789187052";
    const CONTAINER: &str = "3f4aa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e";

    fn attributes(machine: &Machine) -> Vec<String> {
        let (fixed, arch) = (["os.type=linux"], format!("host.arch={}", host_arch(std::env::consts::ARCH)));
        let all: Vec<String> = machine.attributes().map(|(name, value)| format!("{name}={value}")).collect();
        assert!(all.contains(&arch) && fixed.iter().all(|line| all.iter().any(|one| one == line)), "{all:?}");
        all.into_iter().filter(|line| *line != arch && !fixed.contains(&line.as_str())).collect()
    }

    #[test]
    fn attributes_have_what_is_known() {
        let host = Machine {
            id: ID.to_owned(),
            os_release: "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n".to_owned(),
            ..Machine::default()
        };
        let (id, os) = (format!("host.id={ID}"), ["os.name=Debian GNU/Linux", "os.version=12"]);
        assert_eq!(attributes(&host), [id.as_str(), os[0], os[1]]);
        let container = format!("container.id={CONTAINER}");
        let in_container = Machine { cgroup: format!("0::/system.slice/docker-{CONTAINER}.scope\n"), ..host.clone() };
        assert_eq!(attributes(&in_container), [os[0], os[1], container.as_str()], "an id of the image's");
        let mountinfo = "1 2 254:1 /etc/machine-id /etc/machine-id ro - ext4 /dev/vda1 rw\n".to_owned();
        let with_id = Machine { mountinfo, ..in_container };
        assert_eq!(attributes(&with_id), [id.as_str(), os[0], os[1], container.as_str()]);
        let mountinfo = "1 2 0:183 / / rw - overlay overlay rw\n".to_owned();
        let in_unknown = Machine { mountinfo, ..host };
        assert_eq!(attributes(&in_unknown), os, "a container whose id is unknown");
        for id in ["", "uninitialized", "fdbf79e8-af94-cb7f-9e8d-f36789187052"] {
            let machine = Machine { id: id.to_owned(), ..Machine::default() };
            assert_eq!(attributes(&machine), [""; 0], "{id}");
        }
    }

    #[test]
    fn architectures_have_names_of_conventions() {
        for (arch, expected) in [("x86_64", "amd64"), ("aarch64", "arm64"), ("s390x", "s390x"), ("riscv64", "riscv64")]
        {
            assert_eq!(host_arch(arch), expected);
        }
    }
}
