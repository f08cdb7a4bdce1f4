//! Processes of this machine that connect or listen, and the ids by which sockets and records refer to them.

/// Bytes of a command's name, the zero at its end included (Linux `TASK_COMM_LEN`).
pub const COMMAND_LEN: usize = 16;

/// In place of a [`crate::Hook`] in [`crate::Header::hook`]: a [`Process`] follows, and no notification.
pub const RECORD_PROCESS: u8 = 255;

/// The most processes of `EP_PROCESSES`, and of the names that user space keeps.
pub const MAX_PROCESSES: usize = 16_384;

/// The most sockets that are open before the start and get a process: further ones have none.
pub const MAX_OPENED: usize = 65_536;

/// The most entries of `EP_LISTENERS`.
pub const MAX_LISTENERS: usize = 4096;

/// The bits of a process's number: Linux has at most 2^22 (`PID_MAX_LIMIT`).
const NUMBER_BITS: u32 = 22;
/// The bits of a start time, in ns, that an id lacks: it is rounded down to about a millisecond.
pub const START_BITS: u32 = 20;

/// A process; value of `EP_PROCESSES`, by its id, and a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// A [`process_id`].
    pub id: u64,
    /// The name of its command, zeros behind it.
    pub command: [u8; COMMAND_LEN],
}
const _: () = assert!(size_of::<Process>() == 24);

/// Returns the id of a process by its number and its start, ns since boot. Other than a number, it is not used again.
#[inline(always)]
pub const fn process_id(number: u32, start: u64) -> u64 {
    (start >> START_BITS) << NUMBER_BITS | number as u64 & ((1 << NUMBER_BITS) - 1)
}

/// Returns the number of a process, as in `/proc`.
#[inline(always)]
pub const fn process_number(id: u64) -> u32 {
    (id & ((1 << NUMBER_BITS) - 1)) as u32
}

/// Returns the start of a process, ns since boot, rounded down to 2^[`START_BITS`].
pub const fn process_start(id: u64) -> u64 {
    id >> NUMBER_BITS << START_BITS
}

#[cfg(test)]
mod tests {
    use super::{START_BITS, process_id, process_number, process_start};

    #[test]
    fn id_keeps_number_and_start() {
        const YEARS: u64 = 100 * 365 * 86_400 * 1_000_000_000;
        for (number, start) in [(1, 0), (0x003f_ffff, YEARS), (4711, 123_456_789)] {
            let id = process_id(number, start);
            assert_eq!(process_number(id), number);
            assert_eq!(process_start(id), start >> START_BITS << START_BITS);
        }
        assert_ne!(process_id(7, 1 << START_BITS), process_id(7, 2 << START_BITS), "a number that is used again");
    }
}
