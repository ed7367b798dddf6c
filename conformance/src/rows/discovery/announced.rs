//! What /ServiceProviderConfig announces is tried out.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::rows::Check;
use crate::scim::{BULK_REQUEST, USER, full_user, patch, user};
use crate::subject::Subject;

/// Where `supported` stands, and what must be true when it is true and when it is false.
type Feature = (&'static str, fn(&Subject) -> Check, fn(&Subject) -> Check);

const FEATURES: [Feature; 7] = [
    ("/patch/supported", patch_works, patch_refused),
    ("/bulk/supported", bulk_works, bulk_refused),
    ("/filter/supported", filter_works, filter_refused),
    ("/sort/supported", sort_works, sort_refused),
    ("/etag/supported", etag_works, etag_refused),
    ("/changePassword/supported", password_changes, password_stays),
    ("/pagination/cursor", cursor_works, cursor_refused),
];

pub(super) fn v10(s: &Subject) -> Check {
    let config = s.scim.config()?;
    for (place, works, refused) in FEATURES {
        match config.json.pointer(place) {
            Some(Value::Bool(true)) => works(s)?,
            Some(Value::Bool(false)) => refused(s)?,
            // The RFC has these; an extension that is not announced need not be there.
            None if place.starts_with("/pagination") => {}
            other => return Err(config.failed(&format!("`{place}` is {other:?}"))),
        }
        for made in s.scim.get("/Users")?.expect(200)?.ids()? {
            s.scim.delete(&format!("/Users/{made}"))?.expect(204)?;
        }
    }
    if config.json.pointer("/pagination/index") == Some(&json!(true)) {
        s.scim.get("/Users?startIndex=1&count=1")?.expect(200)?.at("/startIndex")?;
    }
    roles(s, &config)?;
    asynchronous(s, &config)
}

/// 501, 403 or 400, as the row allows.
fn refused(answer: Answer) -> Check {
    answer.expect_status(&[400, 403, 501]).map(drop)
}

fn patch_works(s: &Subject) -> Check {
    let made = s.scim.create_user("ada@example.com")?;
    let operations = json!([{"op": "add", "path": "title", "value": "Boss"}]);
    s.scim.apply(&made.path, &operations)?.expect_at("/title", &json!("Boss")).map(drop)
}

fn patch_refused(s: &Subject) -> Check {
    let made = s.scim.create_user("ada@example.com")?;
    let operations = json!([{"op": "add", "path": "title", "value": "Boss"}]);
    refused(s.scim.patch(&made.path, &patch(&operations))?)
}

fn one_operation() -> Value {
    let data = user("ada@example.com");
    json!([{"method": "POST", "path": "/Users", "bulkId": "a", "data": data}])
}

fn bulk_works(s: &Subject) -> Check {
    let answer = s.scim.bulk(&json!({}), &one_operation())?.expect(200)?;
    answer.expect_at("/Operations/0/status", &json!("201"))?;
    s.scim.get("/Users")?.expect(200)?.expect_at("/totalResults", &json!(1)).map(drop)
}

fn bulk_refused(s: &Subject) -> Check {
    refused(s.scim.bulk(&json!({}), &one_operation())?)?;
    s.scim.get("/Users")?.expect(200)?.expect_at("/totalResults", &json!(0)).map(drop)
}

fn filter_works(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    s.scim.create_user("ben@example.com")?;
    let found = s.scim.filter("/Users", "userName eq \"ada@example.com\"")?.expect(200)?;
    found.expect_ids(&[&ada.id]).map(drop)
}

fn filter_refused(s: &Subject) -> Check {
    refused(s.scim.filter("/Users", "userName pr")?)
}

fn sort_works(s: &Subject) -> Check {
    let ben = s.scim.create_user("ben@example.com")?;
    let ada = s.scim.create_user("ada@example.com")?;
    let sorted = s.scim.get("/Users?sortBy=userName")?.expect(200)?;
    sorted.expect_ids(&[&ada.id, &ben.id]).map(drop)
}

fn sort_refused(s: &Subject) -> Check {
    refused(s.scim.get("/Users?sortBy=userName")?)
}

fn etag_works(s: &Subject) -> Check {
    let made = s.scim.create_user("ada@example.com")?;
    let read = s.scim.get(&made.path)?.expect(200)?;
    s.scim.send("GET", &made.path, &[("If-None-Match", read.etag()?)], None)?.expect(304)?;
    let stale = [("If-Match", "W/\"nothing\"")];
    s.scim.send("DELETE", &made.path, &stale, None)?.expect_error(412, None).map(drop)
}

fn etag_refused(s: &Subject) -> Check {
    let made = s.scim.create_user("ada@example.com")?;
    let read = s.scim.get(&made.path)?.expect(200)?;
    read.expect_that(read.header("etag").is_none(), "there is an ETag all the same").map(drop)
}

fn password() -> Value {
    json!([{"op": "replace", "path": "password", "value": "New-Secret-9!"}])
}

fn password_changes(s: &Subject) -> Check {
    let made = s.scim.create_user("ada@example.com")?;
    s.scim.apply(&made.path, &password())?.expect_nowhere("New-Secret-9!").map(drop)
}

/// Refused, or accepted and dropped: many clients send a password with everything. Then nothing may
/// look as if something had changed.
fn password_stays(s: &Subject) -> Check {
    let made = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let answer = s.scim.patch(&made.path, &patch(&password()))?;
    let answer = answer.expect_status(&[200, 204, 400, 403, 501])?;
    answer.expect_nowhere("New-Secret-9!")?;
    let read = s.scim.get(&made.path)?.expect(200)?;
    read.expect_same(&made.body)?;
    read.expect_that(read.header("etag") == made.etag.as_deref(), "the version moved").map(drop)
}

fn cursor_works(s: &Subject) -> Check {
    let ids = s.scim.create_users(3)?;
    let first = s.scim.get("/Users?cursor&count=2")?.expect(200)?;
    let next = first.text_at("/nextCursor")?;
    let last = s.scim.query("/Users", &[("cursor", next), ("count", "2")])?.expect(200)?;
    last.expect_absent("/nextCursor")?;
    let mut walked = first.ids()?;
    walked.extend(last.ids()?);
    walked.sort_unstable();
    let mut expected = ids;
    expected.sort_unstable();
    last.expect_that(walked == expected, &format!("the pages have {walked:?}")).map(drop)
}

fn cursor_refused(s: &Subject) -> Check {
    refused(s.scim.get("/Users?cursor=x&count=2")?)
}

fn roles(s: &Subject, config: &Answer) -> Check {
    for (place, endpoint) in [
        ("/RolesAndEntitlements/roles/supported", "/Roles"),
        ("/RolesAndEntitlements/entitlements/supported", "/Entitlements"),
    ] {
        match config.json.pointer(place) {
            Some(Value::Bool(true)) => {
                s.scim.get(endpoint)?.expect(200)?.at("/totalResults")?;
            }
            _ => {
                s.scim.get(endpoint)?.expect_status(&[404, 501])?;
            }
        }
    }
    Ok(())
}

fn asynchronous(s: &Subject, config: &Answer) -> Check {
    let headers = [("Prefer", "respond-async")];
    let body = json!({
        "schemas": [BULK_REQUEST],
        "Operations": [{
            "method": "POST", "path": "/Users", "bulkId": "a",
            "data": {"schemas": [USER], "userName": "async@example.com"},
        }],
    });
    let answer = s.scim.send("POST", "/Bulk", &headers, Some(&body.to_string()))?;
    let mode = config.json.pointer("/securityEvents/asyncRequest").and_then(Value::as_str);
    if matches!(mode, None | Some("none")) {
        return answer.expect_status(&[200, 400, 403, 501]).map(drop);
    }
    // `long` leaves it to the server which requests it defers, `request` to the client.
    let statuses: &[u16] = if mode == Some("request") { &[202] } else { &[200, 202] };
    let accepted = answer.expect_status(statuses)?;
    if accepted.status == 202 {
        accepted.expect_that(accepted.text.is_empty(), "a 202 has no body")?;
        accepted.expect_header("set-txn")?;
        accepted.expect_header("location")?;
        let applied = accepted.expect_header("preference-applied")?;
        accepted.expect_that(applied.contains("respond-async"), "the preference was applied")?;
    }
    Ok(())
}
