//! Counts a call: its begin, the messages of both directions, and its code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use tonic::{Code, Status};

use crate::support::grpc_calls::MethodCalls;

/// A call of a registered method; clones share it. The first code counts. Without any the client has canceled it.
#[derive(Clone, Debug)]
pub(super) struct Call(Arc<State>);

#[derive(Debug)]
struct State {
    method: Arc<MethodCalls>,
    has_ended: AtomicBool,
}

impl Call {
    /// Counts a call that begins.
    pub(super) fn new(method: Arc<MethodCalls>) -> Self {
        method.add_started();
        Self(Arc::new(State { method, has_ended: AtomicBool::new(false) }))
    }

    /// Counts the messages that are complete with these bytes of the request's body.
    pub(super) fn receive(&self, messages: &mut MessageCounter, data: &[u8]) {
        self.0.method.add_received(messages.add(data));
    }

    /// Counts the messages that are complete with these bytes of the response's body.
    pub(super) fn send(&self, messages: &mut MessageCounter, data: &[u8]) {
        self.0.method.add_sent(messages.add(data));
    }

    /// Ends the call with a code.
    pub(super) fn end(&self, code: Code) {
        self.0.end(code);
    }

    /// Ends the call with the code of headers or trailers; without one it continues.
    pub(super) fn end_by(&self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.end(status.code());
        }
    }
}

impl State {
    fn end(&self, code: Code) {
        if !self.has_ended.swap(true, Ordering::Relaxed) {
            // Codes are not negative.
            self.method.add_handled(usize::try_from(i32::from(code)).unwrap_or_default());
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// Bytes before a message: a flag, and the message's length.
const HEAD: usize = 5;

/// Counts the messages in the bytes of one direction, however they are cut.
#[derive(Debug, Default)]
pub(super) struct MessageCounter {
    head: [u8; HEAD],
    /// Bytes of `head` that are there.
    filled: usize,
    /// Bytes of the message that are not there yet.
    left: usize,
}

impl MessageCounter {
    /// Returns how many messages are complete with the next bytes.
    fn add(&mut self, mut data: &[u8]) -> u64 {
        let mut complete = 0;
        while !data.is_empty() {
            let missing = if self.filled < HEAD { HEAD - self.filled } else { self.left };
            let (part, rest) = data.split_at(missing.min(data.len()));
            data = rest;
            if self.filled < HEAD {
                self.head[self.filled..self.filled + part.len()].copy_from_slice(part);
                self.filled += part.len();
                let [_, length @ ..] = self.head;
                self.left = u32::from_be_bytes(length) as usize;
            } else {
                self.left -= part.len();
            }
            if self.filled == HEAD && self.left == 0 {
                complete += 1;
                self.filled = 0;
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::MessageCounter;

    #[test]
    fn messages_are_counted_however_cut() {
        // Messages of three bytes, none, and one, and the begin of another one.
        let bytes = [0, 0, 0, 0, 3, 9, 9, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 0, 0, 0, 0, 1];
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut messages = MessageCounter::default();
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(parts.map(|part| messages.add(part)).into_iter().sum::<u64>(), 3, "{first} {second}");
            }
        }
    }
}
