//! Lost events. A loss is data: it travels through the pipeline to every sink and client.

/// The component that lost events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostSource {
    /// The kernel's buffer was full (`PERF_EVENT_RING_BUFFER` in Hubble, also for the ring buffer).
    KernelBuffer,
    /// A queue of ours between the source and the observer was full.
    ObserverQueue,
    /// A reader of the flow ring was overrun.
    HubbleRing,
}

/// Events that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The component that lost them.
    pub source: LostSource,
    /// The CPU, if the source knows it.
    pub cpu: Option<u16>,
    /// The number of lost events.
    pub count: u64,
    /// Time when the loss was noticed, ns since the Unix epoch.
    pub time: u64,
}
