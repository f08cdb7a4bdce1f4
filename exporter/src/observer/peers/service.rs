//! `peer.Peer/Notify`: a stream for each client.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::roster::{Subscription, Told};
use crate::grpc::MESSAGE;
use crate::proto::peer::peer_server::{Peer, PeerServer};
use crate::proto::peer::{ChangeNotification, NotifyRequest};

/// The service; cloning shares it.
#[derive(Clone, Debug)]
pub struct PeerService {
    told: mpsc::Sender<Told>,
}

impl PeerService {
    pub(super) const fn new(told: mpsc::Sender<Told>) -> Self {
        Self { told }
    }

    /// For the routes, with the limits of all services.
    pub fn server(self) -> PeerServer<Self> {
        PeerServer::new(self).max_decoding_message_size(MESSAGE)
    }
}

fn leaving() -> Status {
    Status::unavailable("the server is shutting down")
}

#[tonic::async_trait]
impl Peer for PeerService {
    type NotifyStream = Changes;

    async fn notify(&self, _request: Request<NotifyRequest>) -> Result<Response<Changes>, Status> {
        let (reply, subscription) = oneshot::channel();
        self.told.send(Told::Subscribe(reply)).await.map_err(|_| leaving())?;
        let subscription = subscription.await.map_err(|_| leaving())?;
        Ok(Response::new(Changes { subscription: Some(subscription) }))
    }
}

/// What one client is told.
pub struct Changes {
    /// None once it has ended.
    subscription: Option<Subscription>,
}

impl Stream for Changes {
    type Item = Result<ChangeNotification, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(subscription) = &mut self.subscription else { return Poll::Ready(None) };
        let end = if subscription.is_behind.load(Ordering::Acquire) {
            Status::resource_exhausted("the client is too many changes of nodes behind; ask anew for all of them")
        } else {
            match std::task::ready!(subscription.changes.poll_recv(cx)) {
                Some(change) => return Poll::Ready(Some(Ok(ChangeNotification::clone(&change)))),
                None => leaving(),
            }
        };
        self.subscription = None;
        Poll::Ready(Some(Err(end)))
    }
}
