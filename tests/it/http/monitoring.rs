//! Dashboard, alerts and docs/operating.md name the metrics that there are, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::ask_token;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![metrics_that_are_shown_are_named_and_those_named_are_there];

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The program's text: a family without a sample is in no answer.
fn sources() -> String {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => text += &std::fs::read_to_string(path).unwrap_or_default(),
            }
        }
    }
    text
}

/// Words of a text that begin like a metric.
fn metric_names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c))
        .filter(|name| name.starts_with("rollbook_"))
        .map(str::to_owned)
        .collect()
}

/// Lets the families that dashboard and alerts ask for have a sample: one without is not shown.
fn use_everything(app: &TestApp) {
    let (okta, scim) = app.directory("scim.okta");
    let okta_client = ("User-Agent", "Okta SCIM Client 1.0.0");
    let (_, other) = app.directory("scim.entra");
    other.send("GET", "/Users", &[okta_client], None).expect(200);
    let path = format!("/api/v1/directories/{}", okta.id);
    let limit = json!({"settings": {"rate_limit": {"per_second": 1, "burst": 1}}});
    app.api.patch(&path, limit).expect(200);
    scim.get("/Users").expect(200);
    scim.get("/Users").expect(429);
    let grant = ("grant_type", "client_credentials");
    let (id, secret) = super::client_with_secret(app, json!({}));
    ask_token(&app.url, &[], &[grant, ("client_id", &id), ("client_secret", &secret)]).expect(200);
    ask_token(&app.url, &[], &[grant, ("client_id", &id), ("client_secret", "wrong")]).expect(401);
    let signed = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl";
    app.scim.with_bearer(Some(signed)).get("/Users").expect(401);
    let hook = json!({"endpoint_url": "https://app.invalid/", "events": ["dsync.deleted"]});
    let hook = app.api.post("/api/v1/webhook_endpoints", hook).expect(201).id();
    app.api.post(&format!("/api/v1/webhook_endpoints/{hook}/test"), json!({})).expect(200);
    let service = app.service().clone();
    app.wait(async move { service.measure_webhooks().await }).expect("places are read");
    app.api.post("/ssf/streams", json!({})).expect(201);
    let service = app.service().clone();
    app.wait(async move { service.measure_streams().await }).expect("places are read");
}

fn metrics_that_are_shown_are_named_and_those_named_are_there(app: &TestApp) {
    use_everything(app);
    // The metrics show what was counted before them.
    app.api.with_bearer(None).get("/metrics").expect(200);
    let shown = app.api.with_bearer(None).get("/metrics").expect(200).text;
    let types: BTreeMap<&str, &str> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert!(types.len() > 20, "{shown}");

    let documented = metric_names(&document("operating.md"));
    let names: BTreeSet<String> = types.keys().map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = names.difference(&documented).collect();
    assert_eq!(missing, Vec::<&String>::new(), "docs/operating.md lacks them");
    let sources = sources();
    for name in documented.difference(&names) {
        let registered = format!("\"{}\"", name.trim_start_matches("rollbook_"));
        assert!(
            sources.contains(&registered),
            "docs/operating.md has {name}, which nobody registers"
        );
    }

    let samples: BTreeSet<String> = types
        .iter()
        .flat_map(|(name, kind)| match *kind {
            "counter" => vec![format!("{name}_total")],
            "histogram" => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
            _ => vec![(*name).to_owned()],
        })
        .collect();
    let alerts = metric_names(&document("alerts.yaml"));
    let dashboard = document("grafana-dashboard.json");
    let panels: Value = serde_json::from_str(&dashboard).expect("JSON");
    let asked = metric_names(&dashboard);
    assert!(alerts.len() > 10 && asked.len() > 20);
    for (file, used) in [("alerts.yaml", alerts), ("grafana-dashboard.json", asked)] {
        let unknown: Vec<_> = used.difference(&samples).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{file}");
    }
    for panel in panels["panels"].as_array().expect("panels") {
        assert!(!panel["targets"].as_array().expect("queries").is_empty(), "{}", panel["title"]);
    }
    // Each alert has its line about what to do.
    let operating = document("operating.md");
    for alert in
        document("alerts.yaml").lines().filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(operating.contains(&format!("`{alert}`")), "{alert}");
    }
}
