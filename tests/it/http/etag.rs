//! Versions: `ETag`, `If-None-Match`, `If-Match` (RFC 7644 §3.14, RFC 9110 §13.1).

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, TestApp, group, patch};

on_both_databases![
    known_version_is_answered_304_without_a_body,
    group_with_members_is_never_answered_304,
    tag_of_a_user_changes_with_its_groups,
    write_with_the_current_version_is_done,
    write_with_another_version_is_412_and_changes_nothing,
    write_with_an_unreadable_version_is_412,
    condition_on_a_missing_resource_is_404,
    one_of_many_writers_with_the_same_version_wins,
    no_update_of_parallel_writers_is_lost,
];

fn get_if_none_match(app: &TestApp, path: &str, tag: &str) -> Answer {
    app.scim.send("GET", path, &[("If-None-Match", tag)], None)
}

fn known_version_is_answered_304_without_a_body(app: &TestApp) {
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    let path = format!("/Users/{}", made.id());
    for tag in ["W/\"1\"", "\"1\"", "*", "\"7\", W/\"1\""] {
        let answer = get_if_none_match(app, &path, tag).expect(304);
        assert_eq!(answer.text, "");
        assert_eq!(answer.header("etag"), Some("W/\"1\""), "{tag}");
    }
    for tag in ["W/\"2\"", "\"11\"", "\"x\""] {
        assert_eq!(get_if_none_match(app, &path, tag).expect(200).body, made.body, "{tag}");
    }
    app.scim.patch(&path, add_title("Dr")).expect(200);
    let answer = get_if_none_match(app, &path, "W/\"1\"").expect(200);
    assert_eq!(answer.header("etag"), Some("W/\"2\""));
}

fn add_title(title: &str) -> Value {
    patch(json!([{"op": "add", "path": "title", "value": title}]))
}

fn group_with_members_is_never_answered_304(app: &TestApp) {
    let mut ada = plain_user("ada");
    ada["displayName"] = json!("Ada");
    let ada = create(&app.scim, "/Users", ada);
    let path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada])));
    assert_eq!(get_if_none_match(app, &path, "*").expect(200).body["members"][0]["display"], "Ada");
    get_if_none_match(app, &format!("{path}?excludedAttributes=members"), "*").expect(304);
}

/// Joining and leaving a group does not move the user's version, but a copy that shows the groups is
/// no longer current.
fn tag_of_a_user_changes_with_its_groups(app: &TestApp) {
    let ada = create(&app.scim, "/Users", plain_user("ada"));
    let path = format!("/Users/{ada}");
    let group_path = format!("/Groups/{}", create(&app.scim, "/Groups", group("A", &[&ada])));
    let joined = get_if_none_match(app, &path, "W/\"1\"").expect(200);
    assert_eq!(joined.body["groups"][0]["display"], "A");
    let tag = joined.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with("W/\"1-"), "{tag}");
    assert_eq!(joined.body["meta"]["version"], tag.as_str());
    get_if_none_match(app, &path, &tag).expect(304);
    get_if_none_match(app, &format!("{path}?excludedAttributes=groups"), &tag).expect(304);

    let rename = patch(json!([{"op": "replace", "path": "displayName", "value": "B"}]));
    app.scim.patch(&group_path, rename).expect(200);
    let renamed = get_if_none_match(app, &path, &tag).expect(200);
    assert_eq!(renamed.body["groups"][0]["display"], "B");
    let tag = renamed.header("etag").expect("a tag").to_owned();

    app.scim.delete(&group_path).expect(204);
    let left = get_if_none_match(app, &path, &tag).expect(200);
    assert_eq!(left.body.get("groups"), None);
    assert_eq!(left.header("etag"), Some("W/\"1\""));
    // A write asks for the version alone.
    let body = Some(add_title("Dr").to_string());
    app.scim.send("PATCH", &path, &[("If-Match", &tag)], body).expect(200);
}

/// The three writes on a resource with that `If-Match`; the DELETE comes last.
fn writes(app: &TestApp, id: &str, tag: &str) -> [Answer; 3] {
    let path = format!("/Users/{id}");
    let replacement = json!({"userName": "ada", "title": "Boss"}).to_string();
    let operations = add_title("Dr").to_string();
    [("PUT", Some(replacement)), ("PATCH", Some(operations)), ("DELETE", None)]
        .map(|(method, body)| app.scim.send(method, &path, &[("If-Match", tag)], body))
}

