//! Threads that compile filters, beside those that serve: how long that takes is not seen in a request.
//!
//! The queue for them is fair between clients, as each has one request in it: its others wait behind that one. A request
//! that waits too long is refused; as many wait as requests have places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::serve::grpc::Client;
use crate::support::telemetry::Number;

/// Threads at most.
pub(super) const THREADS: usize = 4;
/// How long a request may wait for one: filters that clients usually have compile in a millisecond.
pub(super) const WAIT: Duration = Duration::from_secs(5);

/// A client as the queue knows it, over all its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Process(Option<i32>),
    Host(IpAddr),
    Unknown,
}

impl Key {
    fn of(client: Option<&Client>) -> Self {
        match client {
            Some(Client::Unix(process)) => Self::Process(*process),
            Some(Client::Tcp(address)) => Self::Host(address.ip().to_canonical()),
            None => Self::Unknown,
        }
    }
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotDone {
    /// Others took too long.
    Busy,
    /// The runtime ends, or the work panicked.
    Ended,
}

/// The threads and their queue.
#[derive(Debug)]
pub(super) struct CompilePool {
    threads: Arc<Semaphore>,
    wait: Duration,
    /// What requests of one client queue in before they queue for a thread.
    clients: Mutex<HashMap<Key, Weak<Semaphore>>>,
    refused: Number,
}

impl CompilePool {
    /// A pool that counts the requests that it refuses.
    pub(super) fn new(refused: Number) -> Self {
        Self { threads: Arc::new(Semaphore::new(THREADS)), wait: WAIT, clients: Mutex::default(), refused }
    }

    /// Does some work of a client.
    ///
    /// # Errors
    /// It was not done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: Option<&Client>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let queue = self.queue(Key::of(client));
        let places = async {
            // Neither is ever closed.
            let first = queue.acquire_owned().await.ok()?;
            Some((first, Arc::clone(&self.threads).acquire_owned().await.ok()?))
        };
        let Ok(places) = timeout(self.wait, places).await else {
            self.refused.add(1);
            return Err(NotDone::Busy);
        };
        let places = places.ok_or(NotDone::Ended)?;
        // They are kept until the work is done, also if the client leaves meanwhile.
        let work = move || {
            let _places = places;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| NotDone::Ended)
    }

    fn queue(&self, key: Key) -> Arc<Semaphore> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = clients.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        clients.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Semaphore::new(1));
        clients.insert(key, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::time::{Duration, Instant};

    use super::{CompilePool, NotDone, THREADS};
    use crate::serve::grpc::Client;
    use crate::support::telemetry::Telemetry;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn client(host: u8, port: u16) -> Client {
        Client::Tcp(SocketAddr::from(([127, 0, 0, host], port)))
    }

    fn pool(wait: Duration) -> Arc<CompilePool> {
        let refused = Telemetry::default().counter("test", &[]);
        Arc::new(CompilePool { wait, ..CompilePool::new(refused) })
    }

    /// Work of a client that lasts until the sender is dropped; returns once it has begun.
    async fn occupy(pool: &Arc<CompilePool>, client: Client) -> Sender<()> {
        let (end, ended) = channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            let work = move || {
                let _ = begin.send(());
                let _ = ended.recv();
            };
            pool.run(Some(&client), work).await
        });
        begun.await.unwrap();
        end
    }

    #[tokio::test]
    async fn one_client_occupies_one_thread() {
        let pool = pool(Duration::from_millis(50));
        let _end = occupy(&pool, client(1, 1)).await;
        let same = pool.run(Some(&client(1, 2)), || ()).await;
        assert_eq!(same, Err(NotDone::Busy), "another connection of the same host");
        assert_eq!(pool.run(Some(&client(2, 1)), || 7).await, Ok(7));
        assert_eq!(pool.run(Some(&Client::Unix(Some(1))), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn waiting_too_long_is_refused() {
        let pool = pool(Duration::from_millis(50));
        let mut ends = Vec::new();
        for host in 1..=THREADS as u8 {
            ends.push(occupy(&pool, client(host, 1)).await);
        }
        let start = Instant::now();
        assert_eq!(pool.run(Some(&client(100, 1)), || ()).await, Err(NotDone::Busy));
        assert!(start.elapsed() < PATIENCE);
        ends.pop();
        let last = client(100, 1);
        let after = pool.run(Some(&last), || 7);
        assert_eq!(tokio::time::timeout(PATIENCE, after).await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn clients_without_requests_are_forgotten() {
        let pool = pool(PATIENCE);
        for host in 1..100 {
            assert_eq!(pool.run(Some(&client(host, 1)), || 7).await, Ok(7));
        }
        assert!(pool.clients.lock().unwrap().len() <= 1);
    }
}
