//! Serves the Prometheus endpoint: pages of the pipeline's series and our own metrics.

use anyhow::Context as _;
use eyepiece_config::Settings;

use super::certificates::Certificates;
use super::error::AppError;
use super::exports::{ExportContext, SeriesReader};
use crate::export::own_durations;
use crate::export::prometheus::{Format, Page, RequestMetrics};
use crate::pipeline;
use crate::pipeline::metrics::{Naming, ReaderKind};
use crate::serve::http::{Server, ServerError};
use crate::serve::prometheus::{Bound, Config};
use crate::source::Waker;
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

/// Reads series for pages. Its drop wakes the pipeline: a page that is being rendered at a shutdown may hold the last handle.
struct PageReader {
    /// Dropped before the wake.
    series: SeriesReader,
    _wake: WakeOnDrop,
}

struct WakeOnDrop(Waker);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// Serves the address.
pub(super) fn serve(bound: Bound, context: &ExportContext<'_>, pipeline: &pipeline::Handle) -> anyhow::Result<Server> {
    let series = SeriesReader::new(context, pipeline, (ReaderKind::Scrapes, Naming::Hubble));
    let reader = PageReader { series, _wake: WakeOnDrop(pipeline.waker()) };
    let (address, telemetry, resource) = (bound.address(), context.telemetry.clone(), context.resource.clone());
    let render = move |format: Format, requests: &RequestMetrics| {
        // The closure owns the whole reader.
        let reader = &reader;
        let (mut flows, _) = reader.series.resolve().map_err(|error| error.to_string())?;
        flows.extend(own_durations::resolve(&telemetry));
        let samples = telemetry.samples();
        let page = Page { flows: &flows, requests, samples: &samples, resource: resource.attributes() };
        Ok::<_, String>(page.render(format))
    };
    let server = bound.serve(render).context("cannot serve the Prometheus endpoint")?;
    tracing::info!(%address, "serving metrics for Prometheus");
    Ok(server)
}
