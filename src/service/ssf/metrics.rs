//! What is measured of streams.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::store::stream::StreamLag;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SetLabels {
    /// `push` or `poll`.
    method: &'static str,
    /// `acknowledged`, `refused`, or `failed` for an attempt that is made again.
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    stream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
    /// `operator`, `failing`, or `none` while it is enabled.
    cause: &'static str,
}

const STATUSES: [(&str, &str); 4] =
    [("enabled", "none"), ("paused", "operator"), ("paused", "failing"), ("disabled", "operator")];

/// How tokens go to their receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Push,
    Poll,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Poll => "poll",
        }
    }
}

/// What this process sees of streams; clones share the same values.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    sets: Family<SetLabels, Counter>,
    seconds: Histogram,
    streams: Family<StatusLabels, Gauge>,
    lag: Family<StreamLabels, Gauge>,
}

impl Default for StreamMetrics {
    fn default() -> Self {
        let metrics = Self {
            sets: Family::default(),
            // From ten milliseconds to eleven hours.
            seconds: Histogram::new(exponential_buckets(0.01, 2.5, 17)),
            streams: Family::default(),
            lag: Family::default(),
        };
        metrics.places(&[], 0);
        metrics
    }
}

impl StreamMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "ssf_sets",
            "Security Event Tokens that this process has seen off, by method and outcome",
            self.sets.clone(),
        );
        registry.register(
            "ssf_seconds",
            "Seconds from the identity provider's request to the receiver's acknowledgement",
            self.seconds.clone(),
        );
        registry.register(
            "ssf_streams",
            "Streams by status, and by what has put them there",
            self.streams.clone(),
        );
        registry.register(
            "ssf_stream_lag",
            "Positions between what an enabled stream has acknowledged and the end of the event log",
            self.lag.clone(),
        );
    }

    /// A token is acknowledged that tells of something that happened at `at`.
    pub(super) fn acknowledged(&self, method: Method, at: i64, now: i64) {
        self.verified(method);
        let ms = u32::try_from(now.saturating_sub(at).max(0)).unwrap_or(u32::MAX);
        self.seconds.observe(f64::from(ms) / 1_000.0);
    }

    /// A token is acknowledged that no identity provider has asked for.
    pub(super) fn verified(&self, method: Method) {
        self.count(method, "acknowledged");
    }

    pub(super) fn refused(&self, method: Method) {
        self.count(method, "refused");
    }

    pub(super) fn failed(&self) {
        self.count(Method::Push, "failed");
    }

    fn count(&self, method: Method, outcome: &'static str) {
        let labels = SetLabels { method: method.as_str(), outcome };
        self.sets.get_or_create(&labels).inc();
    }

    /// Where the streams stand, with `end` as the end of the log.
    pub(super) fn places(&self, places: &[StreamLag], end: i64) {
        for (status, cause) in STATUSES {
            let is_so = |place: &&StreamLag| {
                place.status == status && place.status_cause.as_deref().unwrap_or("none") == cause
            };
            let count = i64::try_from(places.iter().filter(is_so).count()).unwrap_or(i64::MAX);
            self.streams.get_or_create(&StatusLabels { status, cause }).set(count);
        }
        self.lag.clear();
        for place in places.iter().filter(|place| place.status == "enabled") {
            let behind = end.saturating_sub(place.position).max(0);
            self.lag.get_or_create(&StreamLabels { stream: place.id.clone() }).set(behind);
        }
    }
}
