//! Serves the Prometheus endpoint: pages of the pipeline's series and our own metrics.

use std::sync::Mutex;

use anyhow::Context as _;
use eyepiece_config::Settings;

use super::certificates::Certificates;
use super::error::AppError;
use super::exports::ExportContext;
use crate::export::prometheus::{Format, Page, RequestMetrics};
use crate::pipeline;
use crate::pipeline::metrics::{Naming, Resolver, Snapshot};
use crate::serve::http::{Server, ServerError};
use crate::serve::prometheus::{Bound, Config};
use crate::source::Waker;
use crate::support::lock::lock;
use crate::support::telemetry::Telemetry;

/// Binds the address; returns `None` if the endpoint is off.
pub(super) fn bind(settings: &Settings, telemetry: &Telemetry) -> Result<Option<Bound>, AppError> {
    let Some(listen) = settings.prometheus.listen else { return Ok(None) };
    let certificates = Certificates::of_prometheus(settings);
    match (Config { listen, tls: certificates.files(), telemetry: telemetry.clone() }).bind() {
        Ok(bound) => Ok(Some(bound)),
        Err(ServerError::Tls(error)) => Err(certificates.error(&error).into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot serve the Prometheus endpoint").into()),
    }
}

/// A handle of the pipeline whose drop wakes it: a page that is being rendered at a shutdown may hold the last one.
struct PipelineGuard {
    /// `None` in the drop only.
    pipeline: Option<pipeline::Handle>,
    waker: Waker,
}

impl PipelineGuard {
    fn snapshot(&self) -> Result<Snapshot, String> {
        let pipeline = self.pipeline.as_ref().ok_or("the program is ending")?;
        pipeline.snapshot().map_err(|error| error.to_string())
    }
}

impl Drop for PipelineGuard {
    fn drop(&mut self) {
        self.pipeline = None;
        self.waker.wake();
    }
}

/// Serves the address.
pub(super) fn serve(bound: Bound, context: &ExportContext<'_>, pipeline: &pipeline::Handle) -> anyhow::Result<Server> {
    let pipeline = PipelineGuard { waker: pipeline.waker(), pipeline: Some(pipeline.clone()) };
    let (address, names) = (bound.address(), context.names.clone());
    let (telemetry, resource) = (context.telemetry.clone(), context.resource.clone());
    // The state of the sums that this endpoint has shown.
    let resolver = Mutex::new(Resolver::default());
    let render = move |format: Format, requests: &RequestMetrics| {
        // Held over both steps, so that a later page has the later snapshot.
        let mut resolver = lock(&resolver);
        let snapshot = pipeline.snapshot()?;
        let flows = resolver.resolve(&snapshot, &names, Naming::Hubble);
        let samples = telemetry.samples();
        let page = Page { flows: &flows, requests, samples: &samples, resource: resource.attributes() };
        Ok::<_, String>(page.render(format))
    };
    let server = bound.serve(render).context("cannot serve the Prometheus endpoint")?;
    tracing::info!(%address, "serving metrics for Prometheus");
    Ok(server)
}
