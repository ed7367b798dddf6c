//! Requests that have to fail: one for every way to fail, and hostile ones.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::rows::Finding;
use crate::scim::{PATCH_OP, Scim, full_user, patch, user, with};
use crate::subject::Subject;

/// A failed request and how it has to fail.
pub(super) struct Provoked {
    pub(super) status: u16,
    pub(super) word: Option<&'static str>,
    pub(super) answer: Answer,
}

fn provoked(status: u16, word: Option<&'static str>, answer: Answer) -> Provoked {
    Provoked { status, word, answer }
}

/// Every kind of error.
pub(super) fn everything(s: &Subject) -> Result<Vec<Provoked>, Finding> {
    let mut all = of_words(s)?;
    all.extend(of_codes(s)?);
    all.extend(of_states(s)?);
    Ok(all)
}

/// Two users to work on; what an earlier call has left is gone.
fn two_users(s: &Subject) -> Result<(String, String), Finding> {
    for id in s.scim.get("/Users")?.expect(200)?.ids()? {
        s.scim.delete(&format!("/Users/{id}"))?.expect(204)?;
    }
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let ben = s.scim.create_user("ben@example.com")?;
    Ok((ada.path, ben.path))
}

/// For each word of Table 9 that can be provoked, what the table says about it.
pub(super) fn of_words(s: &Subject) -> Result<Vec<Provoked>, Finding> {
    let (ada, ben) = two_users(s)?;
    let change = |operation: Value| s.scim.patch(&ada, &patch(&json!([operation])));
    let bad = |word: &'static str, answer: Answer| provoked(400, Some(word), answer);
    let taken = || provoked_taken(s, &ada);
    let mut all = vec![
        bad("invalidFilter", s.scim.filter("/Users", "userName eq")?),
        bad("invalidFilter", s.scim.filter("/Users", "userName regex \"a\"")?),
        bad("invalidFilter", s.scim.filter("/Users", "active gt true")?),
        bad("invalidFilter", s.scim.filter("/Users", "noSuchAttribute eq \"a\"")?),
        bad("invalidFilter", s.scim.search("/Users", &json!({"filter": "(((("}))?),
        bad("mutability", change(json!({"op": "replace", "path": "id", "value": "x"}))?),
        bad("mutability", change(json!({"op": "remove", "path": "userName"}))?),
        bad("invalidSyntax", s.scim.send("POST", "/Users", &[], Some("{\"userName\":"))?),
        bad("invalidSyntax", s.scim.send("PUT", &ben, &[], Some("[]"))?),
        bad("invalidSyntax", s.scim.patch(&ada, &json!({"Operations": []}))?),
        bad("invalidSyntax", s.scim.post("/Users/.search", &json!({"schemas": [PATCH_OP]}))?),
        bad(
            "invalidSyntax",
            s.scim.post("/Bulk", &json!({"schemas": [PATCH_OP], "Operations": []}))?,
        ),
        bad("invalidPath", change(json!({"op": "add", "path": "a b", "value": "x"}))?),
        bad("invalidPath", change(json!({"op": "remove", "path": "emails[type eq"}))?),
        bad("noTarget", change(json!({"op": "remove"}))?),
        bad(
            "noTarget",
            change(json!({"op": "add", "path": "emails[value co \"no\"].display", "value": "x"}))?,
        ),
        bad("invalidValue", s.scim.post("/Users", &json!({"schemas": user("").get("schemas")}))?),
        bad("invalidValue", s.scim.post("/Users", &with(user("a"), "active", json!("perhaps")))?),
        bad("invalidValue", s.scim.put(&ben, &user(""))?),
        bad("invalidValue", change(json!({"op": "add", "path": "title"}))?),
        bad("invalidValue", s.scim.get("/Users?count=many")?),
    ];
    all.extend(taken()?);
    if let Some(version_nine) = other_version(s) {
        all.push(bad("invalidVers", version_nine.get("/Users")?));
        all.push(bad("invalidVers", version_nine.post("/Users", &user("a"))?));
    }
    Ok(all)
}

