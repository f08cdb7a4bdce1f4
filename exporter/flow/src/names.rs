//! The names and texts of the datapath's numbers: drop reasons, files, observation points, trace reasons and more.
//!
//! "Name" is the protobuf enum's (Cilium `api/v1/flow/flow.proto`), "text" the one that Cilium's monitor prints. Functions
//! return `None` for numbers without one: the enums are open, and callers show the number.

use crate::cilium_release::Release;
use crate::flow::FileInfo;

/// The first file id of drops of our own datapath, which adds the subsystem of the kernel's drop reason.
pub const KERNEL_FILES: u8 = 240;

/// Returns the kernel's `skb_drop_reason` in the file and line of a drop of our own datapath; `None` for Cilium's files.
pub const fn kernel_reason(file: FileInfo) -> Option<u32> {
    match file.id.checked_sub(KERNEL_FILES) {
        // `u32::from` is not const.
        Some(subsystem) => Some((subsystem as u32) << 16 | file.line as u32),
        None => None,
    }
}

/// Name of a drop reason, as in `flow.DropReason`.
pub const fn drop_reason_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "DROP_REASON_UNKNOWN",
        130 => "INVALID_SOURCE_MAC",
        131 => "INVALID_DESTINATION_MAC",
        132 => "INVALID_SOURCE_IP",
        133 => "POLICY_DENIED",
        134 => "INVALID_PACKET_DROPPED",
        135 => "CT_TRUNCATED_OR_INVALID_HEADER",
        136 => "CT_MISSING_TCP_ACK_FLAG",
        137 => "CT_UNKNOWN_L4_PROTOCOL",
        138 => "CT_CANNOT_CREATE_ENTRY_FROM_PACKET",
        139 => "UNSUPPORTED_L3_PROTOCOL",
        140 => "MISSED_TAIL_CALL",
        141 => "ERROR_WRITING_TO_PACKET",
        142 => "UNKNOWN_L4_PROTOCOL",
        143 => "UNKNOWN_ICMPV4_CODE",
        144 => "UNKNOWN_ICMPV4_TYPE",
        145 => "UNKNOWN_ICMPV6_CODE",
        146 => "UNKNOWN_ICMPV6_TYPE",
        147 => "ERROR_RETRIEVING_TUNNEL_KEY",
        148 => "ERROR_RETRIEVING_TUNNEL_OPTIONS",
        149 => "INVALID_GENEVE_OPTION",
        150 => "UNKNOWN_L3_TARGET_ADDRESS",
        151 => "STALE_OR_UNROUTABLE_IP",
        152 => "NO_MATCHING_LOCAL_CONTAINER_FOUND",
        153 => "ERROR_WHILE_CORRECTING_L3_CHECKSUM",
        154 => "ERROR_WHILE_CORRECTING_L4_CHECKSUM",
        155 => "CT_MAP_INSERTION_FAILED",
        156 => "INVALID_IPV6_EXTENSION_HEADER",
        157 => "IP_FRAGMENTATION_NOT_SUPPORTED",
        158 => "SERVICE_BACKEND_NOT_FOUND",
        160 => "NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT",
        161 => "FAILED_TO_INSERT_INTO_PROXYMAP",
        162 => "REACHED_EDT_RATE_LIMITING_DROP_HORIZON",
        163 => "UNKNOWN_CONNECTION_TRACKING_STATE",
        164 => "LOCAL_HOST_IS_UNREACHABLE",
        165 => "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION",
        166 => "UNSUPPORTED_L2_PROTOCOL",
        167 => "NO_MAPPING_FOR_NAT_MASQUERADE",
        168 => "UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE",
        169 => "FIB_LOOKUP_FAILED",
        170 => "ENCAPSULATION_TRAFFIC_IS_PROHIBITED",
        171 => "INVALID_IDENTITY",
        172 => "UNKNOWN_SENDER",
        173 => "NAT_NOT_NEEDED",
        174 => "IS_A_CLUSTERIP",
        175 => "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
        176 => "FORBIDDEN_ICMPV6_MESSAGE",
        177 => "DENIED_BY_LB_SRC_RANGE_CHECK",
        178 => "SOCKET_LOOKUP_FAILED",
        179 => "SOCKET_ASSIGN_FAILED",
        180 => "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL",
        181 => "POLICY_DENY",
        182 => "VLAN_FILTERED",
        183 => "INVALID_VNI",
        184 => "INVALID_TC_BUFFER",
        185 => "NO_SID",
        186 => "MISSING_SRV6_STATE",
        187 => "NAT46",
        188 => "NAT64",
        189 => "AUTH_REQUIRED",
        190 => "CT_NO_MAP_FOUND",
        191 => "SNAT_NO_MAP_FOUND",
        192 => "INVALID_CLUSTER_ID",
        193 => "UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP",
        194 => "NO_EGRESS_GATEWAY",
        195 => "UNENCRYPTED_TRAFFIC",
        196 => "TTL_EXCEEDED",
        197 => "NO_NODE_ID",
        198 => "DROP_RATE_LIMITED",
        199 => "IGMP_HANDLED",
        200 => "IGMP_SUBSCRIBED",
        201 => "MULTICAST_HANDLED",
        202 => "DROP_HOST_NOT_READY",
        203 => "DROP_EP_NOT_READY",
        204 => "DROP_NO_EGRESS_IP",
        205 => "DROP_PUNT_PROXY",
        207 => "DROP_FRAG_NOT_FOUND_WORLD",
        _ => return None,
    })
}

