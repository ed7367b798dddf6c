//! The /Me alias (RFC 7644 §3.11).

use serde_json::{Value, json};

use super::{Check, Finding, Row};
use crate::answer::Answer;
use crate::scim::{Resource, Scim, full_user, patch, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "M1",
        "SHOULD",
        "RFC 7644 §3.11",
        "rfc_m1_me_without_a_user",
        "Unsupported /Me is 501 (404/405 are seen)",
        m1,
    ),
    Row::new(
        "M2",
        "MAY",
        "RFC 7644 §3.11",
        "rfc_m2_me_is_the_user_of_the_token",
        "If served directly: same as the aliased resource, `Location` is the permanent URI; or a \
         308 redirect",
        m2,
    ),
];

/// The token of the run belongs to no user.
fn m1(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "Boss"}]));
    for answer in [
        s.scim.get("/Me")?,
        s.scim.put("/Me", &full_user("ada@example.com"))?,
        s.scim.patch("/Me", &title)?,
        s.scim.delete("/Me")?,
    ] {
        answer.expect_error(501, None)?;
    }
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&ada.body)?;
    Ok(())
}

/// A user and a client with a token that was issued for it.
fn user_with_token(s: &Subject, scope: &str) -> Result<(Resource, Scim), Finding> {
    let made = s.scim.create("/Users", &full_user(&format!("{scope}@example.com")))?;
    let (_, me) = s.token(&json!({"scope": scope, "user_id": made.id}))?;
    Ok((made, me))
}

/// The answer says where the resource is for good.
fn expect_location(answer: Answer, user: &Resource) -> Result<Answer, Finding> {
    let found = answer.expect_header("location")?;
    let right = format!("`Location` must be {}", user.location);
    answer.expect_that(found == user.location, &right)?;
    if let Some(content) = answer.header("content-location") {
        answer.expect_that(content == user.location, "`Content-Location` must be the same")?;
    }
    Ok(answer)
}

fn m2(s: &Subject) -> Check {
    let (ada, me) = user_with_token(s, "write")?;
    let (ben, read_only) = user_with_token(s, "read")?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;

    let whole = s.scim.get(&ada.path)?.expect(200)?;
    let read = me.get("/Me")?;
    if read.status == 308 {
        let read = expect_location(read, &ada)?;
        me.follow(read.expect_header("location")?)?.expect(200)?.expect_same(&whole.json)?;
        return Ok(());
    }
    let read = expect_location(read.expect(200)?, &ada)?;
    read.expect_same(&whole.json)?;
    read.expect_at("/groups/0/value", &json!(tools.id))?;
    read.expect_that(read.etag()? == whole.etag()?, "the ETag must be that of the user")?;
    let part = expect_location(me.get("/Me?attributes=userName")?.expect(200)?, &ada)?;
    part.expect_members("", &["schemas", "id", "userName"])?;
    let unchanged = me.send("GET", "/Me", &[("If-None-Match", whole.etag()?)], None)?;
    unchanged.expect(304)?;
    read_only.get("/Me")?.expect(200)?.expect_at("/id", &json!(ben.id))?;

    let title = |title: &str| patch(&json!([{"op": "replace", "path": "title", "value": title}]));
    let patched = expect_location(me.patch("/Me", &title("Boss"))?.expect(200)?, &ada)?;
    patched.expect_at("/title", &json!("Boss"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&patched.json)?;
    let body = with(full_user("write@example.com"), "title", json!("Chief"));
    let put = expect_location(me.put("/Me", &body)?.expect(200)?, &ada)?;
    put.expect_at("/title", &json!("Chief"))?;
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&put.json)?;

    let stale = [("If-Match", "W/\"0\"")];
    let text = title("Stale").to_string();
    me.send("PATCH", "/Me", &stale, Some(&text))?.expect_error(412, None)?;
    let bad = patch(&json!([{"op": "replace", "path": "id", "value": "x"}]));
    me.patch("/Me", &bad)?.expect_error(400, Some("mutability"))?;
    read_only.patch("/Me", &title("Mine"))?.expect_error(403, None)?;
    read_only.delete("/Me")?.expect_error(403, None)?;
    s.scim.get(&ada.path)?.expect(200)?.expect_same(&put.json)?;

    expect_location(me.delete("/Me")?.expect(204)?, &ada)?;
    s.scim.get(&ada.path)?.expect_error(404, None)?;
    s.scim.get(&tools.path)?.expect(200)?.expect_unassigned("/members")?;
    s.scim.delete(&ben.path)?.expect(204)?;
    let replaced = full_user("write@example.com");
    for answer in [
        me.get("/Me")?,
        me.put("/Me", &replaced)?,
        me.patch("/Me", &title("Gone"))?,
        me.delete("/Me")?,
        read_only.get("/Me")?,
    ] {
        answer.expect_error(404, None)?;
    }
    s.scim.get("/Users")?.expect(200)?.expect_at("/totalResults", &Value::from(0))?;
    Ok(())
}