fn provoked_taken(s: &Subject, ada: &str) -> Result<[Provoked; 3], Finding> {
    let rename = json!([{"op": "replace", "path": "userName", "value": "ben@example.com"}]);
    let taken = |answer| provoked(409, Some("uniqueness"), answer);
    Ok([
        taken(s.scim.post("/Users", &user("BEN@example.com"))?),
        taken(s.scim.put(ada, &user("ben@example.com"))?),
        taken(s.scim.patch(ada, &patch(&rename))?),
    ])
}

/// The same base URL with a version that does not exist, if the version stands in it.
fn other_version(s: &Subject) -> Option<Scim> {
    let (before, after) = s.scim.base_url().rsplit_once("/v2")?;
    Some(s.scim.with_base_url(&format!("{before}/v9{after}")))
}

/// The codes of Table 8, and those of HTTP itself.
fn of_codes(s: &Subject) -> Result<Vec<Provoked>, Finding> {
    let (ada, _) = two_users(s)?;
    let anonymous = s.scim.with_token(None);
    let stranger = s.scim.with_token(Some("rbd_0000000000000000000000000000000000000000"));
    let basic = [("Authorization", "Basic YWRhOnNlY3JldA==")];
    let stale = [("If-Match", "W/\"nothing\"")];
    let text = user("eve@example.com").to_string();
    let plain = [("Content-Type", "text/plain")];
    let most = s.scim.config()?.at("/bulk/maxPayloadSize")?.as_u64().unwrap_or_default();
    let too_large = " ".repeat(usize::try_from(most).unwrap_or_default()) + "{}";
    let code = |status, answer| provoked(status, None, answer);
    let mut all = vec![
        code(401, anonymous.get("/Users")?),
        code(401, anonymous.get("/nothing")?),
        code(401, anonymous.post("/Bulk", &json!({}))?),
        code(401, stranger.delete(&ada)?),
        code(401, s.scim.send("GET", "/Users", &basic, None)?),
        code(403, s.scim.get("/Schemas?filter=id+pr")?),
        code(404, s.scim.get("/Users/nothing")?),
        code(404, s.scim.put("/Users/nothing", &user("eve@example.com"))?),
        code(404, s.scim.delete("/Groups/nothing")?),
        code(404, s.scim.get("/NoSuchEndpoint")?),
        code(404, s.scim.post("/NoSuchEndpoint", &json!({}))?),
        code(404, s.scim.get("/Users/one/two/three")?),
        code(404, s.scim.get("/Schemas/urn:example:none")?),
        code(405, s.scim.delete("/Users")?),
        code(405, s.scim.post(&ada, &json!({}))?),
        code(405, s.scim.delete("/ServiceProviderConfig")?),
        code(405, s.scim.get("/Bulk")?),
        code(405, s.scim.get("/.search")?),
        code(405, s.scim.send("PROPFIND", "/Users", &[], None)?),
        code(412, s.scim.send("DELETE", &ada, &stale, None)?),
        code(412, s.scim.send("PUT", &ada, &stale, Some(&text))?),
        code(413, s.scim.send("POST", "/Bulk", &[], Some(&too_large))?),
        code(413, s.scim.send("POST", "/Users", &[], Some(&too_large))?),
        code(415, s.scim.send("POST", "/Users", &plain, Some(&text))?),
        code(415, s.scim.send("POST", "/Bulk", &plain, Some("{}"))?),
        code(501, s.scim.get("/Me")?),
    ];
    match s.token(&json!({"scope": "read"})) {
        Ok((_, reader)) => {
            all.push(code(403, reader.post("/Users", &user("eve@example.com"))?));
            all.push(code(403, reader.delete(&ada)?));
        }
        Err(Finding::Skipped(_)) => {}
        Err(other) => return Err(other),
    }
    Ok(all)
}

