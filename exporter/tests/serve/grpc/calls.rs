//! Calls of a real client as a Prometheus page shows them: Hubble's `grpc_server_*`.

use std::time::Duration;

use eyepiece::export::prometheus::{Format, Page, RequestMetrics};
use eyepiece::services::peer::peer_client::PeerClient;
use eyepiece_hubble::proto::Encoded;
use eyepiece_hubble::proto::peer::NotifyRequest;
use eyepiece_tests::eventually_async;
use http::uri::PathAndQuery;
use tonic::{Code, Request};

use super::support::{Server, Setup, TIMEOUT, health};

const CHECK: &str = "grpc_method=\"Check\",grpc_service=\"grpc.health.v1.Health\",grpc_type=\"unary\"";
const NOTIFY: &str = "grpc_method=\"Notify\",grpc_service=\"peer.Peer\",grpc_type=\"server_stream\"";
const GET_FLOWS: &str = "grpc_method=\"GetFlows\",grpc_service=\"observer.Observer\",grpc_type=\"server_stream\"";
const REFLECTION: &str = "grpc_method=\"ServerReflectionInfo\",grpc_service=\"grpc.reflection.v1.ServerReflection\",\
                          grpc_type=\"bidi_stream\"";

fn page(server: &Server) -> String {
    let requests = RequestMetrics::new(server.telemetry.calls());
    let page = Page { flows: &[], requests: &requests, samples: &[], resource: &[] };
    String::from_utf8(page.render(Format::Text)).unwrap()
}

/// Waits until the page has these values of counters.
async fn wait(server: &Server, counters: &[(&str, &str, &str, u64)]) {
    let lines: Vec<_> = counters
        .iter()
        .map(|(name, code, labels, value)| {
            let code = if code.is_empty() { String::new() } else { format!("grpc_code=\"{code}\",") };
            format!("grpc_server_{name}_total{{{code}{labels}}} {value}")
        })
        .collect();
    let missing = || -> Vec<String> {
        let page = page(server);
        lines.iter().filter(|line| !page.lines().any(|shown| shown == **line)).cloned().collect()
    };
    let all_there = eventually_async(TIMEOUT, "the counts", || missing().is_empty().then_some(())).await;
    all_there.unwrap_or_else(|error| panic!("{error}: {:#?}\n{}", missing(), page(server)));
}

#[tokio::test]
async fn calls_are_counted_as_hubble() {
    let server = Setup::default().start().await;
    let channel = server.channel().await;
    // Once it answers, all methods have their zeros.
    assert_eq!(health(channel.clone(), "").await.unwrap(), 1);
    assert_eq!(health(channel.clone(), "other").await.unwrap_err().code(), Code::NotFound);
    wait(
        &server,
        &[
            ("started", "", CHECK, 2),
            ("msg_received", "", CHECK, 2),
            ("msg_sent", "", CHECK, 1),
            ("handled", "OK", CHECK, 1),
            ("handled", "NotFound", CHECK, 1),
            ("handled", "Canceled", CHECK, 0),
            ("handled", "OK", GET_FLOWS, 0),
            ("started", "", REFLECTION, 0),
        ],
    )
    .await;

    let mut stream = PeerClient::new(channel.clone()).notify(NotifyRequest {}).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().name, "us");
    wait(&server, &[("started", "", NOTIFY, 1), ("msg_received", "", NOTIFY, 1), ("msg_sent", "", NOTIFY, 1)]).await;
    drop(stream);
    wait(&server, &[("handled", "Canceled", NOTIFY, 1)]).await;

    let mut short = Request::new(NotifyRequest {});
    short.set_timeout(Duration::from_secs(2));
    let mut stream = PeerClient::new(channel.clone()).notify(short).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    wait(&server, &[("started", "", NOTIFY, 2), ("handled", "DeadlineExceeded", NOTIFY, 1)]).await;

    // A client cannot make series.
    let before = page(&server).lines().count();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<Encoded, Encoded>::default();
    let path = PathAndQuery::from_static("/peer.Peer/Nothing");
    let status = client.unary(Request::new(Encoded::default()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(page(&server).lines().count(), before);
    assert!(page(&server).contains("\n# TYPE grpc_server_handled_total counter\n"));
}
