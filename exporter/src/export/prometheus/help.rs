//! The help texts of Hubble's metrics.

/// Returns the help text that Hubble has for a metric, by its name in Prometheus.
pub(super) fn hubble_help(name: &str) -> Option<&'static str> {
    Some(match name {
        "grpc_server_handled_total" => {
            "Total number of RPCs completed on the server, regardless of success or failure."
        }
        "grpc_server_msg_received_total" => "Total number of RPC stream messages received on the server.",
        "grpc_server_msg_sent_total" => "Total number of gRPC stream messages sent by the server.",
        "grpc_server_started_total" => "Total number of RPCs started on the server.",
        "hubble_dns_queries_total" => "Number of DNS queries observed",
        "hubble_dns_response_types_total" => "Number of DNS response types observed",
        "hubble_dns_responses_total" => "Number of DNS responses observed",
        "hubble_drop_total" => "Number of drops",
        "hubble_flows_processed_total" => "Total number of flows processed",
        "hubble_flows_to_world_total" => "Total number of flows to reserved:world",
        "hubble_http_request_duration_seconds" => "Quantiles of HTTP request duration in seconds",
        "hubble_http_requests_total" => "Count of HTTP requests",
        "hubble_http_responses_total" => "Count of HTTP responses",
        "hubble_icmp_total" => "Number of ICMP messages",
        "hubble_lost_events_total" => "Number of lost events",
        "hubble_metrics_http_handler_request_duration_seconds" => "A histogram of latencies of Hubble metrics handler.",
        "hubble_metrics_http_handler_requests_total" => "A counter for requests to Hubble metrics handler.",
        "hubble_policy_verdicts_total" => "Total number of Cilium network policy verdicts",
        "hubble_port_distribution_total" => "Numbers of packets distributed by destination port",
        "hubble_sctp_chunk_types_total" => "SCTP chunk type occurrences",
        "hubble_tcp_flags_total" => "TCP flag occurrences",
        _ => return None,
    })
}