/// What a directory answers that its operator has paused or disabled.
fn of_states(s: &Subject) -> Result<Vec<Provoked>, Finding> {
    let mut all = Vec::new();
    for (state, status) in [("paused", 503), ("disabled", 403)] {
        match s.api("PATCH", "", Some(&json!({"state": state}))) {
            Ok(changed) => changed.expect(200)?,
            Err(Finding::Skipped(_)) => return Ok(all),
            Err(other) => return Err(other),
        };
        all.push(provoked(status, None, s.scim.get("/Users")?));
        all.push(provoked(status, None, s.scim.post("/Users", &user("eve@example.com"))?));
    }
    s.api("PATCH", "", Some(&json!({"state": "linked"})))?.expect(200)?;
    s.scim.get("/Users")?.expect(200)?;
    Ok(all)
}

/// Answers to what nobody should send. Not all of it is an error.
pub(super) fn hostile(s: &Subject) -> Result<Vec<Answer>, Finding> {
    let (ada, _) = two_users(s)?;
    let mut answers = Vec::new();
    for id in
        ["'", "%22%3B--", "%00", "%FF%FE", "..", "%2e%2e%2f%2e%2e%2fetc", "%", "{}", "%F0%9F%92%A9"]
    {
        answers.push(s.scim.get(&format!("/Users/{id}"))?);
        answers.push(s.scim.delete(&format!("/Groups/{id}"))?);
    }
    for filter in [
        "userName eq \"' OR 1=1 --\"",
        "userName eq \"\\u0000\"",
        "userName co \"%_\\\\\"",
        "userName eq \"\\ud800\"",
        "id eq 1e999",
        "id eq 99999999999999999999999999",
        "meta.created gt \"-9999-99-99T99:99:99Z\"",
        "password eq \"Hidden-Secret-9!\"",
        "\u{0}",
    ] {
        answers.push(s.scim.filter("/Users", filter)?);
        answers.push(s.scim.search("/Users", &json!({"filter": filter}))?);
    }
    for query in [
        "%",
        "filter=%FF",
        "count=99999999999999999999",
        "startIndex=-99999999999999999999",
        "attributes=((",
        "attributes=%00",
        "sortBy=%22",
        "=",
        "&&&",
        "filter=a&filter=b",
        "cursor=%00x",
    ] {
        answers.push(s.scim.get(&format!("/Users?{query}"))?);
    }
    let deep = |open: &str, close: &str| open.repeat(5_000) + &close.repeat(5_000);
    for body in [
        deep("[", "]"),
        format!("{{\"userName\":{}}}", deep("[", "]")),
        format!("{{\"name\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000)),
        "\u{feff}{}".into(),
        "{\"userName\":\"\\ud800\"}".into(),
        "{\"userName\":\"a\\u0000b\"}".into(),
        "{\"userName\":\"a\",\"userName\":\"b\"}".into(),
        "{\"userName\":1e999}".into(),
        "{\"schemas\":\"x\",\"userName\":{}}".into(),
        "{\"schemas\":[1,null],\"userName\":[]}".into(),
        "{\"userName\":\"a\",\"password\":\"Hidden-Secret-9!\",\"active\":\"perhaps\"}".into(),
        "{\"userName\":\"a\",\"emails\":[[[]]]}".into(),
        "{\"userName\":\"a\",\"emails\":{\"value\":[]}}".into(),
        "{\"Operations\":[{\"op\":\"add\",\"path\":\"\\u0000\",\"value\":1}]}".into(),
        "{\"Operations\":{}}".into(),
        "NaN".into(),
        "\u{0}".into(),
    ] {
        answers.push(s.scim.send("POST", "/Users", &[], Some(&body))?);
        answers.push(s.scim.send("PUT", &ada, &[], Some(&body))?);
        answers.push(s.scim.send("PATCH", &ada, &[], Some(&body))?);
        answers.push(s.scim.send("POST", "/Groups", &[], Some(&body))?);
        answers.push(s.scim.send("POST", "/Bulk", &[], Some(&body))?);
        answers.push(s.scim.send("POST", "/.search", &[], Some(&body))?);
    }
    Ok(answers)
}
