//! Names of DNS record types and response codes, as Hubble's flows and metrics spell them.

/// Returns the name of a record type; `Unknown` for others.
pub const fn record_type(code: u16) -> &'static str {
    match code {
        1 => "A",
        2 => "NS",
        3 => "MD",
        4 => "MF",
        5 => "CNAME",
        6 => "SOA",
        7 => "MB",
        8 => "MG",
        9 => "MR",
        10 => "NULL",
        11 => "WKS",
        12 => "PTR",
        13 => "HINFO",
        14 => "MINFO",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        41 => "OPT",
        46 => "RRSIG",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        256 => "URI",
        _ => "Unknown",
    }
}

/// Returns the text of a response code in Hubble's metrics; empty for others (Cilium `pkg/hubble/metrics/dns/rcode.go`).
pub const fn metrics_response_code(code: u32) -> &'static str {
    match code {
        9 => "Not Authorized",
        11 => "DSO-TYPE Not Implemented",
        23 => "Bad/missing Server Cookie",
        // Truncation is excluded.
        0..=10 | 16..=22 => response_code(code as u8),
        _ => "",
    }
}

/// Returns the text of a response code in summaries. The metrics' texts differ for 9, 11 and 23.
pub const fn response_code(code: u8) -> &'static str {
    match code {
        0 => "No Error",
        1 => "Format Error",
        2 => "Server Failure",
        3 => "Non-Existent Domain",
        4 => "Not Implemented",
        5 => "Query Refused",
        6 => "Name Exists when it should not",
        7 => "RR Set Exists when it should not",
        8 => "RR Set that should exist does not",
        9 => "Server Not Authoritative for zone",
        10 => "Name not contained in zone",
        16 => "Bad OPT Version",
        17 => "Key not recognized",
        18 => "Signature out of time window",
        19 => "Bad TKEY Mode",
        20 => "Duplicate key name",
        21 => "Algorithm not supported",
        22 => "Bad Truncation",
        23 => "Bad Cookie",
        _ => "Unknown",
    }
}
