//! Sends the steps of a flow one after another and compares the answers.

use serde_json::Value;

use crate::flow::{Expect, Flow, Step};
use crate::http::{Answer, Client};
use crate::matching::{Vars, brief, cut, differences, pointer, substitute, substitute_json};

const SCIM_JSON: &str = "application/scim+json";

/// The server under test.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where `/Users` hangs, for example `https://scim.example.com/scim/v2/KEY`.
    pub base_url: String,
    /// Bearer token that is sent with each request which has no `Authorization` header of its own.
    pub token: String,
}

/// What happened in each step, in order.
#[derive(Clone, Debug)]
pub struct FlowReport {
    pub steps: Vec<StepReport>,
}

#[derive(Clone, Debug)]
pub struct StepReport {
    pub method: String,
    /// The path with its variables filled in.
    pub path: String,
    /// `None` when nothing was answered.
    pub status: Option<u16>,
    /// Empty when the answer is as it should be.
    pub failures: Vec<String>,
}

impl StepReport {
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl FlowReport {
    pub fn passed(&self) -> bool {
        self.steps.iter().all(StepReport::passed)
    }

    /// How many steps failed.
    pub fn failed_steps(&self) -> usize {
        self.steps.iter().filter(|step| !step.passed()).count()
    }
}

/// Runs every step, also after one that failed, so that a report shows all there is to see.
pub fn run_flow(flow: &Flow, target: &Target) -> FlowReport {
    let client = Client::new();
    let base_url = target.base_url.trim_end_matches('/').to_owned();
    let mut vars =
        Vars::from([("base_url".to_owned(), base_url), ("token".to_owned(), target.token.clone())]);
    let steps = flow.steps.iter().map(|step| run_step(&client, step, target, &mut vars));
    FlowReport { steps: steps.collect() }
}

fn run_step(client: &Client, step: &Step, target: &Target, vars: &mut Vars) -> StepReport {
    let mut report = StepReport {
        method: step.request.method.clone(),
        path: step.request.path.clone(),
        status: None,
        failures: Vec::new(),
    };
    if let Err(failure) = try_step(client, step, target, vars, &mut report) {
        report.failures.push(failure);
    }
    report
}

fn try_step(
    client: &Client,
    step: &Step,
    target: &Target,
    vars: &mut Vars,
    report: &mut StepReport,
) -> Result<(), String> {
    report.path = substitute(&step.request.path, vars)?;
    let body = step.request.body.as_ref().map(|body| substitute_json(body, vars)).transpose()?;
    let mut headers = Vec::new();
    for (name, value) in &step.request.headers {
        headers.push((name.clone(), substitute(value, vars)?));
    }
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let add_authorization = !has("authorization");
    let add_content_type = body.is_some() && !has("content-type");
    if add_authorization {
        headers.push(("Authorization".into(), format!("Bearer {}", target.token)));
    }
    if add_content_type {
        headers.push(("Content-Type".into(), SCIM_JSON.into()));
    }
    let url = format!("{}{}", target.base_url.trim_end_matches('/'), report.path);
    let answer = client.send(&step.request.method, &url, &headers, body.as_ref())?;
    report.status = Some(answer.status);
    check(&step.expect, &answer, vars, &mut report.failures)?;
    save(step, &answer, vars, &mut report.failures);
    Ok(())
}

fn check(
    expect: &Expect,
    answer: &Answer,
    vars: &Vars,
    failures: &mut Vec<String>,
) -> Result<(), String> {
    if !expect.status.contains(&answer.status) {
        let wanted: Vec<_> = expect.status.iter().map(u16::to_string).collect();
        return Err(format!(
            "status {}, expected {}: {}",
            answer.status,
            wanted.join(" or "),
            cut(&String::from_utf8_lossy(&answer.body))
        ));
    }
    for (name, start) in &expect.headers {
        let start = substitute(start, vars)?;
        match answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, value)) if value.starts_with(&start) => {}
            Some((_, value)) => failures.push(format!("{name}: expected {start}…, found {value}")),
            None => failures.push(format!("{name}: expected {start}…, absent")),
        }
    }
    let wants_body = expect.body_contains.is_some() || !expect.body_absent.is_empty();
    if answer.status == 204 || !wants_body {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("no JSON: {:?}", cut(&String::from_utf8_lossy(&answer.body))))?;
    if let Some(expected) = &expect.body_contains {
        failures.extend(differences(&substitute_json(expected, vars)?, &body));
    }
    for absent in &expect.body_absent {
        let absent = substitute(absent, vars)?;
        if let Some(found) = pointer(&body, &absent) {
            failures.push(format!("{absent}: must be absent, found {}", brief(found)));
        }
    }
    Ok(())
}

