//! What is measured of webhooks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::attempt::Attempt;
use crate::store::webhook::EndpointPlace;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    /// `2xx` to `5xx`, or `none` when there was no answer.
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
    /// Who or what has brought it there; `none` of those that are enabled.
    reason: &'static str,
}

const STATES: [(&str, &str); 5] = [
    ("enabled", "none"),
    ("paused", "operator"),
    ("paused", "failing"),
    ("disabled", "operator"),
    ("disabled", "gone"),
];

/// What this process sees of webhooks; clones share the same values.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    attempts: Family<StatusLabels, Counter>,
    seconds: Histogram,
    pub(super) parked: Counter,
    endpoints: Family<StateLabels, Gauge>,
    lag: Family<EndpointLabels, Gauge>,
    refused: Family<EndpointLabels, Gauge>,
}

impl Default for WebhookMetrics {
    fn default() -> Self {
        let metrics = Self {
            attempts: Family::default(),
            // From a millisecond to half a minute.
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            parked: Counter::default(),
            endpoints: Family::default(),
            lag: Family::default(),
            refused: Family::default(),
        };
        metrics.places(&[], 0, 0);
        metrics
    }
}

impl WebhookMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "webhook_attempts",
            "Attempts of this process to deliver an event, by the kind of status",
            self.attempts.clone(),
        );
        registry.register(
            "webhook_seconds",
            "Seconds until a receiver has answered, or was given up",
            self.seconds.clone(),
        );
        registry.register(
            "webhook_parked",
            "Events that this process has put aside because their endpoint refuses them",
            self.parked.clone(),
        );
        registry.register(
            "webhook_endpoints",
            "Endpoints by state, and by who or what has brought them there",
            self.endpoints.clone(),
        );
        registry.register(
            "webhook_lag",
            "Positions between what an enabled endpoint has got and the end of the event log",
            self.lag.clone(),
        );
        registry.register(
            "webhook_refused_seconds",
            "Seconds for which an enabled endpoint has refused its next event",
            self.refused.clone(),
        );
    }

    pub(super) fn attempt(&self, attempt: &Attempt) {
        let status = match attempt.status.map(|status| status / 100) {
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(5) => "5xx",
            Some(_) => "other",
            None => "none",
        };
        self.attempts.get_or_create(&StatusLabels { status }).inc();
        self.seconds.observe(attempt.duration.as_secs_f64());
    }

    /// Where the endpoints stand, with `end` as the end of the log.
    pub(super) fn places(&self, places: &[EndpointPlace], end: i64, now: i64) {
        for (state, reason) in STATES {
            let is_so = |place: &&EndpointPlace| {
                place.state == state && place.reason.as_deref().unwrap_or("none") == reason
            };
            let count = i64::try_from(places.iter().filter(is_so).count()).unwrap_or(i64::MAX);
            self.endpoints.get_or_create(&StateLabels { state, reason }).set(count);
        }
        self.lag.clear();
        self.refused.clear();
        for place in places.iter().filter(|place| place.state == "enabled") {
            let labels = EndpointLabels { endpoint: place.id.clone() };
            let behind = end.saturating_sub(place.position).max(0);
            self.lag.get_or_create(&labels).set(behind);
            let refused = place.refused_since.map_or(0, |since| now.saturating_sub(since).max(0));
            self.refused.get_or_create(&labels).set(refused / 1_000);
        }
    }
}
