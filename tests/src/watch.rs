//! The product on the lab's node together with a receiver that keeps what it exports.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{Counters, Eyepiece, Lab, Receiver};

/// Both, running.
#[derive(Debug)]
pub struct Watch {
    /// The product, on the node.
    pub eyepiece: Eyepiece,
    /// Its receiver, on the node's loopback.
    pub receiver: Receiver,
}

impl Watch {
    /// Starts the product with settings by key path (`datapath.transport`) and waits until it is ready.
    ///
    /// Metrics leave every second and records at once, by default.
    pub fn start(lab: &Lab, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_program(lab, settings, &crate::eyepiece::binary()?)
    }

    /// As [`Self::start`], with another program.
    pub fn start_program(lab: &Lab, settings: &[(&str, &str)], program: &Path) -> Result<Self> {
        let receiver = Receiver::start(lab.node())?;
        let config = format!(
            "[otlp]\nendpoint = \"{}\"\n[otlp.metrics]\ninterval = \"1s\"\n[otlp.logs]\ndelay = \"50ms\"\n",
            receiver.endpoint()
        );
        let mut builder = Eyepiece::builder(&config).program(program);
        for (key, value) in settings {
            builder = builder.argument("--set").argument(&format!("{key}={value}"));
        }
        Ok(Self { eyepiece: builder.start(lab.node())?, receiver })
    }

    /// Ends the product and leaves what it had exported by then, to the last packet.
    pub fn stop(mut self) -> Result<Receiver> {
        let code = self.eyepiece.stop()?;
        ensure!(code == 0, "exit code {code}: {}", self.eyepiece.stderr());
        Ok(self.receiver)
    }
}

/// Returns the product's exports of an interface as the interface's own counters have them, without drops.
pub fn counted(receiver: &Receiver, device: &str) -> Counters {
    let sum = |metric: &str, direction| {
        receiver.sum(metric, &[("network.interface.name", device), ("network.io.direction", direction)])
    };
    Counters {
        rx_packets: sum("hubble.interface.packets", "receive"),
        rx_bytes: sum("hubble.interface.io", "receive"),
        tx_packets: sum("hubble.interface.packets", "transmit"),
        tx_bytes: sum("hubble.interface.io", "transmit"),
        ..Counters::default()
    }
}

/// Counters of the node's interfaces, in the order of [`Lab::node_devices`].
pub fn all_counters(lab: &Lab) -> Result<Vec<Counters>> {
    lab.node_devices().into_iter().map(|device| lab.node().counters(device)).collect()
}
