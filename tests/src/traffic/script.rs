//! Everything at once: TCP, UDP and ICMP of both families and frames of all kinds, up to a total.

use anyhow::{Result, ensure};

use super::{Close, echo, mixed, tcp, udp};
use crate::Count;
use crate::lab::{Family, Host};

/// The traffic of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Datagrams, echo requests and frames that the first host sent, each as on its link; TCP comes on top.
    pub sent_at_least: Count,
    /// Payload of the TCP transfers, from the first host to the second.
    pub tcp_payload: u64,
    /// TCP connections.
    pub connections: u64,
}

/// Sends scripted traffic between two hosts until at least so many packets have crossed the first one's link.
///
/// The stacks decide the number of TCP segments and answers: the interfaces' counters have it.
pub fn script(from: &Host, to: &Host, total: u64) -> Result<Script> {
    /// TCP payload of a segment at an MTU of 1500, no options but timestamps, IPv6.
    const SEGMENT: u64 = 1428;
    /// Connections of each family; the last one ends by RST.
    const CONNECTIONS: u64 = 4;
    let mut script = Script::default();
    for family in Family::BOTH {
        // Of the total and in each family: a fifth datagrams, a hundredth echoes, a tenth TCP; the rest are frames.
        let datagrams = udp(from, to).family(family).packets(total / 5).payload(200).flows(5).run()?;
        ensure!(datagrams.received == datagrams.sent, "{family:?}: {datagrams:?}");
        let count = u16::try_from((total / 100).min(2000))?;
        let echoed = echo(from, to).family(family).count(count).run()?;
        ensure!(echoed.replies == echoed.requests, "{family:?}: {echoed:?}");
        let requests = Count { packets: echoed.requests, bytes: echoed.requests * echoed.frame };
        script.sent_at_least = script.sent_at_least + datagrams.sent + requests;
        for (connections, close) in [(CONNECTIONS - 1, Close::Fin), (1, Close::Rst)] {
            let bytes = total / 10 / CONNECTIONS * SEGMENT;
            let report = tcp(from, to).family(family).connections(connections).bytes(bytes).close(close).run()?;
            script.tcp_payload += report.sent;
            script.connections += report.connections;
        }
    }
    let sent = mixed(from, to).total(total - script.sent_at_least.packets.min(total)).run()?;
    script.sent_at_least = script.sent_at_least + sent.total;
    Ok(script)
}
