//! The types that the kernel programs and user space share: records, connection table, map and global names.
//!
//! All integers are in the machine's byte order unless a field states otherwise; both sides run on one machine.
//! Padding is named, so that no uninitialised byte leaves the kernel.
#![cfg_attr(not(test), no_std)]

mod connection;
mod notify;
mod process;
mod record;

pub use connection::{
    Connection, Half, Key4, Key6, SWEEP_ALIVE, SWEEP_BATCH, SWEEP_KILL, SWEEP_TAKE, SweepHeader, SweepItem4,
    SweepItem6, SweepTotals, word,
};
pub use notify::{
    CAPTURE_FLAG_IPV6, CAPTURE_FLAG_L3_DEVICE, DROP_V0_LEN, DROP_V2_LEN, DebugCapture, DebugMessage, DropNotify,
    NOTIFY_CAPTURE, NOTIFY_DEBUG, NOTIFY_DROP, NOTIFY_TRACE, REASON_ESTABLISHED, REASON_NEW, REASON_RELATED,
    REASON_REPLY, REASON_UNKNOWN, TraceNotify,
};
pub use process::{
    COMMAND_LEN, MAX_LISTENERS, MAX_OPENED, MAX_PROCESSES, Process, RECORD_PROCESS, START_BITS, process_id,
    process_number, process_start,
};
pub use record::{
    AnsweredBy, Counter, DropKey, FUNCTION_LEN, Header, Hook, IGNORE_ALWAYS, IGNORE_IN_FUNCTIONS, IGNORE_RECEIVER,
    IgnoredFunction, IgnoredPlace, Interface, InterfaceKind, MAX_RECEIVERS, Receiver, Tunnel, Untracked, UntrackedKey,
    counter_count, cut_symbol, shifted,
};

/// The names of the programs in the object file.
pub mod program {
    /// Ingress of an endpoint's interface.
    pub const FROM_ENDPOINT: &str = "eyepiece_from_endpoint";
    /// Egress of an endpoint's interface.
    pub const TO_ENDPOINT: &str = "eyepiece_to_endpoint";
    /// Ingress of an uplink.
    pub const FROM_NETWORK: &str = "eyepiece_from_network";
    /// Egress of an uplink.
    pub const TO_NETWORK: &str = "eyepiece_to_network";
    /// Ingress of an uplink without an Ethernet header (tun, wireguard, ppp).
    pub const FROM_NETWORK_L3: &str = "eyepiece_from_network_l3";
    /// Egress of an uplink without an Ethernet header.
    pub const TO_NETWORK_L3: &str = "eyepiece_to_network_l3";
    /// The kernel's drops, at `tp_btf/kfree_skb`.
    pub const DROP: &str = "eyepiece_drop";
    /// The processes of sockets, at `tp_btf/inet_sock_set_state`.
    pub const SOCKET: &str = "eyepiece_socket";
    /// Finds the processes of sockets that are open already, as an iterator of `task_file`.
    pub const OPEN_SOCKET: &str = "eyepiece_open_socket";
    /// Stores them in the sockets, as an iterator of `tcp`.
    pub const OPENED: &str = "eyepiece_opened";
    /// Takes totals out of the connection table and marks entries dead; attached nowhere, called by user space.
    pub const SWEEP: &str = "eyepiece_sweep";
    /// Does nothing: the baseline that the others are measured against.
    pub const EMPTY: &str = "eyepiece_empty";
    /// Bench: one look-up in the connection table, the least that a counting program does.
    pub const LOOK_UP: &str = "eyepiece_look_up";
    /// Bench: changes the packet's source address.
    pub const RENUMBER: &str = "eyepiece_renumber";
    /// Bench: changes the packet's source address and then does as [`FROM_ENDPOINT`]: each run is a new connection.
    pub const NEW: &str = "eyepiece_new";
}

/// The names of the maps in the object file; at most 15 bytes each, so that the kernel shows them whole.
pub mod map {
    /// Ring buffer of records.
    pub const RING: &str = "EP_RING";
    /// Perf event array of records.
    pub const PERF: &str = "EP_PERF";
    /// [`crate::Key4`] → [`crate::Connection`].
    pub const CONNECTIONS4: &str = "EP_CONN4";
    /// [`crate::Key6`] → [`crate::Connection`].
    pub const CONNECTIONS6: &str = "EP_CONN6";
    /// ifindex → [`crate::Interface`].
    pub const INTERFACES: &str = "EP_INTERFACES";
    /// inode of a network namespace whose drops are reported → endpoint id in it (0 = several or none).
    pub const NAMESPACES: &str = "EP_NAMESPACES";
    /// [`crate::UntrackedKey`] → [`crate::Untracked`], per CPU.
    pub const UNTRACKED: &str = "EP_UNTRACKED";
    /// [`crate::DropKey`] → u64, per CPU.
    pub const DROPS: &str = "EP_DROPS";
    /// kernel drop reason → when frees with it are no drops: `IGNORE_…` in one number.
    pub const IGNORED: &str = "EP_IGNORED";
    /// [`crate::IgnoredFunction`] → 1: reasons that are no drops in one function of the kernel only.
    pub const FUNCTIONS: &str = "EP_FUNCTIONS";
    /// [`crate::Receiver`] → 1.
    pub const RECEIVERS: &str = "EP_RECEIVERS";
    /// [`crate::Counter`] → u64, per CPU.
    pub const COUNTERS: &str = "EP_COUNTERS";
    /// [`crate::Tunnel`] → 1: outer packets of a tunnel device of this machine.
    pub const TUNNELS: &str = "EP_TUNNELS";
    /// Address of a socket that is open before the start → [`crate::process_id`]; until the processes are stored.
    pub const OPENED: &str = "EP_OPENED";
    /// [`crate::process_id`] → [`crate::Process`].
    pub const PROCESSES: &str = "EP_PROCESSES";
    /// Index 0: 1 while user space reads records, else 0.
    pub const EMIT: &str = "EP_EMIT";
}

