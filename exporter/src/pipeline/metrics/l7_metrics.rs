//! Hubble's metrics of layer 7, of access-log records: DNS and HTTP. Records are no packets: counting one may allocate.
//!
//! Rules of Cilium's `pkg/hubble/metrics`: dns, http.

use std::collections::HashMap;
use std::sync::Arc;

use eyepiece_flow::dns_names::{metrics_response_code, record_type};
use eyepiece_flow::flow::{Direction, Flow, Verdict};
use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::l7::{Dns, Http, L7, L7Kind, L7Record};
use eyepiece_flow::lookup::FlowEnd;
use eyepiece_flow::text;

use super::durations::{DURATION_BUCKETS, Durations, Exemplar};
use super::ends::PackedEnds;
use super::ends_view::EndsView;
use super::handlers::{DnsOptions, Handlers, HttpOptions};
use super::labels::Labels;
use super::points::{identity, metric};
use super::series::{Slot, Table};
use super::series_key::{SeriesKey, key_names};
use super::snapshot::{EndLabel, Metric, MetricKind};
use crate::metadata::{NameSnapshot, WantedTexts};
use crate::support::joined_text;

/// Bytes of a trace id at most, twice those of W3C's.
const MAX_TRACE_ID: usize = 64;
/// Bytes of a label's value at most: a source may send texts of any length. DNS names have at most 255.
const MAX_VALUE: usize = 256;
/// The record type AAAA.
const AAAA: u16 = 28;

/// What a record is counted with.
#[derive(Clone, Copy)]
pub(super) struct L7Context<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) names: &'a NameSnapshot,
    /// Arrival time, ns since the Unix epoch.
    pub(super) now: u64,
}

/// The series of these metrics; `None` for handlers that are not in use.
#[derive(Debug)]
pub(super) struct L7Metrics {
    pub(super) dns: Option<DnsMetrics>,
    pub(super) http: Option<HttpMetrics>,
}

#[derive(Debug)]
pub(super) struct DnsMetrics {
    ends: EndsView,
    has_query: bool,
    ignores_aaaa: bool,
    pub(super) queries: Table<SeriesKey>,
    pub(super) responses: Table<SeriesKey>,
    pub(super) response_types: Table<SeriesKey>,
}

#[derive(Debug)]
pub(super) struct HttpMetrics {
    ends: EndsView,
    is_v2: bool,
    has_exemplars: bool,
    pub(super) requests: Counted,
    pub(super) responses: Counted,
    pub(super) durations: TimedSeries,
}

/// A counter whose series may have exemplars.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) table: Table<SeriesKey>,
    /// By slot.
    exemplars: HashMap<u32, Exemplar>,
}

/// A histogram.
#[derive(Debug)]
pub(super) struct TimedSeries {
    /// The number of durations and their sum, ns.
    pub(super) table: Table<SeriesKey>,
    /// By slot.
    durations: Vec<Durations>,
    /// By slot, one for each bucket.
    exemplars: HashMap<u32, [Option<Exemplar>; DURATION_BUCKETS]>,
}

impl L7Metrics {
    pub(super) fn new(handlers: &Handlers, wanted: &WantedTexts, max_series: usize) -> Self {
        let table = || Table::new(max_series);
        let dns = handlers.dns.as_ref().map(|DnsOptions { contexts, query, ignore_aaaa }| DnsMetrics {
            ends: EndsView::new(contexts.clone(), wanted),
            has_query: *query,
            ignores_aaaa: *ignore_aaaa,
            queries: table(),
            responses: table(),
            response_types: table(),
        });
        let counted = || Counted { table: table(), exemplars: HashMap::new() };
        let http = handlers.http.as_ref().map(|HttpOptions { contexts, is_v2, exemplars }| HttpMetrics {
            ends: if *is_v2 {
                EndsView::swapped(contexts.clone(), wanted)
            } else {
                EndsView::new(contexts.clone(), wanted)
            },
            is_v2: *is_v2,
            has_exemplars: *exemplars,
            requests: counted(),
            responses: counted(),
            durations: TimedSeries { table: table(), durations: Vec::new(), exemplars: HashMap::new() },
        });
        Self { dns, http }
    }

    /// Counts a flow with layer 7.
    #[cold]
    pub(super) fn count(&mut self, flow: &Flow, l7: &L7, context: L7Context<'_>) {
        match (&l7.record, &mut self.dns, &mut self.http) {
            (L7Record::Dns(record), Some(dns), _) => dns.count(flow, record, context),
            (L7Record::Http(record), _, Some(http)) => http.count(flow, l7, record, context),
            _ => {}
        }
    }

    /// The tables of the metrics in use.
    pub(super) fn tables(&self) -> impl Iterator<Item = (MetricKind, &Table<SeriesKey>)> {
        let dns = self.dns.iter().flat_map(DnsMetrics::tables);
        let http = self.http.iter().flat_map(|http| {
            let counted = http.counted().map(|(kind, counted)| (kind, &counted.table));
            counted.chain([(MetricKind::HttpRequestDuration, &http.durations.table)])
        });
        dns.chain(http)
    }

