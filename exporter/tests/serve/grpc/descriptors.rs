//! A server without free descriptors logs it once, counts, and accepts again when some are free.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece::serve::grpc::{Address, Bind, Config, Limits};
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_tests::eventually_async;
use nix::sys::resource::{Resource, setrlimit};
use tokio::net::TcpStream;
use tonic::service::Routes;

/// Timeout of every wait on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Open files that this process may have: what it has by itself, and some.
const FILES: u64 = 64;

/// The log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn times(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

async fn wait(what: &str, is_so: &dyn Fn() -> bool) {
    eventually_async(TIMEOUT, what, || is_so().then_some(())).await.unwrap();
}

#[tokio::test]
async fn server_without_descriptors_logs_once() {
    // The limit on descriptors and the log are the whole process\'s.
    eyepiece_tests::own_process!();
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).unwrap();
    let telemetry = Telemetry::default();
    let config = Config {
        listen: vec![Bind::Tcp("127.0.0.1:0".parse().unwrap())],
        tls: None,
        limits: Limits::default(),
        version: "1".parse().unwrap(),
        telemetry: telemetry.clone(),
    };
    let bound = config.bind().await.unwrap();
    let Address::Tcp(address) = bound.addresses()[0] else { panic!("{:?}", bound.addresses()) };
    let (_stop, stopped) = shutdown::channel();
    tokio::spawn(bound.serve(Routes::default(), None, stopped));
    let number = |name: &str| {
        let samples = telemetry.samples().into_iter();
        samples.filter(|sample| sample.key.name == name).map(|sample| sample.value).sum::<u64>()
    };
    for round in 1..=2 {
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        files.pop();
        let before = number("eyepiece.hubble.refused");
        let client = TcpStream::connect(address).await.unwrap();
        wait("no client is refused", &|| number("eyepiece.hubble.refused") >= before + 3).await;
        assert_eq!((log.times("cannot accept clients"), log.times("are accepted again")), (round, round - 1));
        drop(files);
        wait("no client is accepted", &|| number("eyepiece.hubble.accepted") >= round as u64).await;
        assert_eq!((log.times("cannot accept clients"), log.times("are accepted again")), (round, round));
        drop(client);
        wait("the client stays", &|| number("eyepiece.hubble.connections") == 0).await;
    }
}
