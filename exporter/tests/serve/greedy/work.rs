//! Requests with expensive answers: others are served meanwhile, and shutdown is not delayed.

use std::time::Duration;

use eyepiece::serve::grpc::Limits;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::support::{Server, TIMEOUT, status};

/// Flows of the ring: to ask each of them what the filters below ask takes minutes.
const ENTRIES: u32 = 40_000;

/// As many labels as a request may have, none of which matches.
fn labels() -> Vec<FlowFilter> {
    let filter = |number| FlowFilter {
        source_label: (0..9).map(|label| format!("k8s:label{label}=no{number}")).collect(),
        ..FlowFilter::default()
    };
    (0..10_000).map(filter).collect()
}

/// Expressions that use up all steps that they have.
fn expressions() -> Vec<FlowFilter> {
    let list = format!("[{}]", "1,".repeat(200));
    let text = format!("!{list}.all(a, {list}.all(b, {list}.all(c, true)))");
    let filter =
        FlowFilter { experimental: Some(Experimental { cel_expression: vec![text] }), ..FlowFilter::default() };
    vec![filter; 32]
}

fn requests() -> Vec<GetFlowsRequest> {
    let mut requests = Vec::new();
    for filters in [labels(), expressions()] {
        let last = GetFlowsRequest { number: 1, whitelist: filters, ..GetFlowsRequest::default() };
        // From the oldest one on, and those to come: it is the filters that take long, not the search.
        let since = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let follower = GetFlowsRequest { number: 0, follow: true, since, ..last.clone() };
        let blacklist = GetFlowsRequest { whitelist: Vec::new(), blacklist: last.whitelist.clone(), ..last.clone() };
        requests.extend([last, follower, GetFlowsRequest { number: u64::MAX, ..blacklist }]);
    }
    requests
}

#[tokio::test]
async fn long_requests_leave_room_for_others() {
    let mut server = Server::start(ENTRIES, Limits::default()).await;
    let requests = requests();
    let mut clients = Vec::new();
    for request in &requests {
        let mut client = server.client().await;
        let request = request.clone();
        clients.push(tokio::spawn(async move {
            let mut answer = client.get_flows(request).await?.into_inner();
            while answer.message().await?.is_some() {}
            Ok::<(), tonic::Status>(())
        }));
    }
    server.until("streams", "", requests.len() as u64).await;
    let (mut tcp, mut unix) = (server.client().await, server.unix_client().await);
    for _ in 0..20 {
        assert_eq!(status(&mut tcp).await.num_flows, u64::from(ENTRIES));
        assert_eq!(status(&mut unix).await.num_flows, u64::from(ENTRIES));
        // A pod's flows, as people look for them.
        let wanted = FlowFilter { source_label: vec!["k8s:label0=39999".to_owned()], ..FlowFilter::default() };
        let request = GetFlowsRequest { number: 1, whitelist: vec![wanted], ..GetFlowsRequest::default() };
        let mut answer = timeout(TIMEOUT, unix.get_flows(request)).await.expect("it is served").unwrap().into_inner();
        assert!(timeout(TIMEOUT, answer.message()).await.expect("it is served").unwrap().is_some());
        server.write(1);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(clients.iter().all(|client| !client.is_finished()), "they are still at it");
    server.end(Duration::from_secs(2)).await;
    for client in clients {
        let end = timeout(TIMEOUT, client).await.expect("it ends").unwrap();
        assert_eq!(end.unwrap_err().code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn work_ends_when_client_leaves() {
    let server = Server::start(ENTRIES, Limits::default()).await;
    for request in requests() {
        let mut client = server.client().await;
        let answer = client.get_flows(request).await.unwrap();
        server.until("streams", "", 1).await;
        drop(answer);
        server.until("streams", "", 0).await;
    }
}

/// Short patterns that take long to compile: they block no other request.
#[tokio::test]
async fn slow_patterns_do_not_block_server() {
    let server = Server::start(1, Limits::default()).await;
    let path = r"(\pL\pN\pS){12}".to_owned();
    let filter = FlowFilter { http_path: vec![path], ..FlowFilter::default() };
    let request = GetFlowsRequest { whitelist: vec![filter; 64], number: 1, ..GetFlowsRequest::default() };
    let mut clients = Vec::new();
    for _ in 0..4 {
        let client = server.client().await;
        for _ in 0..50 {
            let (mut client, request) = (client.clone(), request.clone());
            clients.push(tokio::spawn(async move { client.get_flows(request).await.map(drop) }));
        }
    }
    server.until("streams", "", 200).await;
    let mut unix = server.unix_client().await;
    for _ in 0..20 {
        assert_eq!(status(&mut unix).await.num_flows, 1);
    }
    assert!(clients.iter().any(|client| !client.is_finished()), "they are still at it");
    server.end(Duration::from_secs(1)).await;
}
