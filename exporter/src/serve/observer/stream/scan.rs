//! The scan of the ring for one response.

use std::sync::Arc;

use eyepiece_flow::record::Observed;
use eyepiece_hubble::encode::Encoder;
use eyepiece_hubble::layout::Layout;
use eyepiece_hubble::query::{Kind, Query};
use tokio::sync::Semaphore;

use super::chunk::Chunk;
use super::overruns::PendingOverruns;
use crate::serve::grpc::ReservedBytes;
use crate::serve::observer::Observer;
use crate::serve::observer::ring::{Follower, Overrun, Reader, Run};
use crate::serve::observer::start::{Search, Start};
use crate::serve::observer::time_slice::{ScanPermit, TimeSlice, is_expensive};

/// The state of a scan after a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The chunk is full; the slice is not over.
    More,
    /// The slice is over; there are more entries.
    SliceOver,
    /// Every entry was examined; the client follows.
    Idle,
    /// The response is complete.
    Ended,
}

/// A response in progress.
#[derive(Debug)]
pub struct Scan {
    pub(super) observer: Arc<Observer>,
    query: Query,
    layout: Layout,
    /// `Some` until the start is known.
    search: Option<Search>,
    pub(super) reader: Reader,
    /// The queue for permits within the connection.
    pub(super) connection: Arc<Semaphore>,
    /// The permit for the next slice, if it needs one.
    pub(super) permit: Option<ScanPermit>,
    has_started: bool,
    /// The bytes of the compiled filters.
    _reserved: Option<ReservedBytes>,
    pub(super) follower: Follower,
    /// Messages of the requested kind that were sent.
    sent: u64,
    pub(super) overruns: PendingOverruns,
    scratch: Vec<u8>,
}

impl Scan {
    /// Returns a scan that has not examined any entry. Scans with the same `connection` queue run one at a time.
    /// `reserved` is held as long as the scan.
    pub fn new(
        observer: Arc<Observer>,
        query: Query,
        layout: Layout,
        connection: Arc<Semaphore>,
        reserved: Option<ReservedBytes>,
    ) -> Self {
        let ring = observer.ring();
        let (position, search) = match Start::of(&query, ring) {
            Start::At(position) => (position, None),
            Start::Search(search) => (0, Some(search)),
        };
        let reader = Reader::new(Arc::clone(ring), position);
        let follower = Follower::new(Arc::clone(ring));
        Self {
            observer,
            query,
            layout,
            search,
            reader,
            connection,
            permit: None,
            has_started: false,
            _reserved: reserved,
            follower,
            sent: 0,
            overruns: PendingOverruns::default(),
            scratch: Vec::new(),
        }
    }

    /// Takes a permit for the next slice if it needs one; returns whether the slice can start.
    pub(super) fn take_permit(&mut self) -> bool {
        let filters = &self.query.filters;
        if self.permit.is_none() && !filters.is_empty() && (!self.has_started || is_expensive(filters)) {
            self.permit = self.observer.scans.try_acquire(&self.connection);
            return self.permit.is_some();
        }
        true
    }

    /// Appends messages for one slice, or until the chunk is full.
    pub(super) fn fill(&mut self, out: &mut Chunk) -> Progress {
        // Returned at the end of this slice.
        let _permit = self.permit.take();
        self.has_started = true;
        let mut slice = TimeSlice::start(&self.query.filters);
        if let Some(search) = &mut self.search {
            let ring = self.observer.ring();
            let Some(start) = search.advance(&self.query, &self.observer, &mut slice) else {
                return Progress::SliceOver;
            };
            self.reader = Reader::new(Arc::clone(ring), start);
            self.search = None;
        }
        loop {
            if self.overruns.are_due((self.observer.now)()) {
                self.send_overruns(out);
            }
            if self.is_complete() {
                return self.end(out);
            }
            if slice.is_over() {
                return Progress::SliceOver;
            }
            if out.is_full() {
                return Progress::More;
            }
            match self.reader.next() {
                Ok(Some(run)) => {
                    let (entries, is_past) = self.examine(&run, out, &mut slice);
                    self.reader.advance(entries as u64);
                    if is_past {
                        return self.end(out);
                    }
                }
                Ok(None) if self.query.follow => return Progress::Idle,
                Ok(None) => return self.end(out),
                Err(Overrun(count)) => self.overrun(count),
            }
        }
    }

    /// Examines entries; returns their number, and whether one is after the end of the query.
    fn examine(&mut self, run: &Run, out: &mut Chunk, slice: &mut TimeSlice) -> (usize, bool) {
        let block = run.block();
        let entries = block.from(run.position());
        let observer = Arc::clone(&self.observer);
        let names = observer.names_of(block);
        let (context, encoder) = (observer.context(&names), observer.encoder(&names));
        let first = (run.position() - block.first()) as usize;
        let cached = observer.cache.open(block, self.layout.number());
        for (place, observed) in entries.iter().enumerate() {
            if self.is_complete() || out.is_full() || slice.is_over() {
                return (place, false);
            }
            slice.spend();
            if let Observed::Lost(_) = observed {
                if self.query.kind == Kind::Flows {
                    self.send(&encoder, observed, out);
                }
                continue;
            }
            let time = observed.time();
            if self.query.until.is_some_and(|until| time > until) {
                return (place, true);
            }
            if !self.query.kind.has(observed)
                || self.query.since.is_some_and(|since| time < since)
                || !self.query.filters.matches(observed, &context)
            {
                continue;
            }
            self.sent += 1;
            match &cached {
                Some(cached) => {
                    cached.with(
                        first + place,
                        |out| self.layout.write(&encoder, observed, out),
                        |message| out.push(message),
                    );
                }
                None => self.send(&encoder, observed, out),
            }
        }
        (entries.len(), false)
    }

    /// Encodes an entry without the cache.
    fn send(&mut self, encoder: &Encoder<'_>, observed: &Observed, out: &mut Chunk) {
        self.scratch.clear();
        self.layout.write(encoder, observed, &mut self.scratch);
        out.push(&self.scratch);
    }

    /// Returns whether the requested number of entries was sent.
    fn is_complete(&self) -> bool {
        !self.query.follow && self.query.number != 0 && self.sent >= self.query.number
    }

    fn overrun(&mut self, count: u64) {
        self.observer.overrun.add(count);
        if self.query.kind == Kind::Flows {
            self.overruns.add(count, (self.observer.now)());
        }
    }

    fn send_overruns(&mut self, out: &mut Chunk) {
        if let Some(lost) = self.overruns.take() {
            self.scratch.clear();
            self.observer.write_overrun(lost.count, (lost.first, lost.last), &mut self.scratch);
            out.push(&self.scratch);
        }
    }

    fn end(&mut self, out: &mut Chunk) -> Progress {
        self.send_overruns(out);
        Progress::Ended
    }
}
