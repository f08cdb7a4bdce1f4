//! The pipeline's loop: event → decode → enrich → count → batch. It runs on one thread and never waits for a sink.

mod counters;
mod deps;
pub mod enrich;
mod event_handlers;
pub mod metrics;
mod name_wait;
mod peer_names;
mod processor;
mod sink;

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use self::deps::{Deps, Learn, LearnProcess};
pub use self::event_handlers::{EventHandler, Next};
use self::processor::Pipeline;
pub use self::sink::Sink;
use crate::pipeline::metrics::{ReaderKind, Snapshot};
use crate::source::{Source, Waker};

/// The longest wait of the loop. Commands and totals wake it, so this only bounds the delay of series' expiry.
const WAIT: Duration = Duration::from_secs(1);
/// Interval of the expiry of series.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

enum Command {
    Start(Sender<io::Result<()>>),
    Stop,
    Snapshot(ReaderKind, Sender<Snapshot>),
    Drain(Sender<()>),
}

/// Controls a running pipeline.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Waker,
}

/// The pipeline has ended: its source failed, or it was stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the pipeline has ended")]
pub struct Ended;

impl Handle {
    fn request<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, Ended> {
        let (reply, answer) = channel();
        self.commands.send(command(reply)).map_err(|_| Ended)?;
        self.waker.wake();
        answer.recv().map_err(|_| Ended)
    }

    /// Starts reading.
    ///
    /// # Errors
    /// The pipeline has ended, or the source cannot start.
    pub fn start(&self) -> io::Result<()> {
        self.request(Command::Start).map_err(io::Error::other)?
    }

    /// Stops reading.
    pub fn stop(&self) {
        // A pipeline that has ended does not read.
        if self.commands.send(Command::Stop).is_ok() {
            self.waker.wake();
        }
    }

    /// Returns the waker of the pipeline's wait. Dropping the last handle does not wake it.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Returns all series for a reader.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn snapshot(&self, reader: ReaderKind) -> Result<Snapshot, Ended> {
        self.request(|reply| Command::Snapshot(reader, reply))
    }

    /// Waits until the sinks have all events that the source holds.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn drain(&self) -> Result<(), Ended> {
        self.request(Command::Drain)
    }
}

/// Starts the thread. It ends when the last handle is dropped, or with an error of its source.
///
/// # Errors
/// The system cannot start a thread.
pub fn spawn(deps: Deps) -> io::Result<(Handle, JoinHandle<io::Result<()>>)> {
    let (commands, inbox) = channel();
    let handle = Handle { commands, waker: deps.source.waker() };
    let thread = std::thread::Builder::new().name("pipeline".into()).spawn(move || run(deps, &inbox))?;
    Ok((handle, thread))
}

fn run(deps: Deps, inbox: &Receiver<Command>) -> io::Result<()> {
    let now = deps.now;
    let (mut source, mut pipeline) = Pipeline::new(deps);
    let mut expiry = Instant::now() + EXPIRY_INTERVAL;
    loop {
        loop {
            match inbox.try_recv() {
                Ok(command) => command.execute(&mut *source, &mut pipeline, now)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    source.stop();
                    pipeline.finish();
                    return Ok(());
                }
            }
        }
        pipeline.read(&mut *source, WAIT)?;
        if Instant::now() >= expiry {
            expiry = Instant::now() + EXPIRY_INTERVAL;
            // An event arrives when its read began, which may have waited this long.
            pipeline.expire(now().saturating_sub(WAIT.as_nanos() as u64));
        }
    }
}

impl Command {
    fn execute(self, source: &mut dyn Source, pipeline: &mut Pipeline, now: fn() -> u64) -> io::Result<()> {
        // A caller may have given up waiting for its answer.
        match self {
            Self::Start(reply) => reply.send(source.start()).unwrap_or_default(),
            Self::Stop => source.stop(),
            Self::Snapshot(reader, reply) => reply.send(pipeline.snapshot(reader, now())).unwrap_or_default(),
            Self::Drain(reply) => {
                while pipeline.read(source, Duration::ZERO)? > 0 {}
                pipeline.finish();
                reply.send(()).unwrap_or_default();
            }
        }
        Ok(())
    }
}
