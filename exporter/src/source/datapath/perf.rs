//! Perf event arrays with a wakeup watermark: aya's own perf buffer wakes its reader at every event.
//!
//! Layout of the shared pages: `struct perf_event_mmap_page` and the records of perf_event_open(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sys;

/// Pages of a CPU's buffer: Cilium's default.
pub const PAGES: usize = 64;

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_RECORD_SAMPLE: u32 = 9;
/// Bit of `perf_event_attr`'s flags: wake by bytes, not by events.
const WATERMARK: u64 = 1 << 14;
/// Offsets in `struct perf_event_mmap_page`.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// `struct perf_event_attr`, PERF_ATTR_SIZE_VER1.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
}

/// Opens a CPU's event of BPF output.
fn open_event(cpu: u16, page: usize) -> io::Result<OwnedFd> {
    let mut attributes = Attributes {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: PERF_COUNT_SW_BPF_OUTPUT,
        sample_period: 1,
        sample_type: PERF_SAMPLE_RAW,
        flags: WATERMARK,
        // Half of the buffer: a wakeup costs as much as 50 records, and later records need room until the reader
        // runs.
        wakeup_watermark: (PAGES * page / 2) as u32,
        ..Attributes::default()
    };
    // SAFETY: a valid perf_event_attr; any process, one CPU, no group.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_mut(&mut attributes),
            -1,
            libc::c_int::from(cpu),
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor; no other code has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One CPU's buffer.
#[derive(Debug)]
struct Buffer {
    event: OwnedFd,
    base: NonNull<u8>,
    page: usize,
}

// SAFETY: the mapping belongs to this value alone; the kernel's side is synchronised by head and tail.
unsafe impl Send for Buffer {}

impl Buffer {
    fn open(cpu: u16, page: usize) -> io::Result<Self> {
        let event = open_event(cpu, page)?;
        // SAFETY: a new mapping of a perf descriptor; its size is a page more than a power of two pages.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                (PAGES + 1) * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave null"))?;
        let buffer = Self { event, base, page };
        // SAFETY: enables the event; no argument.
        if unsafe { libc::ioctl(buffer.event.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(buffer)
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: within the first page, aligned; kernel and user space access it atomically only.
        unsafe { &*self.base.as_ptr().add(offset).cast::<AtomicU64>() }
    }

    /// Calls `each` with every sample; skips records of loss, which the kernel programs count themselves.
    fn read(&self, scratch: &mut Vec<u8>, each: &mut dyn FnMut(&[u8])) {
        let size = PAGES * self.page;
        let head = self.position(DATA_HEAD).load(Ordering::Acquire);
        let mut tail = self.position(DATA_TAIL).load(Ordering::Relaxed);
        // SAFETY: the data pages follow the first page.
        let data = unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(self.page), size) };
        while tail < head {
            let at = (tail % size as u64) as usize;
            // Records are aligned to 8 bytes, so their header of 8 never wraps.
            let kind = u32::from_ne_bytes(data[at..].first_chunk().copied().unwrap_or_default());
            let length = u16::from_ne_bytes(data[at + 6..].first_chunk().copied().unwrap_or_default()) as usize;
            if length < 8 || length as u64 > head - tail {
                break;
            }
            if kind == PERF_RECORD_SAMPLE {
                let record = if at + length <= size {
                    &data[at..at + length]
                } else {
                    scratch.clear();
                    scratch.extend_from_slice(&data[at..]);
                    scratch.extend_from_slice(&data[..at + length - size]);
                    scratch.as_slice()
                };
                if let Some(sample) = sample(record) {
                    each(sample);
                }
            }
            tail += length as u64;
        }
        self.position(DATA_TAIL).store(tail, Ordering::Release);
    }
}

/// The raw bytes of a sample: a u32 length before them.
fn sample(record: &[u8]) -> Option<&[u8]> {
    let length = u32::from_ne_bytes(*record.get(8..)?.first_chunk()?) as usize;
    record.get(12..12 + length)
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `open`, unmapped once.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), (PAGES + 1) * self.page);
        }
    }
}

/// The buffers of all CPUs that are online.
#[derive(Debug)]
pub struct PerfBuffers {
    buffers: Vec<Buffer>,
    scratch: Vec<u8>,
}

impl PerfBuffers {
    /// Opens a buffer on every CPU and puts it into the array.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn open(array: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: takes and returns a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(io::Error::other)?;
        let mut buffers = Vec::new();
        for cpu in sys::possible_cpus()? {
            let buffer = match Buffer::open(cpu, page) {
                Ok(buffer) => buffer,
                // The CPU is offline.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
                Err(error) => return Err(error),
            };
            sys::update(array, &u32::from(cpu), &buffer.event.as_raw_fd().cast_unsigned())?;
            buffers.push(buffer);
        }
        Ok(Self { buffers, scratch: Vec::new() })
    }

    /// The descriptors to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.buffers.iter().map(|buffer| buffer.event.as_raw_fd())
    }

    /// Calls `each` with every sample of all CPUs.
    pub fn read(&mut self, each: &mut dyn FnMut(&[u8])) {
        for buffer in &self.buffers {
            buffer.read(&mut self.scratch, each);
        }
    }
}
