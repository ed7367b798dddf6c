//! Versions and conditional requests (RFC 7644 §3.14).

use std::thread;

use serde_json::{Value, json};

use super::{Check, Finding, Row};
use crate::answer::{Answer, ensure};
use crate::scim::{full_user, group, patch, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "T1",
        "MUST",
        "RFC 7644 §3.14",
        "rfc_t1_etag_header",
        "When supported, GET/POST/PUT/PATCH answers carry `ETag`",
        t1,
    ),
    Row::new(
        "T2",
        "SHOULD",
        "RFC 7644 §3.14",
        "rfc_t2_meta_version",
        "…and the same value in `meta.version`",
        t2,
    ),
    Row::new(
        "T3",
        "MUST",
        "RFC 7644 §3.14",
        "rfc_t3_if_match",
        "`If-Match` with a stale tag on PUT/PATCH/DELETE: 412, nothing changed; matching tag or \
         `*`: applied",
        t3,
    ),
    Row::new(
        "T4",
        "SHALL",
        "RFC 7644 §3.14",
        "rfc_t4_if_none_match",
        "`If-None-Match` with the current tag on GET: 304 without body",
        t4,
    ),
    Row::new(
        "T5",
        "—",
        "RFC 7644 §3.14",
        "rfc_t5_every_change_moves_the_tag",
        "Every effective change gives a new tag; a no-op keeps it; two concurrent If-Match \
         writers: exactly one wins",
        t5,
    ),
    Row::new(
        "T6",
        "MUST",
        "RFC 7643 §3.1",
        "rfc_t6_weak_tags_say_so",
        "A tag that is not a strong validator has the `W/` prefix",
        t6,
    ),
];

fn title(value: &str) -> Value {
    patch(&json!([{"op": "replace", "path": "title", "value": value}]))
}

/// One answer for each of POST, GET, PUT and PATCH that shows a user or a group; the user is a
/// member, so that what other resources say about it is part of its representation.
fn shown(s: &Subject) -> Result<Vec<Answer>, Finding> {
    let ada = s.scim.post("/Users", &full_user("ada@example.com"))?.expect(201)?;
    let user_path = format!("/Users/{}", ada.id()?);
    let tools = s.scim.post("/Groups", &group("Tools", &[ada.id()?]))?.expect(201)?;
    let group_path = format!("/Groups/{}", tools.id()?);
    let rename = patch(&json!([{"op": "replace", "path": "displayName", "value": "Sales"}]));
    let body = with(full_user("ada@example.com"), "title", json!("Boss"));
    let members = group("Others", &[ada.id()?]);
    Ok(vec![
        s.scim.get(&user_path)?.expect(200)?,
        s.scim.get(&format!("{user_path}?attributes=meta,userName"))?.expect(200)?,
        s.scim.put(&user_path, &body)?.expect(200)?,
        s.scim.patch(&user_path, &title("Chief"))?.expect(200)?,
        // Nothing changes.
        s.scim.patch(&user_path, &title("Chief"))?.expect(200)?,
        s.scim.get(&group_path)?.expect(200)?,
        s.scim.put(&group_path, &members)?.expect(200)?,
        s.scim.patch(&group_path, &rename)?.expect(200)?,
        s.scim.get(&user_path)?.expect(200)?,
        ada,
        tools,
    ])
}

fn t1(s: &Subject) -> Check {
    s.scim.config()?.expect_at("/etag/supported", &json!(true))?;
    for answer in shown(s)? {
        let tag = answer.etag()?;
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        let quoted = opaque.len() > 2 && opaque.starts_with('"') && opaque.ends_with('"');
        answer.expect_that(quoted, &format!("`{tag}` is no entity tag (RFC 9110 §8.8.3)"))?;
    }
    Ok(())
}