/// The names of the read-only globals that user space sets before loading.
pub mod global {
    /// u8: an [`crate::Aggregation`].
    pub const AGGREGATION: &str = "AGGREGATION";
    /// u8: 0 = ring buffer, 1 = perf event array.
    pub const TRANSPORT: &str = "TRANSPORT";
    /// u8: 1 = debug and capture notifications.
    pub const DEBUG: &str = "DEBUG";
    /// u32: bytes of a packet that go into a record, 82 to [`crate::MAX_CAPTURE`].
    pub const CAPTURE: &str = "CAPTURE";
    /// u64: jiffies between two reports of a live connection.
    pub const INTERVAL: &str = "INTERVAL";
    /// u64: bytes waiting in the ring at which the reader is woken.
    pub const WATERMARK: &str = "WATERMARK";
    /// u64: jiffies after which an unanswered connection at an uplink counts as ended on this machine.
    pub const HOLD: &str = "HOLD";
    /// u32: inode of the network namespace that the interfaces of hooks are in.
    pub const OWN_NAMESPACE: &str = "OWN_NAMESPACE";
    /// u8: arguments of the kernel's kfree_skb tracepoint.
    pub const KFREE_SKB_ARGUMENTS: &str = "KFREE_SKB_ARGUMENTS";
    /// u8: 1 = sockets lead to their processes.
    pub const PROCESSES: &str = "PROCESSES";
    /// u32: the byte offset of `vlan_all` in `struct sk_buff` (kernel 6.2 and later), else [`u32::MAX`].
    pub const VLAN_OFFSET: &str = "OFF_SKB_VLAN";
    /// As [`OFFSETS`], from a socket to the id of its control group; [`u32::MAX`] each if the kernel has no control groups.
    pub const CGROUP_OFFSETS: &[(&str, &str, &str)] = &[
        ("OFF_SOCK_CGROUP", "sock", "sk_cgrp_data.cgroup"),
        ("OFF_CGROUP_NODE", "cgroup", "kn"),
        ("OFF_NODE_ID", "kernfs_node", "id"),
    ];
    /// As [`OFFSETS`], of the programs that follow sockets to their processes.
    pub const PROCESS_OFFSETS: &[(&str, &str, &str)] = &[
        ("OFF_SOCK_PROTOCOL", "sock", "sk_protocol"),
        ("OFF_SOCK_FAMILY", "sock", "__sk_common.skc_family"),
        ("OFF_SOCK_ADDRESS4", "sock", "__sk_common.skc_rcv_saddr"),
        ("OFF_SOCK_ADDRESS6", "sock", "__sk_common.skc_v6_rcv_saddr"),
        ("OFF_SOCK_PORT", "inet_sock", "inet_sport"),
        ("OFF_TASK_LEADER", "task_struct", "group_leader"),
        ("OFF_TASK_NUMBER", "task_struct", "tgid"),
        ("OFF_TASK_START", "task_struct", "start_boottime"),
        ("OFF_TASK_COMMAND", "task_struct", "comm"),
        ("OFF_TASK_FLAGS", "task_struct", "flags"),
        ("OFF_SOCKET_SOCK", "socket", "sk"),
    ];
    /// u32 each: the byte offset of a field within a kernel struct, by global, struct and field.
    pub const OFFSETS: &[(&str, &str, &str)] = &[
        ("OFF_SKB_DEV", "sk_buff", "dev"),
        ("OFF_SKB_SK", "sk_buff", "sk"),
        ("OFF_SKB_ROUTE", "sk_buff", "_skb_refdst"),
        ("OFF_SKB_LEN", "sk_buff", "len"),
        ("OFF_SKB_DATA_LEN", "sk_buff", "data_len"),
        ("OFF_SKB_PROTOCOL", "sk_buff", "protocol"),
        ("OFF_SKB_IIF", "sk_buff", "skb_iif"),
        ("OFF_SKB_HASH", "sk_buff", "hash"),
        ("OFF_SKB_NETWORK_HEADER", "sk_buff", "network_header"),
        ("OFF_SKB_MAC_HEADER", "sk_buff", "mac_header"),
        ("OFF_SKB_HEAD", "sk_buff", "head"),
        ("OFF_SKB_DATA", "sk_buff", "data"),
        ("OFF_DEV_NET", "net_device", "nd_net.net"),
        ("OFF_DEV_IFINDEX", "net_device", "ifindex"),
        ("OFF_DEV_TYPE", "net_device", "type"),
        ("OFF_ROUTE_DEV", "dst_entry", "dev"),
        ("OFF_SOCK_NET", "sock", "__sk_common.skc_net.net"),
        ("OFF_SOCK_STATE", "sock", "__sk_common.skc_state"),
        ("OFF_NET_INUM", "net", "ns.inum"),
    ];
}

/// The most bytes of a packet that a record may carry. A per-CPU scratch value holds one record.
pub const MAX_CAPTURE: u32 = 1024;

/// The aggregation of packets into events, as Cilium's `monitor-aggregation`.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// An event per packet at every hook.
    None = 0,
    /// An event per packet where packets leave (to-endpoint, to-network); elsewhere as medium.
    Low = 1,
    /// New connections, TCP flags not seen before, SYN, FIN and RST, and one report per interval.
    Medium = 2,
    /// As medium, but of TCP flags only SYN, FIN and RST make an event.
    Maximum = 3,
}
