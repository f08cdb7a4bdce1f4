//! A thread with a runtime for one task.

use std::io;

use tokio::sync::oneshot;

use super::capabilities;
use super::capabilities::Capabilities;

/// Runs a task on a thread and a runtime of its own, so that encoding never delays a health check. The thread has no
/// capabilities. The returned receiver gets the task's result.
///
/// # Errors
/// The system cannot start a thread or create an event queue.
pub fn spawn_thread<F>(
    name: &str,
    task: impl FnOnce() -> F + Send + 'static,
) -> io::Result<oneshot::Receiver<F::Output>>
where
    F: Future<Output: Send + 'static>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        capabilities::keep(Capabilities::NONE);
        let output = runtime.block_on(task());
        // Hanging DNS look-ups must not delay the end.
        runtime.shutdown_background();
        // The receiver may have been dropped.
        sender.send(output).unwrap_or_default();
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, spawn_thread};

    #[tokio::test]
    async fn thread_has_name_and_no_capabilities() {
        let task = || async move {
            let name = std::thread::current().name().map(str::to_owned);
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            (name, Capabilities::of_status(&status, "CapPrm"))
        };
        let result = spawn_thread("otlp-logs", move || async move { tokio::spawn(task()).await });
        let (name, permitted) = result.unwrap().await.unwrap().unwrap();
        assert_eq!((name.as_deref(), permitted), (Some("otlp-logs"), Some(Capabilities::NONE)));
    }
}