fn t2(s: &Subject) -> Check {
    for answer in shown(s)? {
        answer.expect_at("/meta/version", &json!(answer.etag()?))?;
    }
    for endpoint in ["/Users", "/Groups"] {
        let list = s.scim.get(endpoint)?.expect(200)?;
        for listed in list.resources()? {
            let location = listed.pointer("/meta/location").and_then(Value::as_str);
            let location = location.ok_or_else(|| list.failed("no meta.location"))?;
            let read = s.scim.follow(location)?.expect(200)?;
            let same = listed.pointer("/meta/version") == Some(&json!(read.etag()?));
            list.expect_that(same, &format!("the version must be {}", read.etag()?))?;
        }
    }
    Ok(())
}

fn t3(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[])?;
    let rename =
        patch(&json!([{"op": "replace", "path": "displayName", "value": "New"}])).to_string();
    for (made, body) in [
        (&ada, with(full_user("ada@example.com"), "displayName", json!("New")).to_string()),
        (&tools, group("New", &[]).to_string()),
    ] {
        let write = |method: &str, tag: &str| {
            let body = match method {
                "PUT" => Some(body.as_str()),
                "PATCH" => Some(rename.as_str()),
                _ => None,
            };
            s.scim.send(method, &made.path, &[("If-Match", tag)], body)
        };
        let stale = s.scim.get(&made.path)?.expect(200)?.etag()?.to_owned();
        let changed = json!([{"op": "replace", "path": "displayName", "value": "Changed"}]);
        let current = s.scim.apply(&made.path, &changed)?;
        for tag in [&stale, "W/\"nothing\"", "\"nothing\"", "W/\"x\", W/\"y\"", "\"*\""] {
            for method in ["PUT", "PATCH", "DELETE"] {
                write(method, tag)?.expect_error(412, None)?;
                s.scim.get(&made.path)?.expect(200)?.expect_same(&current.json)?;
            }
        }
        for method in ["PUT", "PATCH", "DELETE"] {
            for kind in ["current", "any", "several"] {
                if method == "DELETE" && kind != "current" {
                    continue;
                }
                let before = s.scim.apply(&made.path, &changed)?;
                let tag = match kind {
                    "current" => before.etag()?.to_owned(),
                    "any" => "*".to_owned(),
                    _ => format!("\"nothing\", {}", before.etag()?),
                };
                let answer = write(method, &tag)?.expect_status(&[200, 204])?;
                if method != "DELETE" {
                    let after = s.scim.get(&made.path)?.expect(200)?;
                    after.expect_at("/displayName", &json!("New"))?;
                    answer.expect_that(answer.etag()? == after.etag()?, "another version")?;
                }
            }
        }
        s.scim.get(&made.path)?.expect_error(404, None)?;
        write("PUT", "*")?.expect_error(404, None)?;
    }
    let any = s.scim.create_user("ben@example.com")?;
    s.scim.send("DELETE", &any.path, &[("If-Match", "*")], None)?.expect(204)?;
    Ok(())
}

fn t4(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[])?;
    for made in [&ada, &tools] {
        let read = s.scim.get(&made.path)?.expect(200)?;
        let get = |tag: &str| s.scim.send("GET", &made.path, &[("If-None-Match", tag)], None);
        for tag in [read.etag()?.to_owned(), format!("\"nothing\", {}", read.etag()?), "*".into()] {
            let answer = get(&tag)?.expect(304)?;
            answer.expect_that(answer.text.is_empty(), "a 304 has no body")?;
            answer.expect_that(answer.etag()? == read.etag()?, "a 304 has the ETag")?;
        }
        get("W/\"nothing\"")?.expect(200)?.expect_same(&read.json)?;
        let changed = json!([{"op": "replace", "path": "displayName", "value": "Changed"}]);
        let after = s.scim.apply(&made.path, &changed)?;
        get(read.etag()?)?.expect(200)?.expect_same(&after.json)?;
    }
    // What the user shows has changed, although nobody wrote to the user.
    let before = s.scim.get(&ada.path)?.expect(200)?;
    s.scim.create_group("Sales", &[&ada.id])?;
    let since = [("If-None-Match", before.etag()?)];
    let joined = s.scim.send("GET", &ada.path, &since, None)?.expect(200)?;
    joined.expect_at("/groups/0/display", &json!("Sales"))?;
    Ok(())
}

