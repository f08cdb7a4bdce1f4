//! One client's answer: entries of the ring that it wants, as messages, at the pace that it takes them.
//!
//! The ring is the only queue. A client that is too slow finds entries overwritten, and is told how many.

mod cache;
mod lost;
mod messages;

use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::Semaphore;

pub use self::cache::Cache;
use self::lost::Overruns;
pub use self::messages::Messages;
pub(super) use self::messages::leaving;
use eyepiece_flow::record::Observed;
use eyepiece_hubble::layout::Layout;
use eyepiece_hubble::query::{Kind, Query};

use super::Observer;
use super::ring::{Followers, Overrun, Reader, Run};
use super::start::{Search, Start};
use super::turn::{Right, Turn, is_dear};
use crate::serve::grpc::Taken;

/// Bytes from which on what was gathered is sent: a frame of HTTP/2, so that a client that does not read costs little.
const CHUNK: usize = 16 * 1024;

/// Where an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to look at now.
    More,
    /// There is more to look at, and its turn is over.
    TurnOver,
    /// All that is there was looked at; more may come.
    Idle,
    /// It is complete.
    Ended,
}

/// An answer in the making.
#[derive(Debug)]
pub struct Stream {
    observer: Arc<Observer>,
    query: Query,
    layout: Layout,
    /// Until it is known where to read.
    search: Option<Search>,
    reader: Reader,
    /// What its turns queue in, with those of the same connection.
    lane: Arc<Semaphore>,
    /// To the turn that comes, where it needs one.
    right: Option<Right>,
    /// Whether it had a turn.
    has_begun: bool,
    /// What its filters take of the bytes that requests may have.
    _taken: Option<Taken>,
    followers: Followers,
    /// Messages of the kind that was asked for.
    given: u64,
    overruns: Overruns,
    scratch: Vec<u8>,
}

/// Messages that are ready.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: BytesMut,
    /// Of each message.
    lengths: Vec<u32>,
}

impl Chunk {
    fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.lengths.push(message.len() as u32);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK
    }
}

impl Stream {
    /// An answer from its beginning, which is searched for when it is asked for messages. Of one `lane`, one at a time
    /// does what takes long. `taken` is given back with it.
    pub fn new(
        observer: Arc<Observer>,
        query: Query,
        layout: Layout,
        lane: Arc<Semaphore>,
        taken: Option<Taken>,
    ) -> Self {
        let ring = observer.ring();
        let (position, search) = match Start::of(&query, ring) {
            Start::At(position) => (position, None),
            Start::Behind(search) => (0, Some(search)),
        };
        let reader = Reader::new(Arc::clone(ring), position);
        let followers = ring.followers();
        Self {
            observer,
            query,
            layout,
            search,
            reader,
            lane,
            right: None,
            has_begun: false,
            _taken: taken,
            followers,
            given: 0,
            overruns: Overruns::default(),
            scratch: Vec::new(),
        }
    }

    /// Takes the right to the next turn where it needs one; returns whether that can begin.
    pub(super) fn take_right(&mut self) -> bool {
        let filters = &self.query.filters;
        if self.right.is_none() && !filters.is_empty() && (!self.has_begun || is_dear(filters)) {
            self.right = self.observer.turns.try_next(&self.lane);
            return self.right.is_some();
        }
        true
    }

    /// Appends messages until there are enough for now.
    pub(super) fn fill(&mut self, out: &mut Chunk) -> Progress {
        // Given back when this turn is over.
        let _right = self.right.take();
        self.has_begun = true;
        let mut turn = Turn::new(&self.query.filters);
        if let Some(search) = &mut self.search {
            let ring = self.observer.ring();
            let Some(start) = search.go_on(&self.query, ring, &self.observer.context(), &mut turn) else {
                return Progress::TurnOver;
            };
            self.reader = Reader::new(Arc::clone(ring), start);
            self.search = None;
        }
        loop {
            if self.overruns.are_due((self.observer.now)()) {
                self.tell_overruns(out);
            }
            if self.is_complete() {
                return self.end(out);
            }
            if turn.is_over() {
                return Progress::TurnOver;
            }
            if out.is_full() {
                return Progress::More;
            }
            match self.reader.next() {
                Ok(Some(run)) => {
                    let (entries, is_past) = self.take(&run, out, &mut turn);
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

    /// Looks at entries; returns at how many, and whether one is past the end of what was asked for.
    fn take(&mut self, run: &Run, out: &mut Chunk, turn: &mut Turn) -> (usize, bool) {
        let block = run.block();
        let entries = block.from(run.position());
        let observer = Arc::clone(&self.observer);
        let context = observer.context();
        let first = (run.position() - block.first()) as usize;
        let cached = observer.cache.open(block, self.layout.number());
        for (place, observed) in entries.iter().enumerate() {
            if self.is_complete() || out.is_full() || turn.is_over() {
                return (place, false);
            }
            turn.spend();
            if let Observed::Lost(_) = observed {
                if self.query.kind == Kind::Flows {
                    self.scratch.clear();
                    self.layout.write(&observer.encoder, observed, &mut self.scratch);
                    out.push(&self.scratch);
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
            self.given += 1;
            match &cached {
                Some(cached) => {
                    cached.with(
                        first + place,
                        |out| self.layout.write(&observer.encoder, observed, out),
                        |message| out.push(message),
                    );
                }
                None => {
                    self.scratch.clear();
                    self.layout.write(&observer.encoder, observed, &mut self.scratch);
                    out.push(&self.scratch);
                }
            }
        }
        (entries.len(), false)
    }

    /// Whether all that was asked for is given.
    fn is_complete(&self) -> bool {
        !self.query.follow && self.query.number != 0 && self.given >= self.query.number
    }

    fn overrun(&mut self, count: u64) {
        self.observer.overrun(count);
        if self.query.kind == Kind::Flows {
            self.overruns.add(count, (self.observer.now)());
        }
    }

    fn tell_overruns(&mut self, out: &mut Chunk) {
        if let Some(lost) = self.overruns.take() {
            self.scratch.clear();
            self.observer.encoder.overrun(lost.count, lost.first, lost.last, &mut self.scratch);
            out.push(&self.scratch);
        }
    }

    fn end(&mut self, out: &mut Chunk) -> Progress {
        self.tell_overruns(out);
        Progress::Ended
    }
}
