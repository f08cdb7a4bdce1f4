//! The threads that serve clients: of their own and less urgent, so that no client displaces the pipeline.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Threads: clients are many and wait most of the time; what they read is filtered and encoded here.
const WORKERS: usize = 2;
/// What their priority is lowered by (nice(2)): at +10 a thread gets about a tenth of a busy CPU beside one at 0.
const NICE: i32 = 10;

/// A runtime for clients.
///
/// # Errors
/// No thread can be started.
pub fn serving() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("serving")
        .on_thread_start(lower)
        .enable_all()
        .build()
}

/// Lowers the priority of this thread alone: Linux takes a thread's id for a process's (setpriority(2)).
fn lower() {
    // SAFETY: takes numbers; 0 is the thread that calls.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    if result != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "cannot lower a thread's priority");
    }
}
