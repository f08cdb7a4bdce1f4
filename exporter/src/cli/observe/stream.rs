//! Prints the messages of a call until it ends, a signal comes, or standard output is closed.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncWriteExt as _, Stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::codegen::tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use super::error::ObserveError;
use super::print::Lines;
use crate::cli::output;

/// Bytes of text in one write while messages keep coming.
const CHUNK: usize = 64 << 10;

/// SIGINT and SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn new() -> Result<Self, ObserveError> {
        let listen = |kind| signal(kind).map_err(ObserveError::Runtime);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Returns with the next signal.
    pub(super) async fn requested(&mut self) {
        poll_fn(|context| match (self.interrupt.poll_recv(context), self.terminate.poll_recv(context)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }
}

/// Standard output and standard error.
pub(super) struct Out {
    stdout: Stdout,
    /// The text being written, and how much of it is: a write that is cancelled and resumed repeats nothing.
    text: String,
    written: usize,
    is_silent: bool,
}

impl Out {
    pub(super) fn new(is_silent: bool) -> Self {
        Self { stdout: tokio::io::stdout(), text: String::new(), written: 0, is_silent }
    }

    pub(super) async fn write(&mut self, lines: &mut Lines) -> Result<(), ObserveError> {
        self.text.push_str(&lines.out);
        lines.out.clear();
        while self.written < self.text.len() {
            match self.stdout.write(&self.text.as_bytes()[self.written..]).await? {
                0 => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
                length => self.written += length,
            }
        }
        self.text.clear();
        self.written = 0;
        self.stdout.flush().await?;
        if !lines.err.is_empty() {
            if !self.is_silent {
                output::print_error(lines.err.trim_end_matches('\n'));
            }
            lines.err.clear();
        }
        Ok(())
    }
}

/// The next step of a stream.
enum Next<T> {
    Stop,
    Message(T),
    End(Result<(), Status>),
    /// No message is there yet.
    Pending,
}

/// Prints a call's messages; at the end also those that the printer holds back.
pub(super) async fn pump<T>(
    mut stream: Streaming<T>,
    stop: &mut Stop,
    out: &mut Out,
    printer: &mut impl Print<T>,
) -> Result<(), ObserveError> {
    let mut lines = Lines::default();
    let end = loop {
        let next = match next(&mut stream, stop, false).await {
            Next::Pending => {
                // Flush before waiting.
                tokio::select! {
                    biased;
                    () = stop.requested() => break Ok(()),
                    written = out.write(&mut lines) => written?,
                }
                next(&mut stream, stop, true).await
            }
            next => next,
        };
        match next {
            Next::Stop => break Ok(()),
            Next::End(end) => break end,
            Next::Pending => {}
            Next::Message(message) => printer.print(&message, &mut lines),
        }
        if lines.out.len() + lines.err.len() >= CHUNK {
            tokio::select! {
                biased;
                () = stop.requested() => break Ok(()),
                written = out.write(&mut lines) => written?,
            }
        }
    };
    printer.finish(&mut lines);
    // A second signal ends a write that blocks.
    tokio::select! {
        biased;
        () = stop.requested() => {}
        written = out.write(&mut lines) => written?,
    }
    match end {
        Err(status) if status.code() != Code::Cancelled => Err(ObserveError::ended(&status)),
        _ => Ok(()),
    }
}

async fn next<T>(stream: &mut Streaming<T>, stop: &mut Stop, wait: bool) -> Next<T> {
    poll_fn(|context| {
        if stop.interrupt.poll_recv(context).is_ready() || stop.terminate.poll_recv(context).is_ready() {
            return Poll::Ready(Next::Stop);
        }
        match Pin::new(&mut *stream).poll_next(context) {
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Next::Message(message)),
            Poll::Ready(Some(Err(status))) => Poll::Ready(Next::End(Err(status))),
            Poll::Ready(None) => Poll::Ready(Next::End(Ok(()))),
            Poll::Pending if wait => Poll::Pending,
            Poll::Pending => Poll::Ready(Next::Pending),
        }
    })
    .await
}

/// Prints messages of a type.
pub(super) trait Print<T> {
    fn print(&mut self, message: &T, lines: &mut Lines);
    /// Prints the messages held back.
    fn finish(&mut self, lines: &mut Lines);
}
