//! What another Hubble observed on its way through the pipeline.

use eyepiece_flow::record::Observed;
use eyepiece_flow::uuid;
use eyepiece_wire::InterfaceKind;

use super::{Next, Work};

impl Work {
    /// What another Hubble observed: nothing that it says is replaced by what we know.
    #[cold]
    pub(super) fn observed(&mut self, observed: Observed) {
        match observed {
            Observed::Flow(mut flow) => {
                self.counts.received += 1;
                self.counts.parsed += 1;
                self.ends.name(&mut flow);
                if self.hooks.on_flow(&mut flow) == Next::Stop {
                    return;
                }
                self.aggregation.count(&flow, InterfaceKind::Other);
                if self.hooks.has_sinks() {
                    // A server of long ago, or another's, gives none.
                    if flow.uuid == [0; 16] {
                        flow.uuid = uuid::random(&mut self.random);
                    }
                    self.push(Observed::Flow(flow));
                }
            }
            Observed::Agent(event) => {
                self.counts.received += 1;
                self.agent(event);
            }
            Observed::Debug(event) => {
                self.counts.received += 1;
                self.debug(event);
            }
            Observed::Lost(lost) => self.lost(&lost),
        }
    }
}
