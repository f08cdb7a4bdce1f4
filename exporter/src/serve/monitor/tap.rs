//! A source with listeners: publishes its events to them, and adds our own notifications.

use std::io;
use std::time::Duration;

use eyepiece_flow::event::Event;

use crate::serve::monitor::fanout::{Fanout, Publisher};
use crate::serve::monitor::notifier::Inbox;
use crate::source::{Source, Waker};

/// Stands between a source and the pipeline.
pub struct Tap {
    source: Box<dyn Source>,
    publisher: Publisher,
    inbox: Inbox,
    is_started: bool,
}

impl Tap {
    /// Wraps a source.
    pub fn new(source: Box<dyn Source>, fanout: &Fanout, inbox: Inbox) -> Self {
        let wake = || {
            let waker = source.waker();
            Box::new(move || waker.wake())
        };
        inbox.set_wake(wake());
        let publisher = fanout.publisher(wake());
        Self { source, publisher, inbox, is_started: false }
    }

    fn read_source(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        // Without listeners the source's events go directly to the pipeline.
        if self.publisher.is_idle() {
            let count = self.source.read(timeout, sink)?;
            return Ok(count + self.inbox.deliver(self.is_started, sink));
        }
        let publisher = &mut self.publisher;
        let mut both = |event: &Event<'_>| {
            publisher.publish(event);
            sink(event);
        };
        let count = self.source.read(timeout, &mut both);
        let count = count.map(|count| count + self.inbox.deliver(self.is_started, &mut both));
        self.publisher.flush();
        count
    }
}

impl Source for Tap {
    fn start(&mut self) -> io::Result<()> {
        self.source.start()?;
        self.is_started = true;
        Ok(())
    }

    fn stop(&mut self) {
        self.source.stop();
        self.is_started = false;
    }

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        self.publisher.refresh();
        self.read_source(timeout, sink)
    }

    fn waker(&self) -> Waker {
        self.source.waker()
    }
}

#[cfg(test)]
mod tests;
