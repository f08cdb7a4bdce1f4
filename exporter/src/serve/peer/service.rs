//! `peer.Peer/Notify`: a stream of changes for each client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use eyepiece_hubble::proto::peer::{ChangeNotification, NotifyRequest};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, Response, Status};

use super::registry::{PeerUpdate, Subscription};
use crate::serve::grpc::{MAX_MESSAGE_BYTES, shutting_down};
use crate::services::peer::peer_server::{Peer, PeerServer};
use crate::support::incidents::Incidents;

/// The service; clones share the registry.
#[derive(Clone, Debug)]
pub struct PeerService {
    updates: mpsc::Sender<PeerUpdate>,
}

impl PeerService {
    pub(super) const fn new(updates: mpsc::Sender<PeerUpdate>) -> Self {
        Self { updates }
    }

    /// Returns the service for the routes, with the limit of all services.
    pub fn server(self) -> PeerServer<Self> {
        PeerServer::new(self).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

#[tonic::async_trait]
impl Peer for PeerService {
    type NotifyStream = Notifications;

    async fn notify(&self, _request: Request<NotifyRequest>) -> Result<Response<Notifications>, Status> {
        let (reply, subscription) = oneshot::channel();
        self.updates.send(PeerUpdate::Subscribe(reply)).await.map_err(|_| shutting_down())?;
        let Subscription { nodes, changes, incidents } = subscription.await.map_err(|_| shutting_down())?;
        let changes = Some(BroadcastStream::new(changes));
        Ok(Response::new(Notifications { nodes: Some(nodes), sent: 0, changes, incidents }))
    }
}

/// One client's notifications: first the known nodes, then changes.
pub struct Notifications {
    /// `Some` until all of them are sent.
    nodes: Option<Arc<[Arc<ChangeNotification>]>>,
    sent: usize,
    /// `Some` until the stream ends.
    changes: Option<BroadcastStream<Arc<ChangeNotification>>>,
    incidents: Incidents,
}

impl Stream for Notifications {
    type Item = Result<ChangeNotification, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(node) = this.nodes.as_ref().and_then(|nodes| nodes.get(this.sent)) {
            this.sent += 1;
            return Poll::Ready(Some(Ok(ChangeNotification::clone(node))));
        }
        this.nodes = None;
        let Some(changes) = &mut this.changes else { return Poll::Ready(None) };
        let status = match ready!(Pin::new(changes).poll_next(cx)) {
            Some(Ok(change)) => return Poll::Ready(Some(Ok(ChangeNotification::clone(&change)))),
            Some(Err(_)) => {
                this.incidents.count("stream_behind");
                Status::resource_exhausted("the client is too many changes behind; subscribe again for all nodes")
            }
            None => shutting_down(),
        };
        this.changes = None;
        Poll::Ready(Some(Err(status)))
    }
}
