//! The kernel's BPF objects as `bpf(2)` lists them, and tiny programs that stand for foreign ones.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::namespace::Inside;

// Commands of `enum bpf_cmd`, include/uapi/linux/bpf.h.
const MAP_CREATE: i64 = 0;
const MAP_LOOKUP: i64 = 1;
const MAP_NEXT_KEY: i64 = 4;
const PROG_LOAD: i64 = 5;
const OBJ_PIN: i64 = 6;
const PROG_FD_BY_ID: i64 = 13;
const MAP_FD_BY_ID: i64 = 14;
const INFO_BY_FD: i64 = 15;
const BTF_FD_BY_ID: i64 = 19;
const LINK_CREATE: i64 = 28;
const LINK_FD_BY_ID: i64 = 30;

/// Most bytes of a `struct bpf_prog_info` or `struct bpf_btf_info` that are asked for, in words of 8.
const INFO_WORDS: usize = 32;
/// Most maps of one program.
const MAPS: usize = 64;

/// The direction of a program's hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Received packets.
    Ingress,
    /// Sent packets.
    Egress,
}

/// The place of a program: before the existing ones, or after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Before all.
    First,
    /// Behind all.
    Last,
}

/// A tc program that counts every packet it sees and passes on; with its value goes the link, if it is one.
#[derive(Debug)]
pub struct Counting {
    map: OwnedFd,
    program: OwnedFd,
    link: Option<OwnedFd>,
}

impl Counting {
    /// Loads one.
    pub fn load() -> Result<Self> {
        // Type array, key of 4 bytes; value of 8, one entry.
        let map = opened(MAP_CREATE, &[2 | 4 << 32, 8 | 1 << 32]).context("a map")?;
        let fd = i32::from(u16::try_from(map.as_raw_fd())?);
        let code = [
            [0x18, 0x21, fd], // r1 = address of the map's value
            [0, 0, 0],
            [0xb7, 0x02, 1],  // r2 = 1
            [0xdb, 0x21, 0],  // lock *(u64 *)r1 += r2
            [0xb7, 0x00, -1], // r0 = TC_ACT_UNSPEC, which is TCX_NEXT
            [0x95, 0, 0],     // exit
        ];
        let code: Vec<u64> = code
            .iter()
            .map(|&[operation, registers, value]| {
                u64::from(value.cast_unsigned()) << 32 | u64::from((registers << 8 | operation).cast_unsigned())
            })
            .collect();
        let (code_at, license) = (code.as_ptr() as u64, c"GPL".as_ptr() as u64);
        // Type classifier, count, instructions, license.
        let program = opened(PROG_LOAD, &[3 | (code.len() as u64) << 32, code_at, license, 0, 0, 0]).context("load")?;
        Ok(Self { map, program, link: None })
    }

    /// Loads one and hooks it to an interface by tcx.
    pub fn tcx(inside: &Inside, device: &str, side: Side, order: Order) -> Result<Self> {
        let mut counting = Self::load()?;
        let program = u64::from(counting.program.as_raw_fd().cast_unsigned());
        let target = u64::from(inside.ifindex(device)?) << 32;
        let kind = if side == Side::Ingress { 46 } else { 47 };
        // BPF_F_BEFORE or BPF_F_AFTER without a program named: before or behind all.
        let flags = if order == Order::First { 1 << 3 } else { 1 << 4 };
        let link = inside.run(|| opened(LINK_CREATE, &[program | target, kind | flags << 32, 0, 0]));
        counting.link = Some(link.with_context(|| format!("tcx at {device}"))?);
        Ok(counting)
    }