/// Text of a drop reason. Codes below 130 are not drops; metrics and debug messages have them.
pub const fn drop_reason_text(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "Success",
        2 => "Invalid packet",
        3 => "Interface",
        4 => "Interface Decrypted",
        5 => "LB, sock cgroup: No backend slot entry found",
        6 => "LB, sock cgroup: No backend entry found",
        7 => "LB, sock cgroup: Reverse entry update failed",
        8 => "LB, sock cgroup: Reverse entry stale",
        9 => "Fragmented packet",
        10 => "Fragmented packet entry update failed",
        11 => "Missed tail call to custom program",
        12 => "Interface Decrypting",
        13 => "Interface Encrypting",
        14 => "LB: sock cgroup: Reverse entry delete succeeded",
        15 => "MTU error message",
        130 => "Invalid source mac",
        131 => "Invalid destination mac",
        132 => "Invalid source ip",
        133 => "Policy denied",
        134 => "Invalid packet",
        135 => "CT: Truncated or invalid header",
        136 => "Fragmentation needed",
        137 => "CT: Unknown L4 protocol",
        138 => "CT: Can't create entry from packet",
        139 => "Unsupported L3 protocol",
        140 => "Missed tail call",
        141 => "Error writing to packet",
        142 => "Unknown L4 protocol",
        143 => "Unknown ICMPv4 code",
        144 => "Unknown ICMPv4 type",
        145 => "Unknown ICMPv6 code",
        146 => "Unknown ICMPv6 type",
        147 => "Error retrieving tunnel key",
        148 => "Error retrieving tunnel options",
        149 => "Invalid Geneve option",
        150 => "Unknown L3 target address",
        151 => "Stale or unroutable IP",
        152 => "No matching local container found",
        153 => "Error while correcting L3 checksum",
        154 => "Error while correcting L4 checksum",
        155 => "CT: Map insertion failed",
        156 => "Invalid IPv6 extension header",
        157 => "IP fragmentation not supported",
        158 => "Service backend not found",
        160 => "No tunnel/encapsulation endpoint (datapath BUG!)",
        161 => "NAT 46/64 not enabled",
        162 => "Reached EDT rate-limiting drop horizon",
        163 => "Unknown connection tracking state",
        164 => "Local host is unreachable",
        165 => "No configuration available to perform policy decision",
        166 => "Unsupported L2 protocol",
        167 => "No mapping for NAT masquerade",
        168 => "Unsupported protocol for NAT masquerade",
        169 => "FIB lookup failed",
        170 => "Encapsulation traffic is prohibited",
        171 => "Invalid identity",
        172 => "Unknown sender",
        173 => "NAT not needed",
        174 => "Is a ClusterIP",
        175 => "First logical datagram fragment not found",
        176 => "Forbidden ICMPv6 message",
        177 => "Denied by LB src range check",
        178 => "Socket lookup failed",
        179 => "Socket assign failed",
        180 => "Proxy redirection not supported for protocol",
        181 => "Policy denied by denylist",
        182 => "VLAN traffic disallowed by VLAN filter",
        183 => "Incorrect VNI from VTEP",
        184 => "Failed to update or lookup TC buffer",
        185 => "No SID was found for the IP address",
        186 => "SRv6 state was removed during tail call",
        187 => "L3 translation from IPv4 to IPv6 failed (NAT46)",
        188 => "L3 translation from IPv6 to IPv4 failed (NAT64)",
        189 => "Authentication required",
        190 => "No conntrack map found",
        191 => "No nat map found",
        192 => "Invalid ClusterID",
        193 => "Unsupported packet protocol for DSR encapsulation",
        194 => "No egress gateway found",
        195 => "Traffic is unencrypted",
        196 => "TTL exceeded",
        197 => "No node ID found",
        198 => "Rate limited",
        199 => "IGMP handled",
        200 => "IGMP subscribed",
        201 => "Multicast handled",
        202 => "Host datapath not ready",
        203 => "Endpoint policy program not available",
        204 => "No Egress IP configured",
        205 => "Punt to proxy",
        206 => "No device",
        207 => "First logical datagram fragment not found from world",
        _ => return None,
    })
}

