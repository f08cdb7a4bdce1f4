//! Clients whose expressions make all they can: the process keeps its size, and others have their answers.
use std::fs;
use std::time::{Duration, Instant};

use eyepiece::serve::grpc::Limits;
use eyepiece_hubble::proto::flow::FlowFilter;
use eyepiece_hubble::proto::flow::flow_filter::Experimental;
use eyepiece_hubble::proto::observer::GetFlowsRequest;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::support::{Server, status};

/// Flows of the ring: each is evaluated for each of the clients.
const ENTRIES: u32 = 4000;
/// Bytes by which the process may grow: a flow's expressions make some hundred kilobytes.
const GROWTH: u64 = 64 << 20;
/// The duration of the clients' requests.
const TIME: Duration = Duration::from_secs(6);
/// Timeout of other clients' answers on a busy machine.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(5);

/// 12 KB: a list of 3,500 times a text of 128 KB.
fn expression() -> String {
    let list = vec!["x"; 3500].join(",");
    let doubled = ".map(a, a+a).map(b, b+b).map(c, c+c).map(d, d+d).map(e, e+e)";
    format!("['{}']{doubled}.exists(x, size([{list}]) == 0)", "x".repeat(4000))
}

/// The most memory that this process has had, in bytes.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn greedy_expressions_keep_memory_bounded() {
    eyepiece_tests::own_process!();
    let server = Server::start(ENTRIES, Limits::default()).await;
    let mut other = server.client().await;
    assert_eq!(status(&mut other).await.num_flows, u64::from(ENTRIES));
    // What the process had before it was small is not of interest.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = most_memory();
    let experimental = Some(Experimental { cel_expression: vec![expression()] });
    let whitelist = vec![FlowFilter { experimental, ..FlowFilter::default() }];
    let request = GetFlowsRequest { number: u64::MAX, whitelist, ..GetFlowsRequest::default() };
    let mut greedy: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..3 {
        let (mut client, request) = (server.client().await, request.clone());
        greedy.push(tokio::spawn(async move {
            loop {
                let mut answer = client.get_flows(request.clone()).await.unwrap().into_inner();
                while answer.message().await.unwrap().is_some() {}
            }
        }));
    }
    server.until("streams", "", 3).await;
    let start = Instant::now();
    while start.elapsed() < TIME {
        let wanted = FlowFilter { source_label: vec!["k8s:label0=3999".to_owned()], ..FlowFilter::default() };
        let request = GetFlowsRequest { number: 1, whitelist: vec![wanted], ..GetFlowsRequest::default() };
        let answer = async {
            let mut answer = other.get_flows(request).await.unwrap().into_inner();
            assert!(answer.message().await.unwrap().is_some(), "the flow is there");
        };
        timeout(OTHERS_TIMEOUT, answer).await.expect("it is answered beside them");
        let grown = most_memory().saturating_sub(before);
        assert!(grown < GROWTH, "{} MiB more", grown >> 20);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(greedy.iter().all(|client| !client.is_finished()), "they are still at it");
    println!("{} MiB more", most_memory().saturating_sub(before) >> 20);
}
