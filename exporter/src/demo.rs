//! The demo: hosts in network namespaces, traffic between them, and what eyepiece exports of it.
//!
//! `eyepiece run` runs as usual, in a process of its own, and sends by OTLP to a receiver in the demo.

mod arrived;
mod firewall;
mod namespace;
mod network;
mod packets;
mod product;
mod receiver;
mod screen;
mod traffic;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::arrived::Series;
use self::network::Network;
use self::product::Product;
use self::receiver::Arrival;
use self::screen::Screen;
use self::traffic::{TRAFFIC_STEPS, TrafficStep};
use crate::app::AppError;

/// Requests that wait to be printed; beyond that, the exporter waits for its answers, and counts.
const ARRIVALS: usize = 64;
/// Headings that wait to be printed: the client is at most one step ahead.
const HEADINGS: usize = 1;
/// The shortest and the longest pause between two steps: time for the flows of one to arrive, and to be read.
const PAUSE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(1500));
/// The product's time to deliver queued telemetry.
const SHUTDOWN: Duration = Duration::from_secs(8);

/// The demo's duration, and settings for the product.
#[derive(Debug)]
pub struct DemoConfig {
    /// Duration of the traffic between hosts, in s.
    pub seconds: u64,
    /// The user's file of settings.
    pub config: Option<PathBuf>,
    /// The user's settings by flags: key and value.
    pub sets: Vec<(String, String)>,
}

/// The error of the demo.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum DemoError {
    /// A privilege or a resource is missing.
    #[error(transparent)]
    App(#[from] AppError),
    /// Standard output is closed, or cannot be written.
    #[error("cannot write to standard output: {source}")]
    Output {
        #[from]
        source: io::Error,
    },
}

impl From<anyhow::Error> for DemoError {
    fn from(error: anyhow::Error) -> Self {
        Self::App(error.into())
    }
}

/// Prints flows and metrics of made-up hosts, until its end or a signal. Call it while the program has one thread.
///
/// # Errors
/// The start failed, a step of the client failed, or the product ended early.
pub fn run(config: DemoConfig) -> Result<(), DemoError> {
    if !nix::unistd::geteuid().is_root() {
        let operation = "the demo makes network namespaces and loads programs into the kernel: run it as root";
        return Err(AppError::MissingPrivilege { operation: operation.to_owned() }.into());
    }
    let mut screen = Screen::stdout();
    screen.introduction(config.seconds)?;
    screen.step("making the hosts: namespaces, links, addresses, routes")?;
    let network = Arc::new(network::namespaces().map_err(namespace_error)?);
    network.connect()?;
    let steps = set_up_firewall(&network, &mut screen)?;
    traffic::serve(&network).context("cannot start the servers")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let (sender, arrivals) = mpsc::channel(ARRIVALS);
    let listener = network.node.inside().run(|| std::net::TcpListener::bind(("127.0.0.1", 0)));
    let listener = listener.context("cannot listen on the node")?;
    let address = listener.local_addr().context("cannot read the listener's address")?;
    listener.set_nonblocking(true).context("cannot set up the listener")?;
    runtime.spawn(async move { receiver::run(tokio::net::TcpListener::from_std(listener)?, sender).await });
    screen.step("starting eyepiece on the node: it loads its programs and hooks them to the links")?;
    let (product, warnings) = Product::start(network.node.inside(), address, config.config, &config.sets)?;
    screen.warnings(&warnings)?;
    let demo = Demo { screen, arrivals, product, series: Series::default(), records: 0 };
    demo.run(&runtime, &network, steps, config.seconds)
}

fn namespace_error(error: io::Error) -> AppError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        let operation = "making a network namespace, which needs CAP_SYS_ADMIN (is this an unprivileged container?)";
        return AppError::MissingPrivilege { operation: operation.to_owned() };
    }
    anyhow::Error::new(error).context("cannot make a network namespace").into()
}

