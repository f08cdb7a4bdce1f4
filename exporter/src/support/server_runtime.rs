//! The runtime of the servers, whose threads have a lower priority than the data path.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::support::capabilities;
use crate::support::capabilities::Capabilities;

/// Threads: one expensive client does not block the others.
const WORKERS: usize = 2;
/// Priority of its threads in steps of nice(2). If both compete for a core, servers get a tenth of it: a slow client
/// loses only its own events, a slow pipeline those of all. A thread may always lower its own priority.
const NICE: libc::c_int = 10;

/// Builds a runtime with a lower priority than the data path. Exporters are part of that path: they do not run here.
///
/// # Errors
/// The system cannot start a thread.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("serving")
        .on_thread_start(|| {
            lower_priority();
            capabilities::keep(Capabilities::NONE);
        })
        .enable_all()
        .build()
}

/// Lowers the priority of the calling thread alone, which Linux does for process id 0.
fn lower_priority() {
    // SAFETY: takes numbers.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        tracing::warn!(error = %io::Error::last_os_error(), "cannot lower the priority of a server thread");
    }
}

/// Raises the soft limit of open files to the hard limit: each client takes one. The soft limit protects programs with
/// select(2), which we do not use.
pub fn raise_descriptors() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::{NICE, runtime};

    fn nice() -> i32 {
        // SAFETY: takes numbers.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn only_its_threads_have_lower_priority() {
        let before = nice();
        let runtime = runtime().unwrap();
        let (task, blocking) = runtime.block_on(async {
            (tokio::spawn(async { nice() }).await.unwrap(), tokio::task::spawn_blocking(nice).await.unwrap())
        });
        let behind = NICE.max(before);
        assert_eq!((task, blocking), (behind, behind));
        assert_eq!(nice(), before);
    }
}
