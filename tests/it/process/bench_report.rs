//! The report on speed can be made: small numbers, which say nothing, and every line of it.

use serde_json::Value;

/// What every line is about, in its first words.
const LINES: [&str; 19] = [
    "second request of a new token",
    "4 directories in turn",
    "creates at 0 users, against a SQLite transaction each",
    "creates at 0 users, against SQLite transactions of 64",
    "creates at 200 users, against a SQLite transaction each",
    "creates at 200 users, against SQLite transactions of 64",
    "GET by id, 5 direct and 2 indirect groups",
    "GET by id, no groups",
    "userName eq, against /health/live",
    "one member into a group of 20 against 10",
    "userName eq in a directory",
    "one-member PATCH in a directory",
    "list of 100 with total",
    "last cursor page against the first",
    "reading 2 pages by startIndex against by cursor",
    "p99 of SCIM with webhooks",
    "peak resident memory",
    "start to ready",
    "GET of a group of 20: extra memory",
];

/// The lines of the report with those options, which have to be measured without a failure.
fn report(options: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("report.json");
    let (data, json) = (folder.path().join("data"), json.to_str().expect("UTF-8").to_owned());
    let mut arguments = vec!["bench", "report", "--quick", "--users", "200", "--directories", "4"];
    arguments.extend(["--server", env!("CARGO_BIN_EXE_rollbook"), "--seconds", "0.1"]);
    arguments.extend(["--json", &json, "--data-dir", data.to_str().expect("UTF-8")]);
    arguments.extend(options);
    let made = rollbook_bench::run(arguments.into_iter().map(Into::into));
    made.expect("everything is measured");
    let text = std::fs::read_to_string(json).expect("the figures");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["failed"], serde_json::json!([]));
    assert!(report["machine"]["fsync_ms"].as_f64().expect("a time") > 0.0);
    let lines = report["lines"].as_array().expect("the lines").clone();
    for line in &lines {
        assert!(line["measured"].as_f64().is_some_and(f64::is_finite), "{line}");
        assert_eq!(line["runs"].as_array().map(Vec::len), Some(1), "{line}");
    }
    lines
}

#[test]
fn report_measures_every_line() {
    let lines = report(&[]);
    for (line, wanted) in lines.iter().zip(LINES) {
        assert!(line["what"].as_str().expect("text").starts_with(wanted), "{line}");
    }
    assert_eq!(lines.len(), LINES.len() + 1, "and the first byte of the group");
}
