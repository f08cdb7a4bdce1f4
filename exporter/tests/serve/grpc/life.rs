//! A server's life: its sockets, its answers to what it does not know, its end.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use eyepiece::serve::grpc::{Address, Bind, Client, Config, Limits};
use eyepiece::services::HEALTH_SERVICE;
use eyepiece::services::VERSION_HEADER;
use eyepiece::services::peer::peer_client::PeerClient;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_hubble::proto::Encoded;
use eyepiece_hubble::proto::peer::NotifyRequest;
use http::uri::PathAndQuery;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1, v1alpha};

use super::support::{Setup, TIMEOUT, VERSION, connect, health, unix};

#[tokio::test]
async fn unknown_requests_are_unimplemented() {
    let server = Setup::default().start().await;
    let channel = server.channel().await;
    for path in ["/observer.Observer/GetFlows", "/peer.Peer/Nothing", "/x"] {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<Encoded, Encoded>::default();
        let request = Request::new(Encoded::default());
        let status = client.unary(request, PathAndQuery::from_static(path), codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(status.metadata().get(VERSION_HEADER).unwrap(), VERSION, "{path}");
    }
    let mut client = HealthClient::new(channel.clone());
    let answer = client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.metadata().get(VERSION_HEADER).unwrap(), VERSION);
    let answer = PeerClient::new(channel).notify(NotifyRequest {}).await.unwrap();
    assert_eq!(answer.metadata().get(VERSION_HEADER).unwrap(), VERSION);
}

#[tokio::test]
async fn services_know_client_of_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubble.sock");
    let (sender, mut clients) = tokio::sync::mpsc::unbounded_channel();
    let intercept = move |request: Request<()>| {
        sender.send(request.extensions().get::<Client>().cloned()).unwrap();
        Ok(request)
    };
    let config = Config {
        listen: vec![Bind::Tcp("127.0.0.1:0".parse().unwrap()), unix(&path)],
        tls: None,
        limits: Limits::default(),
        version: VERSION.parse().unwrap(),
        telemetry: Telemetry::default(),
    };
    let bound = config.bind().await.unwrap();
    let addresses = bound.addresses();
    let Some(Address::Tcp(tcp)) = addresses.first() else { panic!("{addresses:?}") };
    let (_stop, stopped) = shutdown::channel();
    let routes = Routes::new(InterceptedService::new(tonic_health::server::health_reporter().1, intercept));
    tokio::spawn(bound.serve(routes, None, stopped));
    for host in ["127.0.0.2", "127.0.0.3"] {
        let endpoint = Endpoint::from_shared(format!("http://{tcp}")).unwrap();
        let channel = endpoint.local_address(Some(host.parse().unwrap())).connect().await.unwrap();
        health(channel, "").await.unwrap();
        let client = clients.recv().await.unwrap();
        assert!(matches!(&client, Some(Client::Tcp(address)) if address.ip().to_string() == host), "{client:?}");
    }
    health(connect(&format!("unix://{}", path.display()), None).await.unwrap(), "").await.unwrap();
    let client = clients.recv().await.unwrap();
    let own = Client::Unix { pid: Some(std::process::id() as i32), uid: Some(nix::unistd::geteuid().as_raw()) };
    assert_eq!(client, Some(own));
}

#[tokio::test]
async fn health_knows_client_service_names() {
    let server = Setup::default().start().await;
    let channel = server.channel().await;
    for service in ["", HEALTH_SERVICE] {
        assert_eq!(health(channel.clone(), service).await.unwrap(), 1, "{service}");
    }
    assert_eq!(health(channel, "other").await.unwrap_err().code(), Code::NotFound);
}

/// Checks the requests of `list services` and `describe` of a client like grpcurl.
#[tokio::test]
async fn reflection_lists_services() {
    let server = Setup::default().start().await;
    let channel = server.channel().await;
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "observer.Observer",
        "peer.Peer",
    ];
    let ask = |request| v1::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let symbols = ["flow.Flow", "observer.Observer.GetFlows", "relay.NodeStatusEvent", "grpc.health.v1.Health"];
    let mut requests = vec![ask(MessageRequest::ListServices(String::new()))];
    requests.extend(symbols.map(|symbol| ask(MessageRequest::FileContainingSymbol(symbol.to_owned()))));
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let mut answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
    for number in 0..=symbols.len() {
        match answers.message().await.unwrap().unwrap().message_response.unwrap() {
            MessageResponse::ListServicesResponse(list) if number == 0 => {
                let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
                names.sort();
                assert_eq!(names, expected);
            }
            MessageResponse::FileDescriptorResponse(file) => assert!(!file.file_descriptor_proto[0].is_empty()),
            other => panic!("{number}: {other:?}"),
        }
    }
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(list.service.len(), expected.len());
}

