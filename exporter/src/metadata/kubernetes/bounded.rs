//! A client of the API server whose answers are bounded in bytes and in time, whatever the server sends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tower_service::Service;

use super::limits::Limits;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Sends requests of one kind of objects.
struct Bounded {
    client: Client,
    limits: Limits,
    /// Counts the watches that the server accepted.
    accepted: watch::Sender<u64>,
    /// When the last watch began.
    last_watch: Option<Instant>,
}

/// Returns a client with limits, and what counts the watches that the server accepted.
pub(super) fn bounded(client: Client, limits: Limits) -> (Client, watch::Receiver<u64>) {
    let (accepted, count) = watch::channel(0);
    let namespace = client.default_namespace().to_owned();
    (Client::new(Bounded { client, limits, accepted, last_watch: None }, namespace), count)
}

impl Service<Request<Body>> for Bounded {
    type Response = Response<BoundedBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, limits, accepted) = (self.client.clone(), self.limits, self.accepted.clone());
        let query = request.uri().query().unwrap_or_default();
        let is_watch = query.split('&').any(|parameter| parameter.starts_with("watch="));
        // A server may end each watch at once: kube then begins the next one without a pause.
        let last = self.last_watch.filter(|_| is_watch);
        if is_watch {
            self.last_watch = Some(Instant::now());
        }
        Box::pin(async move {
            if let Some(last) = last {
                sleep_until(last + limits.watch_pause).await;
            }
            let response = timeout(limits.response, client.send(request)).await;
            let response = response.map_err(|_| format!("no response within {:?}", limits.response))??;
            let is_watch = is_watch && response.status().is_success();
            if is_watch {
                accepted.send_modify(|count| *count += 1);
            }
            Ok(response.map(|body| BoundedBody::new(body, is_watch, limits)))
        })
    }
}

/// The body of an answer: a list with a limit of bytes and a deadline, or a watch with a limit for each line. A watch
/// without a line for a while ends: the connection may be dead, and the next request finds out.
pub(super) struct BoundedBody {
    inner: Body,
    is_watch: bool,
    /// Bytes that may follow: of the list, or of the line.
    left: usize,
    max: usize,
    pause: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl BoundedBody {
    fn new(inner: Body, is_watch: bool, limits: Limits) -> Self {
        let (max, pause) =
            if is_watch { (limits.line_bytes, limits.silence) } else { (limits.list_bytes, limits.list) };
        Self { inner, is_watch, left: max, max, pause, deadline: Box::pin(sleep(pause)) }
    }

    /// Counts bytes. Returns whether there are too many.
    fn is_over(&mut self, data: &[u8]) -> bool {
        let newline = data.iter().rposition(|byte| *byte == b'\n').filter(|_| self.is_watch);
        let open = newline.map_or(data, |at| data.get(at + 1..).unwrap_or_default());
        if newline.is_some() {
            self.left = self.max;
            self.deadline.as_mut().reset(Instant::now() + self.pause);
        }
        let left = self.left.checked_sub(open.len());
        self.left = left.unwrap_or_default();
        left.is_none()
    }
}

impl http_body::Body for BoundedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            let late = format!("the list did not end within {:?}", self.pause);
            let late = io::Error::new(io::ErrorKind::TimedOut, late);
            return Poll::Ready((!self.is_watch).then(|| Err(late.into())));
        }
        match std::task::ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => {
                let is_over = frame.data_ref().is_some_and(|data| self.is_over(data));
                let what = if self.is_watch { "object" } else { "list" };
                Poll::Ready(Some(if is_over {
                    Err(format!("{what} of more than {} bytes", self.max).into())
                } else {
                    Ok(frame)
                }))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => Poll::Ready(None),
        }
    }
}
