//! Contexts and labels of handlers, on flows with entities and on flows that carry them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_config::Handler;
use eyepiece_flow::event::{Totals, Transport};
use eyepiece_flow::flow::{Direction, End, Flow, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::metadata::{EndMetadata, Metadata, Workload};
use eyepiece_wire::{Hook, InterfaceKind};

use super::{Aggregation, bench, config, count, flow, traffic};
use crate::metadata::provider::{Change, ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::Registry;
use crate::metadata::{NameSnapshot, Publisher};
use crate::pipeline::metrics::{
    Attributes, Contexts, DropReasonNames, Handlers, MetricKind, Naming, Snapshot, resolve,
};

pub(super) struct Machine;

impl DropReasonNames for Machine {
    fn reason(&self, reason: u32) -> Cow<'_, str> {
        reason.to_string().into()
    }
}

/// The contexts of a handler's options.
fn options(options: &str) -> Contexts {
    let handler: Handler = format!("drop:{options}").parse().expect(options);
    (&handler.contexts).into()
}

/// Labels and value of each series of a metric.
fn series(snapshot: &Snapshot, kind: MetricKind, naming: Naming) -> Vec<(String, u64)> {
    let metrics = resolve(snapshot, &Machine, naming);
    let metric = metrics.into_iter().find(|metric| metric.name == kind.schema().name);
    let text = |attributes: &Attributes| {
        let pairs = attributes.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    };
    let series = metric.into_iter().flat_map(|metric| metric.series);
    series.map(|series| (text(&series.attributes), series.value.count())).collect()
}

fn pod(name: &str, app: &str) -> EndMetadata {
    EndMetadata {
        namespace: "shop".to_owned(),
        pod_name: name.to_owned(),
        labels: vec![format!("k8s:app={app}")],
        workloads: vec![Workload { name: app.to_owned(), kind: "Deployment".to_owned() }],
        ..EndMetadata::default()
    }
}

/// Pods at 10.0.0.2 and 10.0.0.3, and their names in the contexts of metrics.
fn names(contexts: &Handlers, symbols: &Symbols) -> Arc<NameSnapshot> {
    let publisher = Publisher::default();
    let registry = Registry::new(symbols.clone(), publisher.clone(), contexts.wanted_texts());
    let set = |last: u8, metadata| {
        let entity = Entity { name: "n".to_owned(), ..Entity::of(metadata) };
        Change::Set(Key::Address([10, 0, 0, last].into()), Target::Entity(Arc::new(entity)))
    };
    registry.apply(Provider::Kubernetes, vec![set(2, pod("web-1", "web")), set(3, pod("db-1", "db"))]);
    registry.publish();
    Arc::clone(publisher.reader().snapshot())
}

/// A flow from 10.0.0.2 to 10.0.0.3 in a direction, and the same flow that carries its pods.
fn both(names: &NameSnapshot, verdict: Verdict, direction: Direction) -> [Flow; 2] {
    let end = |last: u8| {
        let address: IpAddr = [10, 0, 0, last].into();
        let link = names.entity_at_address(&address, None).expect("a pod");
        End { endpoint: u16::from(last) - 1, entity: link.entity, name: link.name, ..End::default() }
    };
    let mut own = flow(end(2), end(3), verdict, 100);
    (own.direction, own.traffic) = (direction, None);
    let mut carried = own.clone();
    (carried.source.entity, carried.destination.entity) = (0, 0);
    let (source, destination) = (pod("web-1", "web"), pod("db-1", "db"));
    carried.metadata = Some(Box::new(Metadata { source, destination, ..Metadata::default() }));
    [own, carried]
}

#[test]
fn handlers_label_their_own_metrics() {
    let all = "source_ip,source_pod,source_namespace,source_workload,source_workload_kind,source_app,destination_ip,\
               destination_pod,destination_namespace,destination_workload,destination_workload_kind,destination_app,\
               traffic_direction";
    let drop = "sourceContext=namespace;sourceEgressContext=pod|ip;destinationIngressContext=workload-name";
    let tcp = "sourceContext=ip;destinationContext=app;labelsContext=traffic_direction,source_ip,destination_app";
    let contexts = Handlers {
        drop: Some(options(drop)),
        flow: Some(options(&format!("labelsContext={all}"))),
        tcp: Some(options(tcp)),
        ..Handlers::none()
    };
    let symbols = Symbols::default();
    let names = names(&contexts, &symbols);
    let mut aggregation = Aggregation::new(config(100, contexts), 0).with_symbols(symbols);
    assert_eq!(aggregation.views.len(), 3, "bytes join another view");
    aggregation.set_names(&names);
    for direction in [Direction::Egress, Direction::Ingress, Direction::Unknown] {
        let flows = [Verdict::Dropped, Verdict::Forwarded].map(|verdict| both(&names, verdict, direction));
        flows.as_flattened().iter().for_each(|flow| count(&mut aggregation, flow));
    }
    let snapshot = aggregation.snapshot(200);
    let drops = |ends: &str| (format!("{ends} protocol=TCP reason=DROP_REASON_UNKNOWN"), 2);
    assert_eq!(
        series(&snapshot, MetricKind::Drop, Naming::Hubble),
        [
            drops("source=shop destination="),
            drops("source=shop destination=db"),
            drops("source=shop/web-1 destination="),
        ]
    );
    let labels = "source_ip=10.0.0.2 source_pod=web-1 source_namespace=shop source_workload=web \
                  source_workload_kind=Deployment source_app=web destination_ip=10.0.0.3 destination_pod=db-1 \
                  destination_namespace=shop destination_workload=db destination_workload_kind=Deployment \
                  destination_app=db";
    let flows = |direction: &str, verdict: &str| {
        let own = format!("protocol=TCP type=Trace subtype=from-endpoint verdict={verdict}");
        (format!("{labels} traffic_direction={direction} {own}"), 2)
    };
    let directions = ["egress", "ingress", "unknown"];
    let expected = directions.map(|direction| ["DROPPED", "FORWARDED"].map(|verdict| flows(direction, verdict)));
    assert_eq!(series(&snapshot, MetricKind::FlowsProcessed, Naming::Hubble), expected.as_flattened());
    let tcp = |direction: &str| {
        let ends = "source.address=10.0.0.2 hubble.destination.app=db";
        let direction = format!("hubble.traffic_direction={direction} hubble.destination.name=db");
        (format!("{ends} {direction} hubble.tcp.flag=SYN network.type=ipv4"), 2)
    };
    assert_eq!(series(&snapshot, MetricKind::TcpFlags, Naming::Semconv), directions.map(tcp), "an address once");
}

#[test]
fn unlabelled_metrics_are_not_split() {
    let labelled = options("sourceContext=pod;labelsContext=source_ip,destination_ip,traffic_direction");
    let plain = options("sourceContext=pod");
    let contexts = Handlers {
        drop: Some(labelled.clone()),
        flow: Some(options("")),
        tcp: Some(plain),
        flow_io: labelled,
        ..Handlers::none()
    };
    let symbols = Symbols::default();
    let names = names(&contexts, &symbols);
    let mut aggregation = Aggregation::new(config(100, contexts), 0).with_symbols(symbols);
    assert_eq!(aggregation.views.len(), 1, "one look-up for all");
    aggregation.set_names(&names);
    for last in 10..30 {
        let [mut flow, _] = both(&names, Verdict::Forwarded, Direction::Egress);
        flow.ip.as_mut().expect("addresses").destination = [10, 0, 0, last].into();
        flow.traffic = Some(traffic(Hook::FromEndpoint, 1, 60));
        count(&mut aggregation, &flow);
    }
    let snapshot = aggregation.snapshot(200);
    for (kind, expected) in [(MetricKind::FlowsProcessed, 1), (MetricKind::TcpFlags, 1), (MetricKind::FlowIo, 20)] {
        assert_eq!(series(&snapshot, kind, Naming::Semconv).len(), expected, "{kind:?}");
    }
}

#[test]
fn totals_have_labels_of_flows() {
    let io = options("sourceEgressContext=pod;labelsContext=destination_workload,source_ip,traffic_direction");
    let contexts = Handlers { flow_io: io, ..Handlers::none() };
    let symbols = Symbols::default();
    let names = names(&contexts, &symbols);
    let mut aggregation = Aggregation::new(config(100, contexts), 0).with_symbols(symbols);
    aggregation.set_names(&names);
    let [mut flow, _] = both(&names, Verdict::Forwarded, Direction::Egress);
    flow.traffic = Some(traffic(Hook::FromEndpoint, 2, 120));
    count(&mut aggregation, &flow);
    let addresses = flow.ip.map(|ip| (ip.source, ip.destination));
    let totals = Totals { traffic: traffic(Hook::FromEndpoint, 3, 180), addresses, transport: Transport::default() };
    let ends = (&flow.source, &flow.destination);
    aggregation.count_totals(&totals, ends, Direction::Egress, InterfaceKind::Endpoint);
    let expected = "source_ip=10.0.0.2 destination_workload=db traffic_direction=egress source=shop/web-1";
    let found = series(&aggregation.snapshot(200), MetricKind::FlowPackets, Naming::Hubble);
    assert_eq!(found, [(expected.to_owned(), 5)]);
}

#[test]
fn labels_beyond_limit_overflow() {
    let contexts = Handlers { drop: Some(options("labelsContext=source_ip")), ..Handlers::default() };
    let mut aggregation = Aggregation::new(config(5, contexts), 0);
    let (client, server) = (bench().client, bench().server);
    for last in 0..100_u8 {
        let mut flow = flow(client, server, Verdict::Dropped, 100);
        flow.ip.as_mut().expect("addresses").source = [10, 0, 1, last].into();
        count(&mut aggregation, &flow);
    }
    let drops = series(&aggregation.snapshot(200), MetricKind::Drop, Naming::Semconv);
    assert_eq!((drops.len(), drops.iter().map(|(_, value)| value).sum::<u64>()), (6, 100));
    assert_eq!(aggregation.occupancy()[0].overflowed, 95);
}

#[test]
fn absent_addresses_are_no_labels() {
    let contexts =
        Handlers { drop: Some(options("sourceContext=ip;labelsContext=destination_ip")), ..Handlers::default() };
    let mut aggregation = Aggregation::new(config(5, contexts), 0);
    let mut flow = flow(End::default(), End::default(), Verdict::Dropped, 100);
    (flow.no_source_address, flow.no_destination_address) = (true, true);
    count(&mut aggregation, &flow);
    let expected = "destination_ip= source= protocol=TCP reason=DROP_REASON_UNKNOWN";
    let found = series(&aggregation.snapshot(200), MetricKind::Drop, Naming::Hubble);
    assert_eq!(found, [(expected.to_owned(), 1)]);
}
