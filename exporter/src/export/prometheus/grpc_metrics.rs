//! Metrics of the calls of Hubble's gRPC API, as Hubble's own server has them (Cilium `pkg/hubble/metrics/cell`).
//!
//! Hubble counts those of its unix socket alone; ours are of all addresses.

use crate::pipeline::metrics::{Attributes, Resolved, Series, SeriesValue};
use crate::support::grpc_calls::{GrpcCalls, MethodCalls};

/// The counters of all methods.
pub(super) fn resolve(calls: &GrpcCalls) -> Vec<Resolved> {
    let methods = calls.methods();
    let of_methods = |name, count: fn(&MethodCalls) -> u64| {
        metric(name, methods.iter().map(|method| series(method, None, count(method))).collect())
    };
    let of_codes = methods.iter().flat_map(|method| {
        let handled = method.handled();
        handled.map(move |(code, count)| series(method, Some(code), count))
    });
    vec![
        of_methods("grpc_server_started", MethodCalls::started),
        metric("grpc_server_handled", of_codes.collect()),
        of_methods("grpc_server_msg_received", MethodCalls::received),
        of_methods("grpc_server_msg_sent", MethodCalls::sent),
    ]
}

fn metric(name: &'static str, series: Vec<Series>) -> Resolved {
    // Its text is Hubble's.
    Resolved { name, unit: "", description: "", series }
}

fn series(method: &MethodCalls, code: Option<&'static str>, count: u64) -> Series {
    let mut attributes: Attributes = vec![
        ("grpc_type", method.kind.into()),
        ("grpc_service", method.service.clone().into()),
        ("grpc_method", method.method.clone().into()),
    ];
    attributes.extend(code.map(|code| ("grpc_code", code.into())));
    Series { attributes, overflow: false, start: method.start, value: SeriesValue::Sum(count, None) }
}
