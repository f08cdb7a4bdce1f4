//! Renders pages: one at a time, shared by the scrapes that come close together.

use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::negotiation::Encoding;
use crate::export::prometheus::{Format, RequestMetrics};

/// Renders the page of now.
pub trait Pages: Send + Sync + 'static {
    /// Returns a page in a format, with the metrics of the endpoint's requests. Called on a thread that may block, one
    /// call at a time.
    ///
    /// # Errors
    /// Why there is no page, for the client.
    fn render(&self, format: Format, requests: &RequestMetrics) -> Result<Vec<u8>, String>;
}

impl<F: Fn(Format, &RequestMetrics) -> Result<Vec<u8>, String> + Send + Sync + 'static> Pages for F {
    fn render(&self, format: Format, requests: &RequestMetrics) -> Result<Vec<u8>, String> {
        self(format, requests)
    }
}

/// The time for which scrapes share a page at least. No Prometheus scrapes more often.
const MIN_AGE: Duration = Duration::from_secs(1);
/// A page is shared for this multiple of the time that its rendering took: rendering takes a tenth of the time at most.
const AGE_BY_COST: u32 = 9;
/// The most renderings of a format in memory: the shared one, and those that slow clients still read.
const MAX_PAGES: usize = 3;
/// Scrapes that wait for a page. Further ones wait for a place here; the server bounds its connections.
const QUEUE: usize = 16;
/// The time for a page, within that of a connection.
const TIMEOUT: Duration = Duration::from_secs(8);

/// A scrape that waits for its page.
struct PageRequest {
    format: Format,
    encoding: Encoding,
    reply: oneshot::Sender<Result<Bytes, String>>,
}

/// Requests pages from the renderer.
#[derive(Clone, Debug)]
pub(super) struct PageQueue(mpsc::Sender<PageRequest>);

impl PageQueue {
    /// Returns a page, or why there is none.
    pub(super) async fn get(&self, format: Format, encoding: Encoding) -> Result<Bytes, String> {
        let (reply, page) = oneshot::channel();
        let get = async {
            self.0.send(PageRequest { format, encoding, reply }).await.ok()?;
            page.await.ok()
        };
        match timeout(TIMEOUT, get).await {
            Ok(Some(page)) => page,
            Ok(None) => Err("the endpoint is stopping".to_owned()),
            Err(_) => Err(format!("not rendered within {TIMEOUT:?}")),
        }
    }
}

/// The single owner of the shared pages.
pub(super) struct Renderer<P> {
    pages: Arc<P>,
    metrics: RequestMetrics,
    requests: mpsc::Receiver<PageRequest>,
    /// Permits of the renderings in memory, by the order of [`Format::ALL`]: slow clients of one format leave those of the
    /// other one.
    memory: [Arc<Semaphore>; Format::ALL.len()],
    /// By the order of [`Format::ALL`].
    shared: [Option<SharedPage>; Format::ALL.len()],
}

/// A page that scrapes share.
struct SharedPage {
    /// When the next scrape gets a new one.
    expiry: Instant,
    text: Bytes,
    /// `None` until a scrape wants it.
    gzip: Option<Bytes>,
    memory: Arc<OwnedSemaphorePermit>,
}

/// The bytes of a rendering: until their last reader is done, they count as in memory.
struct HeldBytes {
    bytes: Vec<u8>,
    _memory: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn held(bytes: Vec<u8>, memory: &Arc<OwnedSemaphorePermit>) -> Bytes {
    Bytes::from_owner(HeldBytes { bytes, _memory: Arc::clone(memory) })
}

impl<P: Pages> Renderer<P> {
    /// Returns a renderer, to be [`run`](Self::run), and the queue of its requests.
    pub(super) fn new(pages: P, metrics: RequestMetrics) -> (Self, PageQueue) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let (pages, memory) = (Arc::new(pages), Format::ALL.map(|_| Arc::new(Semaphore::new(MAX_PAGES))));
        let shared = [const { None }; Format::ALL.len()];
        (Self { pages, metrics, requests, memory, shared }, PageQueue(sender))
    }

    /// Renders pages until nothing can request one.
    pub(super) async fn run(mut self) {
        while let Some(PageRequest { format, encoding, reply }) = self.next().await {
            // The client may have left.
            if !reply.is_closed() {
                let page = self.page(format, encoding).await;
                drop(reply.send(page));
            }
        }
    }

    /// Waits for a request, and frees expired pages meanwhile. If slow clients hold all memory of a format, its page stays:
    /// it may be the only one to come.
    async fn next(&mut self) -> Option<PageRequest> {
        loop {
            let pages = self.shared.iter_mut().zip(&self.memory);
            let freeable = pages.filter(|(_, memory)| memory.available_permits() > 0);
            let now = Instant::now();
            let mut next: Option<Instant> = None;
            for (page, _) in freeable {
                page.take_if(|page| page.expiry <= now);
                next = next.into_iter().chain(page.as_ref().map(|page| page.expiry)).min();
            }
            let Some(expiry) = next else { return self.requests.recv().await };
            if let Ok(request) = timeout_at(expiry, self.requests.recv()).await {
                return request;
            }
        }
    }

    async fn page(&mut self, format: Format, encoding: Encoding) -> Result<Bytes, String> {
        let now = Instant::now();
        let place = format as usize;
        let is_fresh = self.shared[place].as_ref().is_some_and(|page| page.expiry > now);
        if !is_fresh && let Ok(memory) = Arc::clone(&self.memory[place]).try_acquire_owned() {
            self.shared[place] = Some(self.render(format, memory).await?);
        }
        let page = self.shared[place].as_mut().ok_or("slow clients hold all pages that may be in memory")?;
        match (encoding, &page.gzip) {
            (Encoding::Identity, _) => Ok(page.text.clone()),
            (Encoding::Gzip, Some(gzip)) => Ok(gzip.clone()),
            (Encoding::Gzip, None) => {
                let text = page.text.clone();
                let gzip = blocking(move || compressed(&text).map_err(|error| error.to_string())).await?;
                Ok(page.gzip.insert(held(gzip, &page.memory)).clone())
            }
        }
    }

    async fn render(&self, format: Format, memory: OwnedSemaphorePermit) -> Result<SharedPage, String> {
        let start = Instant::now();
        let (pages, metrics) = (Arc::clone(&self.pages), self.metrics.clone());
        let bytes = blocking(move || pages.render(format, &metrics)).await?;
        let (end, memory) = (Instant::now(), Arc::new(memory));
        let expiry = end + age(end.saturating_duration_since(start));
        Ok(SharedPage { expiry, text: held(bytes, &memory), gzip: None, memory })
    }
}

/// The time for which scrapes share a page, by the time that its rendering took.
fn age(cost: Duration) -> Duration {
    MIN_AGE.max(cost.saturating_mul(AGE_BY_COST))
}

/// Runs work on a thread that may block.
async fn blocking(work: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static) -> Result<Vec<u8>, String> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "rendering a Prometheus page panicked");
        Err("the rendering failed".to_owned())
    })
}

/// Compresses a page. The fastest level: a page of metrics shrinks to a tenth with it already.
fn compressed(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

#[cfg(test)]
mod tests;