fn t5(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let ben = s.scim.create_user("ben@example.com")?;
    let tools = s.scim.create_group("Tools", &[])?;
    let mut seen = vec![s.scim.get(&ada.path)?.expect(200)?.etag()?.to_owned()];
    let body = with(full_user("ada@example.com"), "title", json!("d"));
    let add =
        |path: &str, value: Value| patch(&json!([{"op": "add", "path": path, "value": value}]));
    for answer in [
        s.scim.patch(&ada.path, &title("a"))?,
        s.scim.patch(&ada.path, &title("b"))?,
        s.scim.patch(&ada.path, &title("a"))?,
        s.scim.patch(&ada.path, &add("emails", json!([{"value": "n@example.com"}])))?,
        s.scim.put(&ada.path, &body)?,
    ] {
        let tag = answer.expect(200)?.etag()?.to_owned();
        ensure(!seen.contains(&tag), || format!("{tag} came again after {seen:?}"))?;
        seen.push(tag);
    }
    for answer in [
        s.scim.patch(&ada.path, &title("d"))?,
        s.scim.patch(&ada.path, &patch(&json!([{"op": "remove", "path": "nickName"}])))?,
        s.scim.put(&ada.path, &body)?,
    ] {
        let answer = answer.expect(200)?;
        let kept = seen.last().map(String::as_str) == Some(answer.etag()?);
        answer.expect_that(kept, "nothing has changed, the tag has")?;
    }

    let mut seen = vec![s.scim.get(&tools.path)?.expect(200)?.etag()?.to_owned()];
    let member = format!("members[value eq \"{}\"]", ben.id);
    for operations in [
        json!([{"op": "add", "path": "members", "value": [{"value": ada.id}, {"value": ben.id}]}]),
        json!([{"op": "remove", "path": member}]),
        json!([{"op": "replace", "path": "members", "value": [{"value": ben.id}]}]),
        json!([{"op": "replace", "path": "displayName", "value": "Sales"}]),
    ] {
        let tag = s.scim.apply(&tools.path, &operations)?.etag()?.to_owned();
        ensure(!seen.contains(&tag), || format!("{tag} came again after {seen:?}"))?;
        seen.push(tag);
    }
    race(s, &ada.path)
}

/// Eight writers with the same tag, at once, several times over.
fn race(s: &Subject, path: &str) -> Check {
    for round in 0..3 {
        let tag = s.scim.get(path)?.expect(200)?.etag()?.to_owned();
        let write = |n: usize| {
            let body = title(&format!("{round}-{n}")).to_string();
            s.scim.send("PATCH", path, &[("If-Match", &tag)], Some(&body))
        };
        let write = &write;
        let answers: Vec<_> = thread::scope(|scope| {
            let writers: Vec<_> = (0..8).map(|n| scope.spawn(move || write(n))).collect();
            writers.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut winners = Vec::new();
        for answer in answers {
            let answer = answer.map_err(|_| Finding::Failed("a writer panicked".into()))??;
            if answer.status == 200 {
                winners.push(answer);
            } else {
                answer.expect_error(412, None)?;
            }
        }
        let [winner] = winners.as_slice() else {
            return Err(Finding::Failed(format!("{} of eight writers won", winners.len())));
        };
        s.scim.get(path)?.expect(200)?.expect_same(&winner.json)?;
    }
    Ok(())
}

/// A strong tag would promise the same bytes: then two answers with one tag must be byte for byte
/// the same.
fn t6(s: &Subject) -> Check {
    for answer in shown(s)? {
        let tag = answer.etag()?;
        if tag.starts_with("W/\"") {
            continue;
        }
        answer.expect_that(tag.starts_with('"'), &format!("`{tag}` is no entity tag"))?;
        let location = answer.text_at("/meta/location")?;
        let (one, two) = (s.scim.follow(location)?, s.scim.follow(location)?);
        let strong = one.etag()? != two.etag()? || one.text == two.text;
        one.expect_that(
            strong,
            &format!("`{tag}` is said to be strong, another body: {}", two.text),
        )?;
    }
    Ok(())
}
