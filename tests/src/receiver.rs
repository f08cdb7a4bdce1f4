//! An OTLP receiver in the test's own process, over gRPC, that keeps what it gets and misbehaves on demand.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Response, Status};

use crate::eventually;
use crate::namespace::Inside;

mod received;

pub use received::{Attributes, Log, Point, Received};

/// The receiver's behaviour towards requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes them.
    Accept,
    /// Answers with a status, keeps nothing.
    Refuse(Code),
    /// The same for each request whose number is a multiple of this.
    RefuseEach(u64, Code),
    /// Answers RESOURCE_EXHAUSTED with RetryInfo of this delay, keeps nothing.
    Throttle(Duration),
    /// Takes the request and never answers.
    Hang,
    /// Takes it after a delay.
    Slow(Duration),
    /// Takes all but the first so many records or points of each request, with partial success.
    Partial(u64),
}

/// The receiver; it listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<ReceiverState>,
    inside: Inside,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Debug)]
struct ReceiverState {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Received>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Listens on a free port of the namespace's loopback.
    pub fn start(inside: &Inside) -> Result<Self> {
        Self::start_at(inside, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens on an address of the namespace.
    pub fn start_at(inside: &Inside, address: SocketAddr) -> Result<Self> {
        let shared = Arc::new(ReceiverState {
            behaviour: Mutex::new(Behaviour::Accept),
            received: Mutex::new(Received::default()),
        });
        let mut receiver = Self { shared, inside: inside.clone(), address, runtime: None };
        receiver.back()?;
        Ok(receiver)
    }

    /// Returns its address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value of `otlp.endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *locked(&self.shared.behaviour) = behaviour;
    }

    /// Closes the listener and all connections.
    pub fn away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens again, on the same address.
    pub fn back(&mut self) -> Result<()> {
        let listener = self.inside.run(|| TcpListener::bind(self.address)).with_context(|| self.address.to_string())?;
        listener.set_nonblocking(true)?;
        self.address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let service = Service(Arc::clone(&self.shared));
        let logs = logs::logs_service_server::LogsServiceServer::new(service.clone());
        let metrics = metrics::metrics_service_server::MetricsServiceServer::new(service);
        // Left at its default: a message of more than 4 MiB is refused, as real receivers do.
        let server = tonic::transport::Server::builder()
            .add_service(logs.accept_compressed(CompressionEncoding::Gzip))
            .add_service(metrics.accept_compressed(CompressionEncoding::Gzip));
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        runtime.spawn(async move {
            if let Err(error) = server.serve_with_incoming(incoming).await {
                eprintln!("receiver: {error}");
            }
        });
        self.runtime = Some(runtime);
        Ok(())
    }

    /// Looks at what has come.
    pub fn look<T>(&self, look: impl FnOnce(&Received) -> T) -> T {
        look(&locked(&self.shared.received))
    }

    /// A copy of the log records so far.
    pub fn logs(&self) -> Vec<Log> {
        self.look(|received| received.logs.clone())
    }

    /// The sum of the latest points of a metric whose attributes contain these, or 0.
    pub fn sum(&self, metric: &str, attributes: &[(&str, &str)]) -> u64 {
        self.look(|received| received.sum(metric, attributes))
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *locked(&self.shared.received) = Received::default();
    }

    /// Waits until what has come is as wanted.
    pub fn wait(&self, timeout: Duration, what: &str, wanted: impl Fn(&Received) -> bool) -> Result<()> {
        eventually(timeout, what, || self.look(&wanted).then_some(()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.away();
    }
}

#[derive(Clone, Debug)]
struct Service(Arc<ReceiverState>);

impl Service {
    /// Returns the number of items to reject, after the required wait.
    async fn admit<T>(&self, request: &Request<T>) -> Result<u64, Status>
    where
        T: Message,
    {
        let number = {
            let mut received = locked(&self.0.received);
            received.note_request(request.metadata(), request.get_ref().encoded_len());
            received.requests
        };
        let behaviour = *locked(&self.0.behaviour);
        let refused = match behaviour {
            Behaviour::Accept => return Ok(0),
            Behaviour::RefuseEach(each, _) if number % each != 0 => return Ok(0),
            Behaviour::Partial(rejected) => return Ok(rejected),
            Behaviour::Slow(delay) => {
                tokio::time::sleep(delay).await;
                return Ok(0);
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Refuse(code) | Behaviour::RefuseEach(_, code) => Status::new(code, "scripted refusal"),
            Behaviour::Throttle(delay) => throttled(delay),
        };
        locked(&self.0.received).refused += 1;
        Err(refused)
    }
}

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Service {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        let leave_out = self.admit(&request).await?;
        let rejected = locked(&self.0.received).take_logs(request.into_inner(), leave_out);
        let partial_success = (rejected > 0).then(|| logs::ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: "scripted rejection".to_owned(),
        });
        Ok(Response::new(logs::ExportLogsServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Service {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        let leave_out = self.admit(&request).await?;
        let rejected = locked(&self.0.received).take_metrics(request.into_inner(), leave_out);
        let partial_success = (rejected > 0).then(|| metrics::ExportMetricsPartialSuccess {
            rejected_data_points: rejected,
            error_message: "scripted rejection".to_owned(),
        });
        Ok(Response::new(metrics::ExportMetricsServiceResponse { partial_success }))
    }
}

/// RESOURCE_EXHAUSTED with `google.rpc.RetryInfo` in its details, as OTLP asks of a server that wants a pause.
fn throttled(delay: Duration) -> Status {
    /// `google.rpc.Status`.
    #[derive(Clone, PartialEq, Message)]
    struct RpcStatus {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }
    /// `google.protobuf.Any`.
    #[derive(Clone, PartialEq, Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }
    /// `google.rpc.RetryInfo`.
    #[derive(Clone, PartialEq, Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        retry_delay: Option<Delay>,
    }
    /// `google.protobuf.Duration`.
    #[derive(Clone, PartialEq, Message)]
    struct Delay {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let nanos = delay.subsec_nanos().cast_signed();
    let info = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) };
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    let status = RpcStatus {
        code: Code::ResourceExhausted as i32,
        details: vec![Any { type_url, value: info.encode_to_vec() }],
    };
    Status::with_details(Code::ResourceExhausted, "scripted throttling", status.encode_to_vec().into())
}
