//! `peer.Peer/Notify`: a stream for each client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use eyepiece_hubble::proto::peer::{ChangeNotification, NotifyRequest};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::Incidents;
use crate::serve::grpc::MAX_MESSAGE_BYTES;
use crate::serve::peer::registry::{Subscription, Told};
use crate::services::peer::peer_server::{Peer, PeerServer};

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
        PeerServer::new(self).max_decoding_message_size(MAX_MESSAGE_BYTES)
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
        Ok(Response::new(Changes { state: State::Nodes(subscription, 0) }))
    }
}

/// What one client is told.
pub struct Changes {
    state: State,
}

enum State {
    /// The nodes of the beginning, and how many were told.
    Nodes(Subscription, usize),
    /// What changes then.
    Listening(Listening),
    Ended,
}

type Changed = Result<Arc<ChangeNotification>, RecvError>;
type Listening = Pin<Box<dyn Future<Output = (Changed, Receiver<Arc<ChangeNotification>>, Incidents)> + Send>>;

fn listen(mut changes: Receiver<Arc<ChangeNotification>>, incidents: Incidents) -> State {
    State::Listening(Box::pin(async move { (changes.recv().await, changes, incidents) }))
}

impl Stream for Changes {
    type Item = Result<ChangeNotification, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Nodes(subscription, told) => {
                    if let Some(node) = subscription.nodes.get(told).cloned() {
                        self.state = State::Nodes(subscription, told + 1);
                        return Poll::Ready(Some(Ok(ChangeNotification::clone(&node))));
                    }
                    self.state = listen(subscription.changes, subscription.incidents);
                }
                State::Listening(mut listening) => {
                    let Poll::Ready((changed, changes, incidents)) = listening.as_mut().poll(cx) else {
                        self.state = State::Listening(listening);
                        return Poll::Pending;
                    };
                    return Poll::Ready(Some(match changed {
                        Ok(change) => {
                            self.state = listen(changes, incidents);
                            Ok(ChangeNotification::clone(&change))
                        }
                        Err(RecvError::Lagged(_)) => {
                            incidents.count("stream_behind");
                            Err(behind())
                        }
                        Err(RecvError::Closed) => Err(leaving()),
                    }));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

fn behind() -> Status {
    Status::resource_exhausted("the client is too many changes of nodes behind; ask anew for all of them")
}