/// Name of a drop's source file (Cilium `bpf/lib/source_info.h` of that release).
pub const fn drop_file(id: u8, release: Release) -> Option<&'static str> {
    match (id, release) {
        (1, _) => Some("bpf_host.c"),
        (2, _) => Some("bpf_lxc.c"),
        (3, _) => Some("bpf_overlay.c"),
        (4, _) => Some("bpf_xdp.c"),
        (5, Release::V1_16 | Release::V1_17 | Release::V1_18 | Release::V1_19 | Release::V1_20) => Some("bpf_sock.c"),
        (6, Release::V1_16 | Release::V1_17 | Release::V1_18 | Release::V1_19) => Some("bpf_network.c"),
        (7, Release::V1_16 | Release::V1_17 | Release::V1_18 | Release::V1_19 | Release::V1_20) => {
            Some("bpf_wireguard.c")
        }
        (_, Release::V1_19 | Release::V1_20) => drop_file_1_19(id),
        (107, Release::V1_15) => Some("encrypt.h"),
        (108, Release::V1_15) => Some("mcast.h"),
        (107.., Release::V1_15) => None,
        (110, Release::V1_18) => Some("local_delivery.h"),
        (116, Release::V1_18) => Some("ipv6.h"),
        (117, Release::V1_18) => Some("classifiers.h"),
        (_, Release::V1_15 | Release::V1_16 | Release::V1_17 | Release::V1_18) => drop_file_1_16(id),
    }
}

const fn drop_file_1_19(id: u8) -> Option<&'static str> {
    Some(match id {
        101 => "drop.h",
        102 => "srv6.h",
        103 => "icmp6.h",
        104 => "nodeport.h",
        105 => "lb.h",
        106 => "mcast.h",
        107 => "ipv4.h",
        108 => "conntrack.h",
        109 => "local_delivery.h",
        110 => "trace.h",
        111 => "encap.h",
        112 => "host_firewall.h",
        113 => "nodeport_egress.h",
        114 => "ipv6.h",
        115 => "classifiers.h",
        _ => return None,
    })
}

/// 1.16 to 1.18, and 1.15 up to 106. 1.16 itself does not send 114 and 115.
const fn drop_file_1_16(id: u8) -> Option<&'static str> {
    Some(match id {
        101 => "arp.h",
        102 => "drop.h",
        103 => "srv6.h",
        104 => "icmp6.h",
        105 => "nodeport.h",
        106 => "lb.h",
        107 => "mcast.h",
        108 => "ipv4.h",
        109 => "conntrack.h",
        110 => "l3.h",
        111 => "trace.h",
        112 => "encap.h",
        113 => "encrypt.h",
        114 => "host_firewall.h",
        115 => "nodeport_egress.h",
        _ => return None,
    })
}