    /// The same, to expire series.
    pub(super) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table<SeriesKey>> {
        let dns = self.dns.iter_mut().flat_map(|dns| [&mut dns.queries, &mut dns.responses, &mut dns.response_types]);
        let http = self
            .http
            .iter_mut()
            .flat_map(|http| [&mut http.requests.table, &mut http.responses.table, &mut http.durations.table]);
        dns.chain(http)
    }

    /// The sums of a snapshot.
    pub(super) fn sums(&self) -> impl Iterator<Item = Metric> {
        let first = |_, slot: &Slot| slot.first;
        let dns = self.dns.iter().flat_map(move |dns| {
            let metric = move |(kind, table)| metric(kind, dns.ends.contexts(), table, first, joined);
            dns.tables().map(metric)
        });
        let http = self.http.iter().flat_map(move |http| {
            http.counted().map(move |(kind, counted)| {
                let sums = metric(kind, http.ends.contexts(), &counted.table, first, joined);
                http.with_labels(sums, &counted.table, |slot| {
                    counted.exemplars.get(&slot).into_iter().cloned().collect()
                })
            })
        });
        dns.chain(http)
    }

    /// The histogram of a snapshot.
    pub(super) fn durations(&self) -> Option<Metric<Durations>> {
        let http = self.http.as_ref()?;
        let TimedSeries { table, durations, exemplars } = &http.durations;
        let of_slot = |slot: u32, _: &Slot| durations.get(slot as usize).copied().unwrap_or_default();
        let histogram = metric(MetricKind::HttpRequestDuration, http.ends.contexts(), table, of_slot, joined);
        let of_buckets = |slot| exemplars.get(&slot).into_iter().flatten().flatten().cloned().collect();
        Some(http.with_labels(histogram, table, of_buckets))
    }
}

/// The labels of a key.
fn joined(labels: u64) -> Labels {
    // Truncation is intended: the number of a symbol.
    Labels::Joined(Symbol::from_number(labels as u32))
}

/// Calls `count` with the ends of a flow, and with whether the flow carries their names.
fn with_ends(ends: &EndsView, flow: &Flow, context: L7Context<'_>, count: impl FnOnce(PackedEnds, bool)) {
    let has_labels = |end| !flow.record_labels(end).is_empty();
    if flow.metadata.is_some() || has_labels(FlowEnd::Source) || has_labels(FlowEnd::Destination) {
        // The texts live until the flow is counted.
        let (ends, _leases) = ends.of_carried(context.symbols, context.names, flow);
        count(ends, true);
    } else {
        count(ends.of_flow(context.names, flow), false);
    }
}

/// Returns the slot of the series with these values of labels.
fn place(
    table: &mut Table<SeriesKey>,
    (ends, is_carried): (PackedEnds, bool),
    values: &[&str],
    context: L7Context<'_>,
) -> u32 {
    let mut joined = String::new();
    for value in values {
        let end = value.floor_char_boundary(MAX_VALUE);
        joined_text::push(&mut joined, &value[..end]);
    }
    let lease = context.symbols.lease(&joined);
    let key = SeriesKey { ends, labels: lease.symbol().number().into() };
    table.place(key, context.now, || {
        let [source, destination, of_source, of_destination, _] = key_names(context.symbols, key, is_carried);
        let joined = context.symbols.hold(lease.symbol()).map(Arc::new);
        [source, destination, of_source, of_destination, joined]
    })
}

impl DnsMetrics {
    fn tables(&self) -> impl Iterator<Item = (MetricKind, &Table<SeriesKey>)> {
        [
            (MetricKind::DnsQueries, &self.queries),
            (MetricKind::DnsResponses, &self.responses),
            (MetricKind::DnsResponseTypes, &self.response_types),
        ]
        .into_iter()
    }

    fn count(&mut self, flow: &Flow, dns: &Dns, context: L7Context<'_>) {
        if self.ignores_aaaa && dns.qtypes == [AAAA] {
            return;
        }
        let Self { ends, has_query, queries, responses, response_types, .. } = self;
        let qtypes = dns.qtypes.iter().map(|code| record_type(*code)).collect::<Vec<_>>().join(",");
        let ips_returned = dns.ips.len().to_string();
        let (table, rcode, is_response) = match (flow.verdict, flow.is_reply) {
            (Verdict::Dropped, _) => (queries, "Policy denied", false),
            (_, Some(true)) => (responses, metrics_response_code(dns.rcode), true),
            (_, Some(false) | None) => (queries, "", false),
        };
        with_ends(ends, flow, context, |ends, is_carried| {
            let values = [rcode, &qtypes, &ips_returned, &dns.query];
            let values = if *has_query { &values[..] } else { &values[..3] };
            let slot = place(table, (ends, is_carried), values, context);
            table.add(slot, 1, 0, context.now);
            for code in dns.rrtypes.iter().filter(|_| is_response) {
                let values = [record_type(*code), &qtypes, &dns.query];
                let values = if *has_query { &values[..] } else { &values[..2] };
                let slot = place(response_types, (ends, is_carried), values, context);
                response_types.add(slot, 1, 0, context.now);
            }
        });
    }
}

