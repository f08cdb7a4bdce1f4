//! The numbers of network namespaces.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;

/// The inode of the network namespace that the calling thread is in.
///
/// # Errors
/// procfs is not mounted.
pub fn own_inode() -> io::Result<u32> {
    std::fs::metadata("/proc/thread-self/ns/net").map(|metadata| inode_of(&metadata))
}

/// The inode of a namespace's file. The kernel numbers namespaces by 32 bits (`struct ns_common`, `inum`).
pub fn inode_of(metadata: &Metadata) -> u32 {
    u32::try_from(metadata.ino()).unwrap_or(0)
}