/// Sets up the firewall; returns the steps, without those that need it if the kernel refuses.
fn set_up_firewall(network: &Network, screen: &mut Screen<io::Stdout>) -> io::Result<Vec<&'static TrafficStep>> {
    screen.step("giving the node a firewall: nothing is forwarded to TCP port 23")?;
    match network.node.inside().run(|| firewall::drop_forwarded(traffic::FIREWALLED)) {
        Ok(()) => Ok(TRAFFIC_STEPS.iter().collect()),
        Err(error) => {
            screen.step(&format!("going on without it: the kernel refuses it (module nf_tables?): {error}"))?;
            Ok(TRAFFIC_STEPS.iter().filter(|step| !step.needs_firewall).collect())
        }
    }
}

/// The running demo.
struct Demo {
    screen: Screen<io::Stdout>,
    arrivals: mpsc::Receiver<Arrival>,
    product: Product,
    series: Series,
    /// Log records that arrived.
    records: usize,
}

impl Demo {
    fn run(
        mut self,
        runtime: &Runtime,
        network: &Arc<Network>,
        steps: Vec<&'static TrafficStep>,
        seconds: u64,
    ) -> Result<(), DemoError> {
        let (stop, stopped) = blocking::sync_channel::<()>(0);
        let (headings, mut shown) = mpsc::channel(HEADINGS);
        let network = Arc::clone(network);
        let duration = Duration::from_secs(seconds);
        let client = std::thread::Builder::new()
            .name("client".to_owned())
            .spawn(move || run_steps(&network, &steps, duration, &headings, &stopped))
            .context("cannot start a thread")?;
        let watched = runtime.block_on(self.watch(&mut shown));
        drop(stop);
        let sent = client.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the client panicked")));
        watched?;
        sent?;
        self.screen.warnings(&self.product.warnings())?;
        self.screen.tables(&self.series, self.records)?;
        self.screen.next_steps()?;
        Ok(())
    }

    /// Prints what arrives until the client has finished and the product has delivered everything, or until a signal.
    async fn watch(&mut self, headings: &mut mpsc::Receiver<&'static str>) -> Result<(), DemoError> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
        loop {
            tokio::select! {
                biased;
                () = either_signal(&mut interrupt, &mut terminate) => return Ok(()),
                arrival = self.arrivals.recv() => self.take(arrival)?,
                heading = headings.recv() => match heading {
                    Some(heading) => self.screen.step_heading(heading)?,
                    None => break,
                },
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if let Some(status) = self.product.ended()? {
                        return Err(anyhow::anyhow!("eyepiece run ended ({status})").into());
                    }
                }
            }
        }
        self.product.terminate().context("cannot signal eyepiece run")?;
        let deadline = Instant::now() + SHUTDOWN;
        while self.product.ended()?.is_none() && Instant::now() < deadline {
            tokio::select! {
                () = either_signal(&mut interrupt, &mut terminate) => return Ok(()),
                arrival = self.arrivals.recv() => self.take(arrival)?,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.take(Some(arrival))?;
        }
        Ok(())
    }

    fn take(&mut self, arrival: Option<Arrival>) -> Result<(), DemoError> {
        match arrival {
            Some(Arrival::Logs(request)) => {
                for flow in arrived::flows(request) {
                    self.screen.flow(&flow)?;
                    self.records += 1;
                }
            }
            Some(Arrival::Metrics(request)) => self.series.take(request),
            None => return Err(anyhow::anyhow!("the receiver has ended").into()),
        }
        Ok(())
    }
}

async fn either_signal(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Repeats the client's steps until the duration is over or the demo stops; each step runs at least once.
fn run_steps(
    network: &Network,
    steps: &[&TrafficStep],
    duration: Duration,
    headings: &mpsc::Sender<&'static str>,
    stopped: &blocking::Receiver<()>,
) -> anyhow::Result<()> {
    let count = u32::try_from(steps.len().max(1)).unwrap_or(1);
    let pause = (duration / count).clamp(PAUSE.0, PAUSE.1);
    let end = Instant::now() + duration;
    for (index, step) in steps.iter().cycle().enumerate() {
        if index >= steps.len() && Instant::now() + pause / 2 > end {
            return Ok(());
        }
        if headings.blocking_send(step.heading).is_err() {
            return Ok(());
        }
        step.run(network).with_context(|| step.heading)?;
        // The sender never sends: its drop is the signal.
        if stopped.recv_timeout(pause) == Err(blocking::RecvTimeoutError::Disconnected) {
            return Ok(());
        }
    }
    Ok(())
}