fn config(listen: Vec<Bind>) -> Config {
    let (limits, telemetry) = (Limits::default(), Telemetry::default());
    Config { listen, tls: None, limits, version: VERSION.parse().unwrap(), telemetry }
}

#[tokio::test]
async fn address_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hubble.sock");
    let v4 = Setup::default().listen.remove(0);
    let listen = vec![unix(&path), v4, Bind::Tcp("[::1]:0".parse().unwrap())];
    let server = Setup { listen, ..Setup::default() }.start().await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let error = config(vec![unix(&path)]).bind().await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}: process ", path.display())), "{error}");
    let taken = server.tcp();
    let error = config(vec![Bind::Tcp(taken)]).bind().await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on {taken}: ")), "{error}");
    // One of several: none is kept.
    let other = folder.path().join("other.sock");
    assert!(config(vec![unix(&other), Bind::Tcp(taken)]).bind().await.is_err());
    assert!(!other.exists());
    for address in &server.addresses {
        let url = match address {
            Address::Unix(_) => address.to_string(),
            Address::Tcp(address) => format!("http://{address}"),
        };
        assert_eq!(health(connect(&url, None).await.unwrap(), "").await.unwrap(), 1, "{url}");
    }
    server.ask_to_end(TIMEOUT);
    server.ended().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn wildcard_port_serves_both_families() {
    let free = std::net::TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let any = |text: &str| Bind::Tcp(format!("{text}:{free}").parse().unwrap());
    for listen in [vec![any("[::]")], vec![any("[::]"), any("0.0.0.0")]] {
        let server = Setup { listen, ..Setup::default() }.start().await;
        for host in ["127.0.0.1", "[::1]"] {
            let channel = connect(&format!("http://{host}:{free}"), None).await.unwrap();
            assert_eq!(health(channel, "").await.unwrap(), 1, "{host}");
        }
        server.ask_to_end(TIMEOUT);
        server.ended().await;
    }
}

async fn watch(channel: Channel) -> tonic::Streaming<tonic_health::pb::HealthCheckResponse> {
    let request = HealthCheckRequest { service: HEALTH_SERVICE.to_owned() };
    HealthClient::new(channel).watch(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn shutdown_notifies_and_leaves_nothing() {
    let server = Setup::default().start().await;
    let channel = server.channel().await;
    let mut peers = PeerClient::new(channel.clone()).notify(NotifyRequest {}).await.unwrap().into_inner();
    let mut health = watch(channel).await;
    assert_eq!(peers.message().await.unwrap().unwrap().name, "us");
    assert_eq!(health.message().await.unwrap().unwrap().status, 1);
    let address = server.tcp();
    // Streams that do not end by themselves are ended in the middle of this.
    server.ask_to_end(Duration::from_secs(2));
    assert_eq!(health.message().await.unwrap().unwrap().status, 2, "NOT_SERVING while it drains");
    assert_eq!(timeout(TIMEOUT, peers.message()).await.unwrap().unwrap_err().code(), Code::Unavailable);
    let end = timeout(TIMEOUT, health.message()).await.unwrap().unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "the server is shutting down"));
    let telemetry = server.telemetry.clone();
    server.ended().await;
    assert!(TcpStream::connect(address).await.is_err());
    let deadline = |sample: &&eyepiece::support::telemetry::Sample| {
        sample.key.attributes.iter().any(|(_, value)| value == "shutdown_deadline")
    };
    assert!(!telemetry.samples().iter().any(|sample| deadline(&sample)), "in order, not by force");
}

/// A client that reads nothing cannot hold the end up.
#[tokio::test]
async fn shutdown_deadline_holds() {
    use tokio::io::AsyncWriteExt as _;
    let server = Setup::default().start().await;
    let mut silent = TcpStream::connect(server.tcp()).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    server.until("connections", "", 1).await;
    server.ask_to_end(Duration::from_millis(300));
    server.ended().await;
    drop(silent);
}