    /// Loads one and hooks it to an interface's clsact qdisc, which must be there.
    pub fn clsact(inside: &Inside, device: &str, side: Side, priority: u16, handle: u32) -> Result<Self> {
        let counting = Self::load()?;
        let pin = PathBuf::from(format!("/sys/fs/bpf/ep-test-{}-{device}-{side:?}-{handle}", std::process::id()));
        let path = std::ffi::CString::new(pin.to_string_lossy().as_bytes())?;
        let program = u64::from(counting.program.as_raw_fd().cast_unsigned());
        bpf(OBJ_PIN, &[path.as_ptr() as u64, program]).with_context(|| format!("pin {}", pin.display()))?;
        let side = if side == Side::Ingress { "ingress" } else { "egress" };
        let added = inside.exec(&format!(
            "tc filter add dev {device} {side} prio {priority} handle {handle} bpf da object-pinned {}",
            pin.display()
        ));
        std::fs::remove_file(&pin)?;
        added.map(|_| counting)
    }

    /// Packets so far.
    pub fn packets(&self) -> Result<u64> {
        let (key, mut value) = (0_u32, 0_u64);
        let map = u64::from(self.map.as_raw_fd().cast_unsigned());
        bpf(MAP_LOOKUP, &[map, (&raw const key) as u64, (&raw mut value) as u64, 0])?;
        // SAFETY: the kernel has written it through the pointer; an ordinary read might not see that.
        Ok(unsafe { std::ptr::read_volatile(&raw const value) })
    }
}

/// The BPF objects that a process holds: programs, their maps, links; by id.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps, those too that only its programs hold.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl Objects {
    /// Returns the objects that a process holds now.
    pub fn of(pid: Pid) -> Result<Self> {
        let mut objects = Self::default();
        for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // A descriptor may be closed while we look.
            let Ok(text) = std::fs::read_to_string(entry?.path()) else { continue };
            let field = |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            // A link's description names its program too.
            if let Some(id) = field("link_id:") {
                objects.links.insert(id);
            } else if let Some(id) = field("prog_id:") {
                objects.programs.insert(id);
            } else if let Some(id) = field("map_id:") {
                objects.maps.insert(id);
            }
        }
        let Self { programs, maps, .. } = &mut objects;
        programs.retain(|&id| match Info::of(id) {
            Ok(info) => {
                maps.extend(info.maps);
                true
            }
            // A program may be freed while we look, too.
            Err(_) => false,
        });
        Ok(objects)
    }

    /// Those that are still there, for people.
    pub fn left(&self) -> Vec<String> {
        let there = |what: &str, command, ids: &BTreeSet<u32>| -> Vec<String> {
            let left = ids.iter().filter(|&&id| opened(command, &[u64::from(id), 0]).is_ok());
            left.map(|id| format!("{what} {id}")).collect()
        };
        let mut left = there("program", PROG_FD_BY_ID, &self.programs);
        left.extend(there("map", MAP_FD_BY_ID, &self.maps));
        left.extend(there("link", LINK_FD_BY_ID, &self.links));
        left
    }
}

impl Objects {
    /// All keys of the map with this name, each as the kernel keeps it.
    pub fn keys(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        for &id in &self.maps {
            let map = opened(MAP_FD_BY_ID, &[u64::from(id), 0]).with_context(|| format!("map {id}"))?;
            // `struct bpf_map_info`: key_size at 8, name at 24.
            let description = info(&map, &[])?;
            let own = bytes(&description)[24..40].to_vec();
            if String::from_utf8_lossy(&own).trim_end_matches('\0') == name {
                return keys(&map, word(&description, 8) as usize).with_context(|| format!("keys of {name}"));
            }
        }
        anyhow::bail!("no map {name}")
    }
}

fn keys(map: &OwnedFd, size: usize) -> Result<Vec<Vec<u8>>> {
    let fd = u64::from(map.as_raw_fd().cast_unsigned());
    let mut keys: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut next = vec![0_u8; size];
        let before = keys.last().map_or(0, |key| key.as_ptr() as u64);
        match bpf(MAP_NEXT_KEY, &[fd, before, next.as_mut_ptr() as u64, 0]) {
            // The compiler does not see the kernel's write.
            Ok(_) => keys.push(std::hint::black_box(next)),
            Err(error) if error.downcast_ref() == Some(&Errno::ENOENT) => return Ok(keys),
            Err(error) => return Err(error),
        }
    }
}