impl HttpMetrics {
    /// The counters in use.
    fn counted(&self) -> impl Iterator<Item = (MetricKind, &Counted)> {
        let responses = (!self.is_v2).then_some((MetricKind::HttpResponses, &self.responses));
        [(MetricKind::HttpRequests, &self.requests)].into_iter().chain(responses)
    }

    /// Adds what the metrics of HTTP have besides: exemplars, and labels of ends that are exchanged.
    fn with_labels<V>(
        &self,
        mut metric: Metric<V>,
        table: &Table<SeriesKey>,
        exemplars: impl Fn(u32) -> Vec<Exemplar>,
    ) -> Metric<V> {
        let own = table.numbered().map(|(key, number, _)| (identity(key, joined), exemplars(number)));
        metric.exemplars = own.filter(|(_, exemplars)| !exemplars.is_empty()).collect();
        if self.is_v2 {
            // The context of one end gives the value, that of the other one whether there is a label.
            let exchanged = |own, other| match (own, other) {
                (EndLabel::Absent, _) => EndLabel::Absent,
                (_, EndLabel::Absent) => EndLabel::Name,
                (_, other) => other,
            };
            let (source, destination) = (metric.source, metric.destination);
            (metric.source, metric.destination) = (exchanged(source, destination), exchanged(destination, source));
        }
        metric
    }

    fn count(&mut self, flow: &Flow, l7: &L7, http: &Http, context: L7Context<'_>) {
        let Self { ends, is_v2, has_exemplars, requests, responses, durations } = self;
        let trace_id = if *has_exemplars { trace_id(flow, l7) } else { None };
        let exemplar = |value| trace_id.clone().map(|trace_id| Exemplar { trace_id, value, time: context.now });
        let reporter = match flow.direction {
            Direction::Egress => "client",
            Direction::Ingress => "server",
            Direction::Unknown => "unknown",
        };
        let status = http.code.to_string();
        let with_status = [&*http.method, &http.protocol, &status, reporter];
        let (counted, values) = match (l7.kind, *is_v2) {
            (L7Kind::Request, false) => (requests, &[&*http.method, &http.protocol, reporter][..]),
            (L7Kind::Response, false) => (responses, &with_status[..]),
            (L7Kind::Response, true) => (requests, &with_status[..]),
            _ => return,
        };
        with_ends(ends, flow, context, |ends, is_carried| {
            let slot = place(&mut counted.table, (ends, is_carried), values, context);
            counted.add(slot, exemplar(1.0), context.now);
            if l7.kind == L7Kind::Response {
                let slot = place(&mut durations.table, (ends, is_carried), &[&http.method, reporter], context);
                // The quotient is as exact as Hubble's.
                durations.add(slot, l7.latency_ns, exemplar(l7.latency_ns as f64 / 1e9), context.now);
            }
        });
    }
}

/// The trace of a record, or of a flow that carries one. Another server may send any text: a long one is left out.
fn trace_id(flow: &Flow, l7: &L7) -> Option<Arc<str>> {
    let carried = flow.metadata.as_deref().map(|metadata| metadata.trace_id.as_str()).filter(|id| !id.is_empty());
    if let Some(id) = carried {
        return (id.len() <= MAX_TRACE_ID).then(|| id.into());
    }
    l7.trace().map(|id| String::from_utf8_lossy(&text::hex(id)).into())
}

impl Counted {
    fn add(&mut self, slot: u32, exemplar: Option<Exemplar>, now: u64) {
        if self.table.is_unused(slot) {
            self.exemplars.remove(&slot);
        }
        self.table.add(slot, 1, 0, now);
        if let Some(exemplar) = exemplar {
            self.exemplars.insert(slot, exemplar);
        }
    }
}

impl TimedSeries {
    fn add(&mut self, slot: u32, ns: u64, exemplar: Option<Exemplar>, now: u64) {
        let place = slot as usize;
        if self.durations.len() <= place {
            self.durations.resize(place + 1, Durations::default());
        }
        if self.table.is_unused(slot) {
            self.durations[place] = Durations::default();
            self.exemplars.remove(&slot);
        }
        self.table.add(slot, 1, ns, now);
        self.durations[place].add(ns);
        if let Some(exemplar) = exemplar {
            self.exemplars.entry(slot).or_default()[Durations::bucket(ns)] = Some(exemplar);
        }
    }
}
