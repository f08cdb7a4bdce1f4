//! The demonstration: hosts in network namespaces, traffic between them, and what eyepiece tells of it.
//!
//! The product runs as it always does, in a process of its own, and sends by OTLP to a receiver that is part of this.

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
use self::traffic::{ACTS, Act};
use crate::app::AppError;

/// Requests that wait to be shown; where there are more, the exporter waits for its answers, and counts.
const ARRIVALS: usize = 64;
/// Headings that wait to be shown: the client is at most one act ahead.
const HEADINGS: usize = 1;
/// The least and the longest pause between two acts: time for the flows of one to arrive, and to be read.
const PAUSE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(1500));
/// How long the product may take to deliver what is left.
const LEAVE: Duration = Duration::from_secs(8);

/// How the demo shall be.
#[derive(Debug)]
pub struct Options {
    /// How long hosts talk, in s.
    pub seconds: u64,
    /// The user's file of settings, for the product.
    pub config: Option<PathBuf>,
    /// The user's settings by flags, for the product: key and value.
    pub sets: Vec<(String, String)>,
}

/// Why it was not shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// What it needs is missing or refused.
    #[error(transparent)]
    App(#[from] AppError),
    /// Nobody reads any more, or nothing can be written.
    #[error("cannot write to standard output: {source}")]
    Output {
        /// What the system said.
        #[from]
        source: io::Error,
    },
}

impl From<anyhow::Error> for DemoError {
    fn from(error: anyhow::Error) -> Self {
        Self::App(error.into())
    }
}

/// Shows flows and metrics of made-up hosts, until it is over or interrupted. To be called while the program has one
/// thread.
///
/// # Errors
/// What kept it from starting, or from going on.
pub fn run(options: Options) -> Result<(), DemoError> {
    if !nix::unistd::geteuid().is_root() {
        let operation = "the demo makes network namespaces and loads programs into the kernel: run it as root";
        return Err(AppError::MissingPrivilege { operation: operation.to_owned() }.into());
    }
    let mut screen = Screen::stdout();
    screen.introduction(options.seconds)?;
    screen.step("making the hosts: namespaces, links, addresses, routes")?;
    let network = Arc::new(network::namespaces().map_err(namespace_error)?);
    network.connect()?;
    let acts = firewalled(&network, &mut screen)?;
    traffic::serve(&network).context("cannot start the servers")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let (sender, arrivals) = mpsc::channel(ARRIVALS);
    let listener = network.node.inside().run(|| std::net::TcpListener::bind(("127.0.0.1", 0)));
    let listener = listener.context("cannot listen on the node")?;
    let address = listener.local_addr().context("no address")?;
    listener.set_nonblocking(true).context("a socket")?;
    runtime.spawn(async move { receiver::run(tokio::net::TcpListener::from_std(listener)?, sender).await });
    screen.step("starting eyepiece on the node: it loads its programs and hooks them to the links")?;
    let (product, complaints) = Product::start(network.node.inside(), address, options.config, &options.sets)?;
    screen.complaints(&complaints)?;
    let show = Show { screen, arrivals, product, series: Series::default(), records: 0 };
    show.run(&runtime, &network, acts, options.seconds)
}

fn namespace_error(error: io::Error) -> AppError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        let operation = "making a network namespace, which needs CAP_SYS_ADMIN (is this an unprivileged container?)";
        return AppError::MissingPrivilege { operation: operation.to_owned() };
    }
    anyhow::Error::new(error).context("cannot make a network namespace").into()
}

/// Sets up the firewall: the acts that make sense then.
fn firewalled(network: &Network, screen: &mut Screen<io::Stdout>) -> io::Result<Vec<&'static Act>> {
    screen.step("giving the node a firewall: nothing is forwarded to TCP port 23")?;
    match network.node.inside().run(|| firewall::drop_forwarded(traffic::FIREWALLED)) {
        Ok(()) => Ok(ACTS.iter().collect()),
        Err(error) => {
            screen.step(&format!("without it then: the kernel refuses (module nf_tables?): {error}"))?;
            Ok(ACTS.iter().filter(|act| !act.needs_firewall).collect())
        }
    }
}

/// The demo while it is shown.
struct Show {
    screen: Screen<io::Stdout>,
    arrivals: mpsc::Receiver<Arrival>,
    product: Product,
    series: Series,
    /// Log records that arrived.
    records: usize,
}

impl Show {
    fn run(
        mut self,
        runtime: &Runtime,
        network: &Arc<Network>,
        acts: Vec<&'static Act>,
        seconds: u64,
    ) -> Result<(), DemoError> {
        let (stop, stopped) = blocking::sync_channel::<()>(0);
        let (headings, mut shown) = mpsc::channel(HEADINGS);
        let stage = Arc::clone(network);
        let duration = Duration::from_secs(seconds);
        let client = std::thread::Builder::new()
            .name("client".to_owned())
            .spawn(move || play(&stage, &acts, duration, &headings, &stopped))
            .context("cannot start a thread")?;
        let watched = runtime.block_on(self.watch(&mut shown));
        drop(stop);
        let played = client.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the client panicked")));
        watched?;
        played?;
        self.screen.complaints(&self.product.complaints())?;
        self.screen.tables(&self.series, self.records)?;
        self.screen.farewell()?;
        Ok(())
    }

    /// Shows what arrives until the client has done everything and the product has delivered what it knew, or until
    /// a signal.
    async fn watch(&mut self, headings: &mut mpsc::Receiver<&'static str>) -> Result<(), DemoError> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
        loop {
            tokio::select! {
                biased;
                () = either(&mut interrupt, &mut terminate) => return Ok(()),
                arrival = self.arrivals.recv() => self.take(arrival)?,
                heading = headings.recv() => match heading {
                    Some(heading) => self.screen.act(heading)?,
                    None => break,
                },
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    if let Some(status) = self.product.ended()? {
                        return Err(anyhow::anyhow!("eyepiece run ended ({status})").into());
                    }
                }
            }
        }
        self.product.ask_to_leave().context("eyepiece run is gone")?;
        let patience = Instant::now() + LEAVE;
        while self.product.ended()?.is_none() && Instant::now() < patience {
            tokio::select! {
                () = either(&mut interrupt, &mut terminate) => return Ok(()),
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

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// The client's acts over and over, until the time is over or somebody says stop; each at least once.
fn play(
    network: &Network,
    acts: &[&Act],
    duration: Duration,
    headings: &mpsc::Sender<&'static str>,
    stopped: &blocking::Receiver<()>,
) -> anyhow::Result<()> {
    let count = u32::try_from(acts.len().max(1)).unwrap_or(1);
    let pause = (duration / count).clamp(PAUSE.0, PAUSE.1);
    let end = Instant::now() + duration;
    for (index, act) in acts.iter().cycle().enumerate() {
        if index >= acts.len() && Instant::now() + pause / 2 > end {
            return Ok(());
        }
        if headings.blocking_send(act.says).is_err() {
            return Ok(());
        }
        act.perform(network).with_context(|| act.says)?;
        // Nothing is ever sent: the sender is dropped.
        if stopped.recv_timeout(pause) == Err(blocking::RecvTimeoutError::Disconnected) {
            return Ok(());
        }
    }
    Ok(())
}
