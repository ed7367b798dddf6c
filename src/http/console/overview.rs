//! The overview: how everything is, at a glance.

use actix_web::web::{self, ServiceConfig};
use askama::Template;

use super::{Answer, By, Frame, Viewer, html};
use crate::http::web::chart::{Chart, Series, Shape};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::Names;
use crate::service::overview::{Overview, SPANS, Step};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(only("/console", "GET").route(web::get().to(show)));
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    frame: Frame,
    overview: Overview,
    names: Names,
    states: Vec<InState>,
    /// Drawn.
    charts: Vec<String>,
}

/// Directories in a state.
struct InState {
    state: String,
    count: i64,
    /// Of all, in percent.
    share: i64,
}

impl OverviewPage {
    fn spans(&self) -> [&'static str; 4] {
        SPANS.map(|span| span.name)
    }

    fn time(&self, ms: &i64) -> String {
        duration(*ms)
    }
}

/// Those that need somebody come first.
const STATES: [&str; 7] =
    ["error", "invalid_credentials", "validating", "paused", "disabled", "deleting", "linked"];

/// The same numbers of each step.
fn series<'c>(
    overview: &Overview,
    name: &'c str,
    value: impl Fn(&Step) -> Option<i64>,
) -> Series<'c> {
    Series { name, values: overview.steps.iter().map(value).collect() }
}

/// `minute`, `15 minutes`, `2 hours`, `day`.
fn step_in_words(seconds: i64) -> String {
    let (number, word) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    if number == 1 { word.to_owned() } else { format!("{number} {word}s") }
}

fn charts(overview: &Overview) -> Vec<String> {
    let times: Vec<String> = overview.steps.iter().map(|step| step.at.clone()).collect();
    let step = step_in_words(overview.step_seconds);
    let chart = |id, title, unit, shape, series| {
        Chart { id, title, unit, shape, times: times.clone(), series }.draw()
    };
    let of = |name, value: fn(&Step) -> Option<i64>| series(overview, name, value);
    let answered = |step: &Step| {
        let all = step.requests_scim + step.requests_api;
        Some(all - step.requests_refused - step.requests_failed)
    };
    vec![
        chart(
            "users",
            "Users",
            "as the app sees them".to_owned(),
            Shape::Lines,
            vec![
                of("Active", |step| step.users_active),
                of("Inactive", |step| step.users_inactive),
            ],
        ),
        chart(
            "requests",
            "Requests",
            format!("per {step}"),
            Shape::Columns,
            vec![
                of("Answered", answered),
                of("Refused (4xx)", |step| Some(step.requests_refused)),
                of("Failed (5xx)", |step| Some(step.requests_failed)),
            ],
        ),
        chart(
            "webhook-lag",
            "Webhook lag",
            "events that the slowest endpoint has yet to get".to_owned(),
            Shape::Lines,
            vec![of("Events behind", |step| step.webhooks_behind)],
        ),
        chart(
            "runs",
            "Runs",
            format!("of directories that are read, per {step}"),
            Shape::Columns,
            vec![
                of("Completed", |step| Some(step.runs_completed)),
                of("Held", |step| Some(step.runs_held)),
                of("Failed", |step| Some(step.runs_failed)),
            ],
        ),
    ]
}

fn states(overview: &Overview) -> Vec<InState> {
    let all: i64 = overview.directories.values().sum();
    let known = STATES.into_iter().filter_map(|state| {
        let count = *overview.directories.get(state)?;
        Some(InState { state: state.to_owned(), count, share: count * 100 / all.max(1) })
    });
    known.collect()
}

/// `850 ms`, `1.5 s`, `2 min`, `3 h`.
fn duration(ms: i64) -> String {
    let tenths = |ms: i64, unit: i64| {
        let tenths = ms * 10 / unit;
        match tenths % 10 {
            0 => (tenths / 10).to_string(),
            rest => format!("{}.{rest}", tenths / 10),
        }
    };
    match ms {
        3_600_000.. => format!("{} h", tenths(ms, 3_600_000)),
        60_000.. => format!("{} min", tenths(ms, 60_000)),
        1_000.. => format!("{} s", tenths(ms, 1_000)),
        _ => format!("{ms} ms"),
    }
}

async fn show(visit: By<Viewer>) -> Answer {
    let span = visit.asked("span");
    let overview = visit.service().overview(visit.access(), span.as_deref()).await?;
    let (states, charts) = (states(&overview), charts(&overview));
    let directories = overview.alarms.newest.iter().filter_map(|alarm| alarm.directory_id.as_ref());
    let names = visit.service().names(visit.access(), directories).await?;
    html(&OverviewPage { frame: visit.frame.clone(), overview, names, states, charts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_steps_are_written_as_people_say_them() {
        let written = [10, 999, 1_000, 1_500, 60_000, 10_800_000].map(duration);
        assert_eq!(written, ["10 ms", "999 ms", "1 s", "1.5 s", "1 min", "3 h"]);
        let steps = [60, 900, 3_600, 7_200, 86_400].map(step_in_words);
        assert_eq!(steps, ["minute", "15 minutes", "hour", "2 hours", "day"]);
    }
}
