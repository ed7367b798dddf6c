//! The overview and its charts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::overview::first_sample;
use crate::on_both_databases;
use crate::support::{Browser, Database, TestApp, user};

on_both_databases![
    overview_draws_what_was_counted,
    overview_is_for_those_who_are_signed_in,
    alarms_that_stand_are_shown,
];

fn sample(app: &TestApp) {
    let service = Arc::clone(app.service());
    app.wait(async move { service.sample().await }).expect("a sample");
}

fn overview_draws_what_was_counted(app: &TestApp) {
    first_sample(app);
    for n in 0..2 {
        app.scim.post("/Users", user(&format!("u{n}@example.com"))).expect(201);
    }
    app.clock.advance(Duration::from_secs(60));
    sample(app);
    let browser = app.signed_in("viewer");
    let page = browser.get("/console").expect(200).text;
    assert!(page.contains("<span class=\"figure\">2</span><br>active users"), "{page}");
    for id in ["users", "requests", "webhook-lag", "runs"] {
        assert!(page.contains(&format!("id=\"{id}-title\"")), "{id}: {page}");
        assert!(page.contains(&format!("<details id=\"{id}-table\">")), "{id}: {page}");
    }
    assert_eq!(page.matches("<svg role=\"img\"").count(), 4);
    assert!(page.contains("Active: 2 last, between 0 and 2."), "{page}");
    assert!(page.contains("sse-connect=\"/console/live?of=overview\""), "{page}");
    // The policy refuses both.
    assert!(!page.contains("style=") && !page.contains("<script>"), "{page}");
    let page = browser.get("/console?span=90d").expect(200).text;
    assert!(page.contains("aria-current=\"true\">90d</a>"), "{page}");
    let refused = browser.get("/console?span=5y").expect(422).text;
    assert!(refused.contains("1h, 24h, 7d, 90d"), "{refused}");
}

fn overview_is_for_those_who_are_signed_in(app: &TestApp) {
    let answer = Browser::new(&app.url).get("/console").expect(303);
    assert_eq!(answer.header("location"), Some("/console/sign-in?next=%2Fconsole"));
    // A key of the API opens no page.
    app.api.get("/console").expect(303);
}

fn alarms_that_stand_are_shown(app: &TestApp) {
    let browser = app.signed_in("viewer");
    let page = browser.get("/console").expect(200).text;
    assert!(page.contains("<p>Nothing does.</p>"), "{page}");
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    app.api.post(&path, json!({"expires_at": "2025-06-16T15:06:40Z"})).expect(201);
    app.api.delete(&format!("{path}/{}", app.directory.token_id)).expect(204);
    let service = Arc::clone(app.service());
    app.wait(async move { service.watch_alarms().await }).expect("a look");
    let page = browser.get("/console").expect(200).text;
    assert!(page.contains("alarm\">token expiring<") && page.contains("All alarms"), "{page}");
}

mod overview_of_many_directories_and_users_answers_at_once_heavy {
    use super::*;

    #[test]
    fn sqlite() {
        measure(Database::sqlite());
    }

    #[test]
    fn postgres() {
        measure(Database::postgres());
    }
}

/// How long the page of such an installation may take.
const AT_MOST: Duration = Duration::from_millis(200);

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// `OVERVIEW_DIRECTORIES` and `OVERVIEW_USERS` make it larger: docs/performance.md.
fn measure(database: Database) {
    let (directories, users) =
        (number("OVERVIEW_DIRECTORIES", 1_000), number("OVERVIEW_USERS", 50_000));
    let app = TestApp::start(database);
    fill(&app, directories, users);
    for _ in 0..3 {
        app.clock.advance(Duration::from_secs(60));
        let since = Instant::now();
        sample(&app);
        println!("look-up of {directories} directories, {users} users: {:?}", since.elapsed());
    }
    let browser = app.signed_in("viewer");
    for span in ["1h", "24h", "7d", "90d"] {
        let mut times: Vec<Duration> = (0..11)
            .map(|_| {
                let since = Instant::now();
                browser.get(&format!("/console?span={span}")).expect(200);
                since.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("/console?span={span}: median {:?}, slowest {:?}", times[5], times[10]);
        assert!(times[5] <= AT_MOST, "{span}: {times:?}");
    }
}

/// Stores directories and users, and samples of ninety days as a server would have written them.
fn fill(app: &TestApp, directories: u64, users: u64) {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    let each = users / directories;
    let now = app.clock.now_ms();
    let series = |from: &str| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL \
             SELECT i + 1 FROM n WHERE i < {from}), \
             s(name) AS (SELECT 'users.active' UNION ALL SELECT 'users.inactive' UNION ALL \
             SELECT 'webhooks.behind' UNION ALL SELECT 'requests.scim' UNION ALL \
             SELECT 'requests.api' UNION ALL SELECT 'requests.refused' UNION ALL \
             SELECT 'requests.failed' UNION ALL SELECT 'runs.completed' UNION ALL \
             SELECT 'runs.failed' UNION ALL SELECT 'offboarding.100')"
        )
    };
    let (minute, hour) = (now - now % 60_000, now - now % 3_600_000);
    let statements = format!(
        "INSERT INTO directory (id, organization_key, external_key, name, kind, state, settings, \
         config, created, modified) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {directories}) \
         SELECT 'directory_' || i, (SELECT MIN(key) FROM organization), 'key' || i, 'D' || i, \
         'scim.generic', 'linked', '{{}}', '{{}}', {now}, {now} FROM n; \
         INSERT INTO resource (directory_key, id, resource_type, user_name_key, active, doc, \
         version, created, modified) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {each}) \
         SELECT d.key, 'user_' || d.key || '_' || i, 'User', 'u' || i, TRUE, '{{}}', 1, {now}, {now} \
         FROM directory d CROSS JOIN n WHERE d.external_key LIKE 'key%'; \
         INSERT INTO resource_count (directory_key, resource_type, active, slot, n) \
         SELECT d.key, 'User', TRUE, 0, {each} FROM directory d WHERE d.external_key LIKE 'key%' \
         ON CONFLICT DO NOTHING; \
         INSERT INTO sample (span, series, at, value) {minutes} \
         SELECT 60000, s.name, {minute} - n.i * 60000, n.i % 100 FROM n CROSS JOIN s; \
         INSERT INTO sample (span, series, at, value) {hours} \
         SELECT 3600000, s.name, {hour} - n.i * 3600000, n.i % 100 FROM n CROSS JOIN s;",
        minutes = series("1440"),
        hours = series("2160"),
    );
    let url = app.database.url();
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut conn = SqliteConnection::establish(file).expect("the file opens");
            conn.batch_execute(&format!("PRAGMA busy_timeout = 60000; {statements}"))
                .expect("statements");
        }
        None => {
            let mut conn = PgConnection::establish(&url).expect("the database");
            conn.batch_execute(&statements).expect("statements");
        }
    }
}
