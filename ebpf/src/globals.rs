//! Read-only globals that user space sets before loading. The verifier treats them as constants and removes dead code.

use aya_ebpf::Global;

macro_rules! globals {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)+) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub(crate) static $name: Global<$type> = Global::new($default);
        )+
    };
}

globals! {
    /// An `eyepiece_wire::Aggregation`.
    AGGREGATION: u8 = 2;
    /// 0 = ring buffer, 1 = perf event array.
    TRANSPORT: u8 = 0;
    /// 1 = debug and capture notifications.
    DEBUG: u8 = 0;
    /// Bytes of a packet in a record.
    CAPTURE: u32 = 128;
    /// Jiffies between two reports.
    INTERVAL: u64 = 1250;
    /// Bytes waiting in the ring at which the reader is woken.
    WATERMARK: u64 = 65536;
    /// Jiffies after which an unanswered connection at an uplink counts as ended on this machine.
    HOLD: u64 = 2500;
    /// Inode of the network namespace that the interfaces of hooks are in.
    OWN_NAMESPACE: u32 = 0;
    /// Arguments of the kernel's kfree_skb tracepoint: from 4 on, the receiving socket is one.
    KFREE_SKB_ARGUMENTS: u8 = 3;
    /// 1 = sockets lead to their processes.
    PROCESSES: u8 = 0;

    // Offsets of kernel struct fields, in bytes, from /sys/kernel/btf/vmlinux.
    OFF_SKB_DEV: u32 = 0;
    OFF_SKB_SK: u32 = 0;
    OFF_SKB_ROUTE: u32 = 0;
    OFF_SKB_LEN: u32 = 0;
    OFF_SKB_DATA_LEN: u32 = 0;
    OFF_SKB_PROTOCOL: u32 = 0;
    OFF_SKB_IIF: u32 = 0;
    OFF_SKB_HASH: u32 = 0;
    OFF_SKB_NETWORK_HEADER: u32 = 0;
    OFF_SKB_MAC_HEADER: u32 = 0;
    OFF_SKB_HEAD: u32 = 0;
    OFF_SKB_DATA: u32 = 0;
    OFF_DEV_NET: u32 = 0;
    OFF_DEV_IFINDEX: u32 = 0;
    OFF_DEV_TYPE: u32 = 0;
    OFF_ROUTE_DEV: u32 = 0;
    OFF_SOCK_NET: u32 = 0;
    OFF_NET_INUM: u32 = 0;
    OFF_SOCK_STATE: u32 = 0;
    /// `sk_protocol`; this one and those up to `OFF_SOCKET_SOCK` are set if `PROCESSES` is 1.
    OFF_SOCK_PROTOCOL: u32 = 0;
    OFF_SOCK_FAMILY: u32 = 0;
    OFF_SOCK_ADDRESS4: u32 = 0;
    OFF_SOCK_ADDRESS6: u32 = 0;
    OFF_SOCK_PORT: u32 = 0;
    OFF_TASK_LEADER: u32 = 0;
    OFF_TASK_NUMBER: u32 = 0;
    OFF_TASK_START: u32 = 0;
    OFF_TASK_COMMAND: u32 = 0;
    OFF_TASK_FLAGS: u32 = 0;
    OFF_SOCKET_SOCK: u32 = 0;
    /// `sk_cgrp_data.cgroup`; this one and the next two are `u32::MAX` if the kernel has no control groups.
    OFF_SOCK_CGROUP: u32 = u32::MAX;
    OFF_CGROUP_NODE: u32 = u32::MAX;
    OFF_NODE_ID: u32 = u32::MAX;
    /// `vlan_all`; `u32::MAX` if the kernel has no such field.
    OFF_SKB_VLAN: u32 = u32::MAX;
}