fn save(step: &Step, answer: &Answer, vars: &mut Vars, failures: &mut Vec<String>) {
    if step.save.is_empty() {
        return;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for (name, at) in &step.save {
        match pointer(&body, at) {
            Some(Value::String(text)) => {
                vars.insert(name.clone(), text.clone());
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                vars.insert(name.clone(), value.to_string());
            }
            _ => failures.push(format!("{at}: nothing to save as `{name}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use serde_json::json;

    use super::*;

    /// Answers one request per given reply and returns what came over the wire.
    fn server(replies: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/scim/v2", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                requests.push(read_request(&mut stream));
                stream.write_all(reply.as_bytes()).unwrap();
            }
            requests
        });
        (base_url, thread)
    }

    fn read_request(stream: &mut impl Read) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
            });
            if n == 0 || body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
    }

    fn reply(status: u16, body: &str) -> String {
        let length = body.len();
        let length =
            if status == 204 { String::new() } else { format!("Content-Length: {length}\r\n") };
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{length}\r\n{body}")
    }

    fn run(steps: &Value, replies: Vec<String>) -> (FlowReport, Vec<String>) {
        let flow = json!({"idp": "any", "name": "any", "source": "test", "steps": steps});
        let flow: Flow = serde_json::from_value(flow).unwrap();
        let (base_url, thread) = server(replies);
        let report = run_flow(&flow, &Target { base_url, token: "rbd_secret".into() });
        (report, thread.join().unwrap())
    }

    fn get(path: &str, expect: &Value) -> Value {
        json!({"request": {"method": "GET", "path": path}, "expect": expect})
    }

    #[test]
    fn path_goes_over_the_wire_as_written() {
        let paths = [
            "/Users/1?",
            "/Users?&",
            "/Users?filter=userName+eq+%22a%40b%22&",
            "/Users?filter=userName%20eq%20%22a%22&startIndex=1&count=100",
            "/Users?filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22A%22",
            "/Users?filter=userName%20eq%20%2f%2F",
            "/Users?x=%",
            "/Users//1/../2/%2e%2e",
            "/Users?a??b=:@!$'()*,;",
        ];
        let expect = json!({"status": [200]});
        let steps: Vec<_> = paths.iter().map(|path| get(path, &expect)).collect();
        let (report, requests) =
            run(&json!(steps), paths.iter().map(|_| reply(200, "{}")).collect());
        assert!(report.passed(), "{report:?}");
        for (path, request) in paths.iter().zip(&requests) {
            let line = request.lines().next().unwrap();
            assert_eq!(line, format!("GET /scim/v2{path} HTTP/1.1"));
        }
    }

    #[test]
    fn path_that_cannot_be_sent_unchanged_is_a_failure() {
        let expect = json!({"status": [200]});
        let steps = [get("/Users?a#b", &expect), get("/Users?filter=a eq \"b\"", &expect)];
        let (report, _) = run(&json!(steps), vec![]);
        assert_eq!(report.failed_steps(), 2, "{report:?}");
    }

    #[test]
    fn body_and_default_headers_are_sent() {
        let body = r#"{"schemas":["x"],"Operations":[],"active":"False"}"#;
        let value: Value = serde_json::from_str(body).unwrap();
        let steps = json!([
            {"request": {"method": "POST", "path": "/Users", "body": value},
             "expect": {"status": [201]}},
            {"request": {"method": "PATCH", "path": "/Users", "body": value,
                         "headers": {"content-type": "application/json", "authorization": "odd"}},
             "expect": {"status": [204]}},
        ]);
        let (report, requests) = run(&steps, vec![reply(201, "{}"), reply(204, "")]);
        assert!(report.passed(), "{report:?}");
        let first = requests[0].to_ascii_lowercase();
        assert!(first.contains("\r\ncontent-type: application/scim+json\r\n"), "{first}");
        assert!(first.contains("\r\nauthorization: bearer rbd_secret\r\n"), "{first}");
        assert!(requests[0].ends_with(body), "{}", requests[0]);
        let second = requests[1].to_ascii_lowercase();
        assert_eq!(second.matches("content-type:").count(), 1, "{second}");
        assert_eq!(second.matches("authorization:").count(), 1, "{second}");
        assert!(second.contains("\r\nauthorization: odd\r\n"), "{second}");
    }

    #[test]
    fn saved_values_are_used_in_later_steps() {
        let steps = json!([
            {"request": {"method": "POST", "path": "/Users", "body": {}},
             "expect": {"status": [201]}, "save": {"id": "/id"}},
            {"request": {"method": "GET", "path": "/Users/${id}?"},
             "expect": {"status": [200],
                        "body_contains": {"${id}": "${base_url}/Users/${id}"}}},
        ]);
        let flow = json!({"idp": "any", "name": "any", "source": "test", "steps": steps});
        let flow: Flow = serde_json::from_value(flow).unwrap();
        let (base_url, thread) = server(vec![
            reply(201, r#"{"id":"u1"}"#),
            reply(200, r#"{"u1":"http://example.com/Users/u1"}"#),
        ]);
        let report = run_flow(&flow, &Target { base_url: base_url.clone(), token: String::new() });
        assert!(thread.join().unwrap()[1].starts_with("GET /scim/v2/Users/u1? "));
        assert_eq!(
            report.steps[1].failures,
            [format!(
                "/u1: expected \"{base_url}/Users/u1\", found \"http://example.com/Users/u1\""
            )]
        );
    }

    #[test]
    fn error_status_is_an_answer_like_any_other() {
        let expect = json!({"status": [404], "body_contains": {"status": "404"}});
        let steps = json!([get("/Users/1", &expect), get("/Users/2", &expect)]);
        let replies = vec![reply(404, r#"{"status":"404"}"#), reply(500, "oops")];
        let (report, _) = run(&steps, replies);
        assert!(report.steps[0].passed(), "{report:?}");
        assert_eq!(report.steps[1].status, Some(500));
        assert_eq!(report.steps[1].failures, ["status 500, expected 404: oops"]);
        assert!(!report.passed());
    }

    #[test]
    fn bodies_are_checked_unless_the_status_is_204() {
        let expect =
            json!({"status": [200, 204], "body_contains": {"a": 1}, "body_absent": ["/b"]});
        for (reply, failures) in [
            (reply(200, r#"{"a":1}"#), vec![]),
            (reply(204, ""), vec![]),
            (reply(200, r#"{"a":1,"b":2}"#), vec!["/b: must be absent, found 2"]),
            (reply(200, r#"{"a":2}"#), vec!["/a: expected 1, found 2"]),
            (reply(200, ""), vec![r#"no JSON: """#]),
            (reply(200, "<html>"), vec![r#"no JSON: "<html>""#]),
        ] {
            let (report, _) = run(&json!([get("/Users", &expect)]), vec![reply]);
            assert_eq!(report.steps[0].failures, failures);
        }
    }

    #[test]
    fn headers_begin_as_expected() {
        let with = |headers: &Value| json!({"status": [204], "headers": headers});
        for (headers, failures) in [
            (json!({"content-length": ""}), vec!["content-length: expected …, absent"]),
            (json!({"connection": "close"}), vec![]),
            (json!({"Connection": "cl"}), vec![]),
            (json!({"Connection": "lose"}), vec!["Connection: expected lose…, found close"]),
        ] {
            let (report, _) = run(&json!([get("/Users", &with(&headers))]), vec![reply(204, "")]);
            assert_eq!(report.steps[0].failures, failures);
        }
    }

    #[test]
    fn step_that_needs_an_unsaved_value_fails_without_a_request() {
        let steps = json!([
            {"request": {"method": "GET", "path": "/Users"}, "expect": {"status": [200]},
             "save": {"id": "/id"}},
            get("/Users/${id}", &json!({"status": [200]})),
        ]);
        let (report, _) = run(&steps, vec![reply(200, "{}")]);
        assert_eq!(report.steps[0].failures, ["/id: nothing to save as `id`"]);
        assert_eq!(report.steps[1].failures, ["variable `id` has no value"]);
        assert_eq!(report.failed_steps(), 2);
    }
}
