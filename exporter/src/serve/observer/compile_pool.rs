//! Compiles filters on blocking threads, apart from the serving ones: a request does not show its cost.
//!
//! The queue for the threads is fair between clients: one request of each client waits in it, further ones wait for
//! that one. A client is a user of this machine (unix sockets) or an IP address (TCP). Clients behind one relay or one
//! NAT gateway have its address and thus share one place, and processes of one user share one as well. A request that
//! waits too long is refused; the limit of requests in progress bounds the queue.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::serve::grpc::Client;
use crate::support::lock::lock;
use crate::support::telemetry::Number;

/// Compilations at the same time.
pub(super) const THREADS: usize = 4;
/// The longest wait for a thread: usual filters compile in a millisecond.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// The identity of a client in the queue, over all its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClientKey {
    User(Option<u32>),
    Host(IpAddr),
    Unknown,
}

impl ClientKey {
    fn of(client: Option<&Client>) -> Self {
        match client {
            Some(Client::Unix { uid, .. }) => Self::User(*uid),
            Some(Client::Tcp(address)) => Self::Host(address.ip().to_canonical()),
            None => Self::Unknown,
        }
    }
}

/// The error of work that did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CompileError {
    /// Other requests occupied the threads for too long.
    Busy,
    /// The runtime stops, or the work panicked.
    Stopped,
}

/// The threads and their queue.
#[derive(Debug)]
pub(super) struct CompilePool {
    threads: Arc<Semaphore>,
    max_wait: Duration,
    /// The queue of each client: its first request waits for a thread.
    clients: Mutex<HashMap<ClientKey, Weak<Semaphore>>>,
    refused: Number,
}

impl CompilePool {
    /// Returns a pool that counts refused requests.
    pub(super) fn new(refused: Number) -> Self {
        Self { threads: Arc::new(Semaphore::new(THREADS)), max_wait: MAX_WAIT, clients: Mutex::default(), refused }
    }

    /// Runs work for a client.
    ///
    /// # Errors
    /// The work did not run.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: Option<&Client>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CompileError> {
        let queue = self.queue(ClientKey::of(client));
        let permits = async {
            // The semaphores are never closed.
            let first = queue.acquire_owned().await.ok()?;
            Some((first, Arc::clone(&self.threads).acquire_owned().await.ok()?))
        };
        let Ok(permits) = timeout(self.max_wait, permits).await else {
            self.refused.add(1);
            return Err(CompileError::Busy);
        };
        let permits = permits.ok_or(CompileError::Stopped)?;
        // Held until the work ends, even if the client disconnects meanwhile.
        let work = move || {
            let _permits = permits;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| CompileError::Stopped)
    }

    fn queue(&self, key: ClientKey) -> Arc<Semaphore> {
        let mut clients = lock(&self.clients);
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

    use super::{CompileError, CompilePool, THREADS};
    use crate::serve::grpc::Client;
    use crate::support::telemetry::Telemetry;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn client(host: u8, port: u16) -> Client {
        Client::Tcp(SocketAddr::from(([127, 0, 0, host], port)))
    }

    fn user(uid: u32, pid: i32) -> Client {
        Client::Unix { pid: Some(pid), uid: Some(uid) }
    }

    fn pool(max_wait: Duration) -> Arc<CompilePool> {
        let refused = Telemetry::default().counter("test", &[]);
        Arc::new(CompilePool { max_wait, ..CompilePool::new(refused) })
    }

    /// Starts work of a client that lasts until the sender is dropped.
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
        assert_eq!(same, Err(CompileError::Busy), "another connection of the same host");
        assert_eq!(pool.run(Some(&client(2, 1)), || 7).await, Ok(7));
        assert_eq!(pool.run(Some(&user(1, 1)), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn processes_of_one_user_share_thread() {
        let pool = pool(Duration::from_millis(50));
        let _end = occupy(&pool, user(1, 1)).await;
        assert_eq!(pool.run(Some(&user(1, 2)), || ()).await, Err(CompileError::Busy), "another process");
        assert_eq!(pool.run(Some(&user(2, 3)), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn request_beyond_max_wait_is_refused() {
        let pool = pool(Duration::from_millis(50));
        let mut ends = Vec::new();
        for host in 1..=THREADS as u8 {
            ends.push(occupy(&pool, client(host, 1)).await);
        }
        let start = Instant::now();
        assert_eq!(pool.run(Some(&client(100, 1)), || ()).await, Err(CompileError::Busy));
        assert!(start.elapsed() < TIMEOUT);
        ends.pop();
        let last = client(100, 1);
        let after = pool.run(Some(&last), || 7);
        assert_eq!(tokio::time::timeout(TIMEOUT, after).await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn clients_without_requests_are_removed() {
        let pool = pool(TIMEOUT);
        for host in 1..100 {
            assert_eq!(pool.run(Some(&client(host, 1)), || 7).await, Ok(7));
        }
        assert!(pool.clients.lock().unwrap().len() <= 1);
    }
}
