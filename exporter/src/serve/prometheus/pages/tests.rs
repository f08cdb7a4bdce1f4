//! Sharing of pages, with paused time: rendering costs none.

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::advance;

use super::{Encoding, Format, MAX_PAGES, MIN_AGE, PageQueue, Renderer, RequestMetrics, TIMEOUT, age};

const NANOSECOND: Duration = Duration::from_nanos(1);

/// A running renderer whose pages are numbered.
struct Numbered {
    queue: PageQueue,
    rendered: Arc<AtomicUsize>,
    memory: [Arc<Semaphore>; 2],
    task: JoinHandle<()>,
}

impl Numbered {
    fn start() -> Self {
        let rendered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&rendered);
        let pages = move |format: Format, _: &RequestMetrics| {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            Ok::<_, String>(format!("{format:?} {number}").into_bytes())
        };
        let (renderer, queue) = Renderer::new(pages, RequestMetrics::default());
        let memory = renderer.memory.clone();
        Self { queue, rendered, memory, task: tokio::spawn(renderer.run()) }
    }

    async fn get(&self, format: Format) -> Bytes {
        self.queue.get(format, Encoding::Identity).await.unwrap()
    }

    fn free(&self) -> [usize; 2] {
        self.memory.each_ref().map(|memory| memory.available_permits())
    }

    fn rendered(&self) -> usize {
        self.rendered.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn scrapes_within_second_share_page() {
    let pages = Numbered::start();
    assert_eq!(pages.get(Format::Text).await, "Text 1");
    advance(MIN_AGE - NANOSECOND).await;
    assert_eq!(pages.get(Format::Text).await, "Text 1");
    assert_eq!(pages.get(Format::OpenMetrics).await, "OpenMetrics 2");
    advance(NANOSECOND).await;
    assert_eq!(pages.get(Format::Text).await, "Text 3");
    assert_eq!(pages.get(Format::OpenMetrics).await, "OpenMetrics 2");
}

#[tokio::test(start_paused = true)]
async fn gzip_is_made_of_shared_page() {
    let pages = Numbered::start();
    let mut found = Vec::new();
    for _ in 0..2 {
        let gzip = pages.queue.get(Format::Text, Encoding::Gzip).await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*gzip).read_to_string(&mut text).unwrap();
        found.push((text, gzip));
    }
    assert_eq!(found[0].0, "Text 1");
    // The same bytes, not equal ones.
    assert_eq!(found[0].1.as_ptr(), found[1].1.as_ptr());
    assert_eq!((pages.get(Format::Text).await, pages.rendered()), (Bytes::from("Text 1"), 1));
}

#[tokio::test(start_paused = true)]
async fn expired_pages_are_freed() {
    let pages = Numbered::start();
    let read = pages.get(Format::Text).await;
    pages.get(Format::OpenMetrics).await;
    assert_eq!(pages.free(), [MAX_PAGES - 1; 2]);
    advance(MIN_AGE * 2).await;
    // The renderer's turn.
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(pages.free(), [MAX_PAGES - 1, MAX_PAGES], "one is still read");
    drop(read);
    assert_eq!(pages.free(), [MAX_PAGES; 2]);
}

#[tokio::test(start_paused = true)]
async fn slow_readers_bound_renderings() {
    let pages = Numbered::start();
    let mut held = Vec::new();
    for number in 1..=MAX_PAGES {
        held.push(pages.get(Format::Text).await);
        assert_eq!(held.last().unwrap(), &format!("Text {number}"));
        advance(MIN_AGE).await;
    }
    for _ in 0..3 {
        assert_eq!(pages.get(Format::Text).await, format!("Text {MAX_PAGES}"), "no more are rendered");
        advance(MIN_AGE).await;
    }
    assert_eq!(
        pages.get(Format::OpenMetrics).await,
        format!("OpenMetrics {}", MAX_PAGES + 1),
        "it has room of its own"
    );
    held.remove(0);
    assert_eq!(pages.get(Format::Text).await, format!("Text {}", MAX_PAGES + 2));
}

#[tokio::test(start_paused = true)]
async fn requests_of_gone_clients_render_nothing() {
    let pages = Numbered::start();
    {
        let mut get = pin!(pages.queue.get(Format::Text, Encoding::Identity));
        let is_waiting = poll_fn(|context| Poll::Ready(get.as_mut().poll(context).is_pending()));
        assert!(is_waiting.await);
    }
    assert_eq!(pages.get(Format::OpenMetrics).await, "OpenMetrics 1");
    assert_eq!(pages.rendered(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_shared() {
    let calls = AtomicUsize::new(0);
    let pages = move |_: Format, _: &RequestMetrics| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Err("the pipeline has ended".to_owned()),
        1 => panic!("a test's panic"),
        call => Ok(call.to_string().into_bytes()),
    };
    let (renderer, queue) = Renderer::new(pages, RequestMetrics::default());
    let _task = tokio::spawn(renderer.run());
    for expected in [Err("the pipeline has ended"), Err("the rendering failed"), Ok("2"), Ok("2")] {
        let page = queue.get(Format::Text, Encoding::Identity).await;
        assert_eq!(page, expected.map(Bytes::from).map_err(str::to_owned));
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_renderer_refuses() {
    let pages = Numbered::start();
    pages.task.abort();
    let refused = pages.queue.get(Format::Text, Encoding::Identity).await;
    assert_eq!(refused.unwrap_err(), "the endpoint is stopping");
}

#[test]
fn age_grows_with_cost() {
    for (cost, expected) in [(0, 1000), (111, 1000), (112, 1008), (300, 2700), (8000, 72_000)] {
        assert_eq!(age(Duration::from_millis(cost)), Duration::from_millis(expected), "{cost}");
    }
    assert!(TIMEOUT < crate::serve::http::CONNECTION_TIMEOUT);
}
