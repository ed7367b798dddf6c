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
}

const STATES: [&str; 3] = ["enabled", "paused", "disabled"];

/// What this process sees of webhooks; clones share the same values.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    attempts: Family<StatusLabels, Counter>,
    seconds: Histogram,
    pub(super) parked: Counter,
    endpoints: Family<StateLabels, Gauge>,
    lag: Family<EndpointLabels, Gauge>,
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
        };
        metrics.places(&[], 0);
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
        registry.register("webhook_endpoints", "Endpoints by state", self.endpoints.clone());
        registry.register(
            "webhook_lag",
            "Positions between what an endpoint has got and the end of the event log",
            self.lag.clone(),
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
    pub(super) fn places(&self, places: &[EndpointPlace], end: i64) {
        for state in STATES {
            let count = places.iter().filter(|place| place.state == state).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.endpoints.get_or_create(&StateLabels { state }).set(count);
        }
        self.lag.clear();
        for place in places {
            let behind = end.saturating_sub(place.position).max(0);
            self.lag.get_or_create(&EndpointLabels { endpoint: place.id.clone() }).set(behind);
        }
    }
}