fn write_with_the_current_version_is_done(app: &TestApp) {
    for version in ["W/\"{}\"", "\"{}\"", "{}", "\"x\", W/\"{}\"", "*"] {
        let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
        let send = |method: &str, current: &str, body: Option<String>| {
            let tag = version.replace("{}", current);
            app.scim.send(method, &path, &[("If-Match", &tag)], body)
        };
        let replacement = json!({"userName": "ada", "title": "Boss"}).to_string();
        let put = send("PUT", "1", Some(replacement)).expect(200);
        assert_eq!(put.header("etag"), Some("W/\"2\""), "{version}");
        let patched = send("PATCH", "2", Some(add_title("Dr").to_string())).expect(200);
        assert_eq!(patched.header("etag"), Some("W/\"3\""), "{version}");
        send("DELETE", "3", None).expect(204);
    }
}

fn write_with_another_version_is_412_and_changes_nothing(app: &TestApp) {
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    for tag in ["W/\"2\"", "\"0\"", "\"11\"", "\"2\", \"3\"", "\"*\"", "x"] {
        for answer in writes(app, &made.id(), tag) {
            let detail = answer.expect_scim_error(412, None);
            assert!(detail.contains("W/\"1\"") && detail.contains("If-Match"), "{detail}");
        }
    }
    let stale_noop = patch(json!([{"op": "remove", "path": "title"}])).to_string();
    let path = format!("/Users/{}", made.id());
    let answer = app.scim.send("PATCH", &path, &[("If-Match", "W/\"2\"")], Some(stale_noop));
    answer.expect_scim_error(412, None);
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created"]);
}

/// A condition that cannot be read must not count as none.
fn write_with_an_unreadable_version_is_412(app: &TestApp) {
    let made = app.scim.post("/Users", plain_user("ada")).expect(201);
    let host = app.url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(host).expect("the server listens");
    let request = format!(
        "DELETE /scim/v2/Users/{} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
         If-Match: \"é\"\r\nConnection: close\r\n\r\n",
        made.id(),
        app.directory.token
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in UTF-8");
    assert!(answer.starts_with("HTTP/1.1 412 "), "{answer}");
    assert!(answer.contains("\"status\":\"412\""), "{answer}");
    let path = format!("/Users/{}", made.id());
    assert_eq!(app.scim.get(&path).expect(200).body, made.body);
}

fn condition_on_a_missing_resource_is_404(app: &TestApp) {
    for answer in writes(app, "directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV", "W/\"1\"") {
        answer.expect_scim_error(404, None);
    }
}

/// Runs eight requests at once.
fn at_once(request: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let request = &request;
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || request(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    })
}

fn one_of_many_writers_with_the_same_version_wins(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let client = &app.scim;
    let answers = at_once(|n| {
        let body = add_title(&format!("title {n}")).to_string();
        client.send("PATCH", &path, &[("If-Match", "W/\"1\"")], Some(body))
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    let [won] = won.as_slice() else { panic!("{} writers won", won.len()) };
    assert_eq!(lost.len(), 7);
    for answer in lost {
        answer.expect_scim_error(412, None);
    }
    assert_eq!(app.scim.get(&path).expect(200).body, won.body);
    assert_eq!(app.event_names(&app.directory).len(), 2);
}

fn no_update_of_parallel_writers_is_lost(app: &TestApp) {
    let path = format!("/Users/{}", create(&app.scim, "/Users", plain_user("ada")));
    let client = &app.scim;
    let answers = at_once(|n| {
        let value = json!([{"value": format!("{n}@example.com")}]);
        client.patch(&path, patch(json!([{"op": "add", "path": "emails", "value": value}])))
    });
    for answer in answers {
        answer.expect(200);
    }
    let read = app.scim.get(&path).expect(200);
    assert_eq!(read.header("etag"), Some("W/\"9\""));
    let emails = read.body["emails"].as_array().expect("a list");
    let mut values: Vec<&str> = emails.iter().filter_map(|e| e["value"].as_str()).collect();
    values.sort_unstable();
    let expected: Vec<String> = (0..8).map(|n| format!("{n}@example.com")).collect();
    assert_eq!(values, expected);
}