/// Text of an observation point, the subtype of traces.
pub const fn observation_point_text(point: u8) -> Option<&'static str> {
    Some(match point {
        0 => "to-endpoint",
        1 => "to-proxy",
        2 => "to-host",
        3 => "to-stack",
        4 => "to-overlay",
        5 => "from-endpoint",
        6 => "from-proxy",
        7 => "from-host",
        8 => "from-stack",
        9 => "from-overlay",
        10 => "from-network",
        11 => "to-network",
        12 => "from-crypto",
        13 => "to-crypto",
        _ => return None,
    })
}

/// Number of an observation point in `flow.TraceObservationPoint`, in which 0 is unknown.
pub const fn observation_point_number(point: u8) -> i32 {
    // `i32::from` is not const.
    if point == 0 { 101 } else { point as i32 }
}

/// Text of a trace reason without the encryption bit.
pub const fn trace_reason_text(reason: u8) -> Option<&'static str> {
    Some(match reason {
        0 => "new",
        1 => "established",
        2 => "reply",
        3 => "related",
        4 => "reopened",
        5 => "unknown",
        6 => "srv6-encap",
        7 => "srv6-decap",
        8 => "encrypt-overlay",
        _ => return None,
    })
}

/// Number of a trace reason in `flow.TraceReason`, in which 0 is unknown.
pub const fn trace_reason_number(reason: u8) -> i32 {
    match reason {
        // `i32::from` is not const.
        0..5 => reason as i32 + 1,
        5 => 0,
        _ => reason as i32,
    }
}

/// Name of a capture point, as in `flow.DebugCapturePoint`.
pub const fn capture_point_name(point: u8) -> Option<&'static str> {
    Some(match point {
        0 => "DBG_CAPTURE_POINT_UNKNOWN",
        4 => "DBG_CAPTURE_DELIVERY",
        5 => "DBG_CAPTURE_FROM_LB",
        6 => "DBG_CAPTURE_AFTER_V46",
        7 => "DBG_CAPTURE_AFTER_V64",
        8 => "DBG_CAPTURE_PROXY_PRE",
        9 => "DBG_CAPTURE_PROXY_POST",
        10 => "DBG_CAPTURE_SNAT_PRE",
        11 => "DBG_CAPTURE_SNAT_POST",
        _ => return None,
    })
}

/// Text of a policy verdict's match type, as in Hubble's metrics and Cilium's monitor.
pub const fn policy_match_text(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "none",
        1 => "l3-only",
        2 => "l3-l4",
        3 => "l4-only",
        4 => "all",
        5 => "l3-proto",
        6 => "proto-only",
        7 => "unknown",
        _ => return None,
    })
}

/// Name of an authentication type, as in `flow.AuthType`.
pub const fn auth_type_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "DISABLED",
        1 => "SPIRE",
        2 => "TEST_ALWAYS_FAIL",
        _ => return None,
    })
}

/// Number in `flow.SCTPChunkType` of a chunk type as on the wire (RFC 9260, section 3.2); 0 for types that it lacks.
pub const fn sctp_chunk_number(chunk: Option<u8>) -> i32 {
    match chunk {
        Some(1) => 1,
        Some(2) => 2,
        Some(7) => 3,
        Some(8) => 4,
        Some(14) => 5,
        Some(6) => 6,
        _ => 0,
    }
}

/// Security identity of the Kubernetes API server, the only reserved one with two labels: `remote-node` as well
/// (Cilium `pkg/identity/reserved.go`).
pub const KUBE_APISERVER: u32 = 7;

/// Label of a reserved security identity, 1 to 10, in every release of Cilium (`pkg/identity/numericidentity.go`).
pub const fn reserved_identity_label(identity: u32) -> Option<&'static str> {
    Some(match identity {
        1 => "reserved:host",
        2 => "reserved:world",
        3 => "reserved:unmanaged",
        4 => "reserved:health",
        5 => "reserved:init",
        6 => "reserved:remote-node",
        KUBE_APISERVER => "reserved:kube-apiserver",
        8 => "reserved:ingress",
        9 => "reserved:world-ipv4",
        10 => "reserved:world-ipv6",
        _ => return None,
    })
}

