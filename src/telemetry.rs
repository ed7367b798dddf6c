//! Logs and metrics.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::service::Service;

/// Starts logging to the standard error stream: text on a terminal, JSON lines elsewhere. The level
/// comes from `ROLLBOOK_LOG`, `info` by default without the HTTP library's own start-up lines.
pub fn init_logs() {
    let filter = EnvFilter::try_from_env("ROLLBOOK_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, as tests do, keeps the first logger.
    let _ = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// The provider that a directory was made for, not the directory: there may be ten thousand of them. The
/// log names the one. Empty for API keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    surface: &'static str,
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MismatchLabels {
    expected: &'static str,
    detected: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// From a tenth of a millisecond to 13 seconds.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
}

/// The metrics of a process, in the format that Prometheus reads.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabels, Histogram>,
    failures: Counter,
    queues: Family<LaneLabels, Gauge>,
    grants: Family<MethodLabels, Counter>,
    grant_refusals: Family<ReasonLabels, Counter>,
    signed_refusals: Family<ReasonLabels, Counter>,
    limited: Family<LimitLabels, Counter>,
    mismatches: Family<MismatchLabels, Counter>,
}

impl Metrics {
    pub fn new(service: &Service) -> Self {
        let mut registry = Registry::with_prefix("rollbook");
        let requests = Family::default();
        let new_histogram: fn() -> Histogram = latency_histogram;
        let latency = Family::new_with_constructor(new_histogram);
        let queues = Family::default();
        let limited = Family::default();
        registry.register(
            "rate_limited",
            "Requests refused because their caller made too many",
            limited.clone(),
        );
        let mismatches = Family::default();
        registry.register(
            "client_mismatch",
            "Requests of another client than the directory was made for",
            mismatches.clone(),
        );
        registry.register("http_requests", "Requests by route and status", requests.clone());
        let failures = Counter::default();
        registry.register(
            "http_failures",
            "Requests answered with a 5xx that is not what the state of the directory asks for",
            failures.clone(),
        );
        registry.register("http_request_seconds", "Seconds to answer", latency.clone());
        registry.register("store_queue", "Units that wait for a lane", queues.clone());
        let grants = Family::default();
        let (grant_refusals, signed_refusals) = (Family::default(), Family::default());
        registry.register("oauth_grants", "Access tokens issued, by method", grants.clone());
        registry.register(
            "oauth_refusals",
            "Requests for an access token that were refused, by reason",
            grant_refusals.clone(),
        );
        registry.register(
            "signed_token_refusals",
            "Signed tokens that were refused over SCIM, by reason",
            signed_refusals.clone(),
        );
        service.store.metrics().register(&mut registry);
        service.policy_metrics.register(&mut registry);
        service.alarm_metrics.register(&mut registry);
        service.identity_metrics.register(&mut registry);
        service.mapping_metrics.register(&mut registry);
        service.event_log.metrics.register(&mut registry);
        service.webhooks.metrics.register(&mut registry);
        service.streams.metrics.register(&mut registry);
        service.intent_metrics.register(&mut registry);
        service.records.metrics.register(&mut registry);
        service.portal.metrics.register(&mut registry);
        service.syncs.metrics.register(&mut registry);
        Self {
            registry,
            requests,
            latency,
            failures,
            queues,
            limited,
            mismatches,
            grants,
            grant_refusals,
            signed_refusals,
        }
    }

    /// Counts an answered request.
    pub fn request(
        &self,
        route: &'static str,
        method: &'static str,
        status: u16,
        elapsed: Duration,
    ) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.latency.get_or_create(&RouteLabels { route }).observe(elapsed.as_secs_f64());
    }

    /// Counts an answered request that failed through no fault of its client and no wish of its operator.
    pub fn request_failed(&self) {
        self.failures.inc();
    }

    /// Counts an access token; `method` is how its client authenticated.
    pub fn token_granted(&self, method: &'static str) {
        self.grants.get_or_create(&MethodLabels { method }).inc();
    }

    /// Counts a request for an access token that was refused.
    pub fn grant_refused(&self, reason: &'static str) {
        self.grant_refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a signed token that did not let its bearer in.
    pub fn signed_token_refused(&self, reason: &'static str) {
        self.signed_refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a request that was one too many.
    pub fn rate_limited(&self, surface: &'static str, provider: &'static str) {
        self.limited.get_or_create(&LimitLabels { surface, provider }).inc();
    }

    /// Counts a request of another client than the directory was made for.
    pub fn client_mismatch(&self, expected: &'static str, detected: &'static str) {
        self.mismatches.get_or_create(&MismatchLabels { expected, detected }).inc();
    }

    /// The text of `/metrics`, with the units that wait by lane.
    pub fn render(&self, queue_depths: [(&'static str, usize); 3]) -> String {
        for (lane, depth) in queue_depths {
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.queues.get_or_create(&LaneLabels { lane }).set(depth);
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            let _ = writeln!(text, "# encoding failed");
        }
        text
    }
}
