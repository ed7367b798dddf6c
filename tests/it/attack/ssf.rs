//! Requests of a receiver of Security Event Tokens with a key of A's organization.

use serde_json::json;

use super::{Attack, Who};

const STREAMS: &str = "/ssf/streams";

pub(super) fn attacks() -> Vec<Attack> {
    [open(), streams(), subjects(), polls()].concat()
}

fn operator(route: &'static str, method: &'static str, path: &str, status: u16) -> Attack {
    Attack::new(Who::Operator, route, method, path, status)
}

/// What anybody reads.
fn open() -> Vec<Attack> {
    let passer = |route, path: &str, status| Attack::new(Who::Passer, route, "GET", path, status);
    let below = "/.well-known/ssf-configuration/{path:.*}";
    vec![
        passer("/.well-known/ssf-configuration", "/.well-known/ssf-configuration", 200),
        passer(below, "/.well-known/ssf-configuration/ssf/streams/{stream}", 404),
        passer("/jwks.json", "/jwks.json", 200),
        passer(STREAMS, "/ssf/streams?stream_id={stream}", 401),
    ]
}

fn streams() -> Vec<Attack> {
    let (status, verify) = ("/ssf/status", "/ssf/verify");
    let theirs = "/ssf/streams?stream_id={stream}";
    let mut attacks = vec![
        operator(STREAMS, "GET", STREAMS, 200),
        operator(STREAMS, "GET", theirs, 404),
        operator(STREAMS, "DELETE", theirs, 404),
        operator(status, "GET", "/ssf/status?stream_id={stream}", 404),
        operator(status, "POST", status, 404)
            .body(json!({"stream_id": "{stream}", "status": "disabled"})),
        operator(verify, "POST", verify, 404).body(json!({"stream_id": "{stream}"})),
    ];
    for method in ["PATCH", "PUT"] {
        let theirs = json!({"stream_id": "{stream}", "description": "Mine"});
        attacks.push(operator(STREAMS, method, STREAMS, 404).body(theirs));
        let into = json!({"stream_id": "{a_stream}", "organization_ids": ["{organization}"]});
        attacks.push(operator(STREAMS, method, STREAMS, 400).body(into));
    }
    for ids in [
        json!(["{organization}"]),
        json!(["{a_organization}", "{organization}"]),
        json!(["{a_organization},{organization}"]),
    ] {
        let body = json!({"organization_ids": ids});
        attacks.push(operator(STREAMS, "POST", STREAMS, 400).body(body));
    }
    attacks
}

fn subjects() -> Vec<Attack> {
    let subject = json!({"format": "email", "email": "ada@example.com"});
    ["/ssf/subjects/add", "/ssf/subjects/remove"]
        .into_iter()
        .map(|path| {
            let body = json!({"stream_id": "{stream}", "subject": subject});
            operator(path, "POST", path, 404).body(body)
        })
        .collect()
}

fn polls() -> Vec<Attack> {
    let route = "/ssf/streams/{id}/poll";
    let now = json!({"returnImmediately": true});
    vec![
        operator(route, "POST", "/ssf/streams/{stream}/poll", 404).body(now.clone()),
        operator(route, "POST", "/ssf/streams/{stream}/poll", 404)
            .body(json!({"ack": ["x"], "maxEvents": 0})),
        operator(route, "POST", "/ssf/streams/{a_stream}/poll", 200).body(now),
    ]
}