/// Name of a reserved security identity: its label without the source.
pub fn reserved_identity_name(identity: u32) -> Option<&'static str> {
    reserved_identity_label(identity)?.strip_prefix("reserved:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_reasons_have_name_and_text() {
        for (code, name, text) in [
            (0, Some("DROP_REASON_UNKNOWN"), Some("Success")),
            (1, None, None),
            (15, None, Some("MTU error message")),
            (129, None, None),
            (130, Some("INVALID_SOURCE_MAC"), Some("Invalid source mac")),
            (136, Some("CT_MISSING_TCP_ACK_FLAG"), Some("Fragmentation needed")),
            (159, None, None),
            (206, None, Some("No device")),
            (207, Some("DROP_FRAG_NOT_FOUND_WORLD"), Some("First logical datagram fragment not found from world")),
            (208, None, None),
            (u32::MAX, None, None),
        ] {
            assert_eq!((drop_reason_name(code), drop_reason_text(code)), (name, text), "{code}");
        }
    }

    #[test]
    fn drop_files_differ_by_release() {
        use Release::{V1_15, V1_16, V1_17, V1_18, V1_19, V1_20};
        for (id, v1_15, v1_16, v1_18, v1_19, v1_20) in [
            (0, None, None, None, None, None),
            (4, Some("bpf_xdp.c"), Some("bpf_xdp.c"), Some("bpf_xdp.c"), Some("bpf_xdp.c"), Some("bpf_xdp.c")),
            (5, None, Some("bpf_sock.c"), Some("bpf_sock.c"), Some("bpf_sock.c"), Some("bpf_sock.c")),
            (6, None, Some("bpf_network.c"), Some("bpf_network.c"), Some("bpf_network.c"), None),
            (101, Some("arp.h"), Some("arp.h"), Some("arp.h"), Some("drop.h"), Some("drop.h")),
            (107, Some("encrypt.h"), Some("mcast.h"), Some("mcast.h"), Some("ipv4.h"), Some("ipv4.h")),
            (108, Some("mcast.h"), Some("ipv4.h"), Some("ipv4.h"), Some("conntrack.h"), Some("conntrack.h")),
            (110, None, Some("l3.h"), Some("local_delivery.h"), Some("trace.h"), Some("trace.h")),
            (114, None, Some("host_firewall.h"), Some("host_firewall.h"), Some("ipv6.h"), Some("ipv6.h")),
            (116, None, None, Some("ipv6.h"), None, None),
            (118, None, None, None, None, None),
        ] {
            assert_eq!(drop_file(id, V1_17), v1_16, "{id}");
            let names = [V1_15, V1_16, V1_18, V1_19, V1_20].map(|release| drop_file(id, release));
            assert_eq!(names, [v1_15, v1_16, v1_18, v1_19, v1_20], "{id}");
        }
    }

    #[test]
    fn kernel_reason_is_in_file_id() {
        for (id, line, reason) in [
            (239, 7, None),
            (240, 0, Some(0)),
            (240, 2, Some(2)),
            (241, 9, Some(0x1_0009)),
            (255, u16::MAX, Some(0xf_ffff)),
        ] {
            assert_eq!(kernel_reason(FileInfo { id, line, release: Release::V1_20 }), reason, "{id}:{line}");
        }
    }

    #[test]
    fn numbers_equal_those_of_protobuf() {
        assert_eq!([0, 1, 13, 200].map(observation_point_number), [101, 1, 13, 200]);
        assert_eq!([0, 4, 5, 6, 127].map(trace_reason_number), [1, 5, 0, 6, 127]);
        let chunks = [None, Some(0), Some(1), Some(2), Some(6), Some(7), Some(8), Some(14)];
        assert_eq!(chunks.map(sctp_chunk_number), [0, 0, 1, 2, 6, 3, 4, 5]);
    }

    #[test]
    fn reserved_identities_have_names() {
        let names = [0, 1, 7, 10, 11].map(reserved_identity_name);
        assert_eq!(names, [None, Some("host"), Some("kube-apiserver"), Some("world-ipv6"), None]);
    }
}