/// The kernel's information about a program.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its name, the first 15 bytes.
    pub name: String,
    /// Bytes of its instructions, as the verifier left them.
    pub length: u32,
    /// Ids of its maps.
    pub maps: Vec<u32>,
    /// Source files that its instructions come from.
    pub files: BTreeSet<String>,
}

impl Info {
    /// Reads the information about the program with this id.
    pub fn of(id: u32) -> Result<Self> {
        let program = opened(PROG_FD_BY_ID, &[u64::from(id), 0]).with_context(|| format!("program {id}"))?;
        let plain = info(&program, &[])?;
        let count = word(&plain, 148);
        let (mut maps, mut lines) = ([0_u32; MAPS], vec![[0_u32; 4]; count as usize]);
        // Offsets of `struct bpf_prog_info`: nr_map_ids 52, map_ids 56; nr_line_info 148, line_info 152,
        // line_info_rec_size 172.
        let asked = [
            (48, (MAPS as u64) << 32),
            (56, maps.as_mut_ptr() as u64),
            (152, lines.as_mut_ptr() as u64),
            (144, u64::from(count) << 32),
            (168, 16 << 32),
        ];
        let answer = info(&program, &asked)?;
        let used = (word(&answer, 52) as usize).min(MAPS);
        let name = &bytes(&answer)[64..80];
        let strings = strings(word(&answer, 128))?;
        // `struct bpf_line_info`: the second word is the file's name.
        let files = lines.iter().filter_map(|line| text(&strings, line[1])).collect();
        Ok(Self {
            name: String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(),
            length: word(&answer, 20),
            maps: maps[..used].to_vec(),
            files,
        })
    }
}

/// Returns the strings of a BTF object by its id; empty for 0.
fn strings(btf: u32) -> Result<Vec<u8>> {
    if btf == 0 {
        return Ok(Vec::new());
    }
    let btf = opened(BTF_FD_BY_ID, &[u64::from(btf), 0])?;
    // `struct bpf_btf_info`: address, size.
    let size = word(&info(&btf, &[])?, 8);
    let mut data = vec![0_u8; size as usize];
    info(&btf, &[(0, data.as_mut_ptr() as u64), (8, u64::from(size))])?;
    // `struct btf_header`: its length at 4, offset and length of the strings behind it at 16.
    let at = |offset: usize| data.get(offset..offset + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let (header, offset, length) = (|| Some((at(4)?, at(16)?, at(20)?)))().context("no BTF header")?;
    let start = (header + offset) as usize;
    data.get(start..start + length as usize).map(<[u8]>::to_vec).context("BTF is cut")
}

fn text(strings: &[u8], offset: u32) -> Option<String> {
    let rest = strings.get(offset as usize..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// BPF_OBJ_GET_INFO_BY_FD, with words written into the buffer before: (offset, value).
fn info(object: &OwnedFd, asked: &[(usize, u64)]) -> Result<[u64; INFO_WORDS]> {
    let mut buffer = [0_u64; INFO_WORDS];
    for &(offset, value) in asked {
        buffer[offset / 8] = value;
    }
    let fd = u64::from(object.as_raw_fd().cast_unsigned());
    let length = size_of_val(&buffer) as u64;
    bpf(INFO_BY_FD, &[fd | length << 32, buffer.as_mut_ptr() as u64])?;
    // The compiler does not see the kernel's write.
    Ok(std::hint::black_box(buffer))
}

fn bytes(info: &[u64; INFO_WORDS]) -> Vec<u8> {
    info.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn word(info: &[u64; INFO_WORDS], offset: usize) -> u32 {
    (info[offset / 8] >> (8 * (offset % 8))) as u32
}

fn opened(command: i64, attributes: &[u64]) -> Result<OwnedFd> {
    let fd = RawFd::try_from(bpf(command, attributes)?)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf(command: i64, attributes: &[u64]) -> Result<i64> {
    // SAFETY: the callers' attributes are the beginning of `union bpf_attr`; what they point to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    Ok(Errno::result(result)?)
}
