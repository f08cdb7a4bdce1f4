//! The runtime of those who serve clients: the data path goes before them.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::support::capabilities;
use crate::support::capabilities::Capabilities;

/// Threads: one client that takes much does not hold up the others.
const WORKERS: usize = 2;
/// How far behind the data path its threads stand, in steps of nice(2). Where both want one core, a client gets a tenth
/// of it: what it cannot take is counted as lost to it alone, what the pipeline cannot take is lost to all. A thread may
/// always lower itself.
const NICE: libc::c_int = 10;

/// A runtime whose threads stand behind the data path. Exports are not for it: they are part of that path.
///
/// # Errors
/// No thread can be started.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("serving")
        .on_thread_start(|| {
            step_back();
            capabilities::keep(Capabilities::NONE);
        })
        .enable_all()
        .build()
}

/// Lowers the calling thread alone, as Linux does where no process is named.
fn step_back() {
    // SAFETY: takes numbers.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        tracing::warn!(error = %io::Error::last_os_error(), "a thread that serves clients keeps its priority");
    }
}

/// Lets this process have as many open files as it may: each client takes one; the soft limit is what programs with select(2) bear, which none of ours is.
pub fn raise_descriptors() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays where it is");
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
    fn its_threads_alone_stand_behind() {
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
