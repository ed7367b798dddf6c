//! Authentication, secrets and logs (RFC 7644 §2, §7).

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::core::prepared_names;
use super::{Check, Finding, Row};
use crate::answer::{Answer, ensure};
use crate::scim::{BULK_REQUEST, SEARCH_REQUEST, Scim, full_user, group, patch, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "Z1",
        "SHALL",
        "RFC 7644 §2",
        "rfc_z1_unauthorized_names_the_scheme",
        "401 carries `WWW-Authenticate` with the scheme",
        z1,
    ),
    Row::new(
        "Z2",
        "MUST",
        "RFC 7644 §2",
        "rfc_z2_token_opens_one_tenant_alone",
        "The credential maps to a client and its access rules: a token of tenant A can neither see \
         nor guess tenant B",
        z2,
    ),
    Row::new(
        "Z3",
        "MUST",
        "RFC 7644 §7.2",
        "rfc_z3_tls_is_available",
        "TLS 1.2+ is available (own listener or documented proxy)",
        z3,
    ),
    Row::new(
        "Z4",
        "MUST",
        "RFC 7644 §7.4",
        "rfc_z4_tokens_are_random_and_stored_hashed",
        "Tokens have enough entropy (≥128 bit), are compared in constant time, stored hashed",
        z4,
    ),
    Row::new(
        "Z5",
        "MUST",
        "RFC 7644 §7.4",
        "rfc_z5_tokens_expire_and_are_revoked",
        "Tokens can expire / be revoked; an expired one gives 401",
        z5,
    ),
    Row::new(
        "Z6",
        "SHOULD",
        "RFC 7644 §7.7",
        "rfc_z6_read_only_token_cannot_write",
        "Per-client access control: read-only token gets 403 on writes",
        z6,
    ),
    Row::new(
        "Z7",
        "SHOULD",
        "RFC 7644 §7.5.2",
        "rfc_z7_log_holds_nothing_personal",
        "Logs do not hold filters' personal values, passwords or tokens",
        z7,
    ),
    Row::new(
        "Z8",
        "MUST",
        "RFC 7644 §7.8",
        "rfc_z8_unicode_is_prepared",
        "See A/K rows on PRECIS and Unicode preparation",
        z8,
    ),
];

/// Every kind of request with this client.
fn knock(scim: &Scim, user_path: &str) -> Result<Vec<Answer>, Finding> {
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "x"}]));
    let search = json!({"schemas": [SEARCH_REQUEST]});
    let bulk = json!({"schemas": [BULK_REQUEST], "Operations": [
        {"method": "DELETE", "path": user_path},
    ]});
    Ok(vec![
        scim.get("/Users")?,
        scim.get(user_path)?,
        scim.filter("/Users", "userName pr")?,
        scim.get("/Schemas")?,
        scim.get("/Nothing")?,
        scim.post("/Users", &user("eve@example.com"))?,
        scim.put(user_path, &user("eve@example.com"))?,
        scim.patch(user_path, &title)?,
        scim.delete(user_path)?,
        scim.post("/Users/.search", &search)?,
        scim.post("/Bulk", &bulk)?,
    ])
}

fn unauthorized(scim: &Scim, user_path: &str) -> Check {
    for answer in knock(scim, user_path)? {
        let answer = answer.expect_error(401, None)?;
        let challenge = answer.expect_header("www-authenticate")?;
        let scheme = challenge.split_whitespace().next().unwrap_or_default();
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        answer.expect_that(bearer, &format!("`WWW-Authenticate` is `{challenge}`"))?;
        answer.expect_absent("/Resources")?;
    }
    Ok(())
}

fn z1(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    unauthorized(&s.scim.with_token(None), &ada.path)?;
    unauthorized(&s.scim.with_token(Some("nonsense")), &ada.path)?;
    for header in ["Basic dXNlcjpwYXNz", "Bearer", "Digest x"] {
        let answer = s.scim.send("GET", "/Users", &[("Authorization", header)], None)?;
        answer.expect_error(401, None)?.expect_header("www-authenticate")?;
    }
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/userName", &json!("ada@example.com"))?;
    ensure(s.scim.get("/Users")?.total()? == 1, || "a stranger changed the list".into())
}

fn z2(s: &Subject) -> Check {
    let mine = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let other = s.other_directory()?;
    let theirs = other.create("/Users", &full_user("eve@example.com"))?;
    let team = other.create_group("Theirs", &[&theirs.id])?;
    // Their base URL with my token.
    for answer in knock(&other.with_token(s.scim.token()), &theirs.path)? {
        let status = answer.status;
        answer
            .expect_that([401, 403, 404].contains(&status), "another tenant's base URL opened")?;
        answer.expect_nowhere("eve@example.com")?;
    }
    // Their ids below my base URL.
    let rename = patch(&json!([{"op": "replace", "path": "displayName", "value": "Mine"}]));
    for (path, body) in
        [(&theirs.path, user("ben@example.com")), (&team.path, group("Mine", &[&mine.id]))]
    {
        for answer in [
            s.scim.get(path)?,
            s.scim.put(path, &body)?,
            s.scim.patch(path, &rename)?,
            s.scim.delete(path)?,
        ] {
            answer.expect_error(404, None)?;
        }
    }
    // Their names and ids in my filters, their ids in my groups.
    for filter in [
        format!("id eq \"{}\"", theirs.id),
        "userName eq \"eve@example.com\"".to_owned(),
        "emails.value co \"eve\" or userName sw \"eve\"".to_owned(),
    ] {
        s.scim.filter("/Users", &filter)?.expect(200)?.expect_ids(&[])?;
    }
    let filter = format!("members.value eq \"{}\"", theirs.id);
    s.scim.filter("/Groups", &filter)?.expect(200)?.expect_ids(&[])?;
    let answer = s.scim.post("/Groups", &group("Mine", &[&theirs.id]))?;
    answer.expect_error(400, Some("invalidValue"))?.expect_nowhere("eve@example.com")?;
    // A name that is taken there is free here.
    s.scim.create_user("eve@example.com")?;
    let list = s.scim.get("/Users")?.expect(200)?;
    list.expect_that(list.total()? == 2, "more than my users are listed")?;
    let read = other.get(&theirs.path)?.expect(200)?;
    read.expect_contains(&full_user("eve@example.com"))?;
    let read = other.get(&team.path)?.expect(200)?;
    read.expect_at("/displayName", &json!("Theirs"))?;
    s.scim.get(&mine.path)?.expect(200)?;
    Ok(())
}

fn z3(s: &Subject) -> Check {
    // The client speaks TLS 1.2 and 1.3 and nothing older.
    if s.scim.base_url().starts_with("https://") {
        return s.scim.get("/ServiceProviderConfig")?.expect(200).map(drop);
    }
    let https = s.https()?;
    let base = https.scim.base_url().to_owned();
    ensure(base.starts_with("https://"), || format!("the base URL is {base}"))?;
    let made = https.scim.create_user("ada@example.com")?;
    ensure(made.location.starts_with(&base), || format!("a location is {}", made.location))?;
    https.scim.follow(&made.location)?.expect(200)?;
    // The same port does not answer in clear.
    let clear = https.scim.with_base_url(&base.replacen("https://", "http://", 1));
    match clear.get("/Users") {
        Ok(answer) => answer.expect_that(answer.status >= 400, "it answers in clear").map(drop),
        Err(_) => Ok(()),
    }
}

/// A lower bound of the random bits in these texts: places at which they differ, four bits each.
fn random_bits(texts: &[String]) -> usize {
    let length = texts.iter().map(|text| text.chars().count()).min().unwrap_or_default();
    let places = (0..length).filter(|place| {
        let seen: BTreeSet<_> = texts.iter().filter_map(|text| text.chars().nth(*place)).collect();
        seen.len() * 2 > texts.len()
    });
    places.count() * 4
}

fn z4(s: &Subject) -> Check {
    let mut secrets = Vec::new();
    for _ in 0..12 {
        let (_, client) = s.token(&json!({"scope": "write"}))?;
        client.get("/Users")?.expect(200)?;
        secrets.push(client.token().unwrap_or_default().to_owned());
    }
    let distinct: BTreeSet<_> = secrets.iter().collect();
    ensure(distinct.len() == secrets.len(), || "a token was given out twice".into())?;
    let bits = random_bits(&secrets);
    ensure(bits >= 128, || format!("about {bits} bits of a token are random"))?;
    // Every character counts.
    for secret in secrets.iter().take(3) {
        let last = if secret.ends_with('A') { 'B' } else { 'A' };
        let mut forged = secret.clone();
        forged.pop();
        forged.push(last);
        for wrong in [forged, secret.to_ascii_uppercase(), format!("{secret}A")] {
            let answer = s.scim.with_token(Some(&wrong)).get("/Users")?;
            answer.expect_error(401, None)?;
        }
    }
    let list = s.api("GET", "/tokens", None)?.expect(200)?;
    let bytes = s.database_bytes()?;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let own = s.directory_id.clone().unwrap_or_default();
    ensure(holds(&own), || "the directory is not in the database that was read".into())?;
    secrets.extend(s.scim.token().map(str::to_owned));
    for secret in &secrets {
        list.expect_nowhere(secret)?;
        // The random half of the secret is enough to be the secret.
        let tail = secret.get(secret.len().saturating_sub(32)..).unwrap_or(secret);
        ensure(!holds(secret) && !holds(tail), || "a token is in the database in clear".into())?;
    }
    ensure(holds("$argon2id$"), || "no salted hash is in the database".into())
}

fn z5(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let (id, client) = s.token(&json!({"scope": "write"}))?;
    client.get(&ada.path)?.expect(200)?;
    s.revoke(&id)?;
    unauthorized(&client, &ada.path)?;
    // The server's own clock says when now is.
    let now = s.scim.get("/ServiceProviderConfig")?.expect(200).and(s.scim.get(&ada.path))?;
    let now: Timestamp = now
        .text_at("/meta/created")?
        .parse()
        .map_err(|_| now.failed("`meta.created` is no instant"))?;
    let soon = now + SignedDuration::from_secs(3);
    let (_, client) = s.token(&json!({"scope": "write", "expires_at": soon.to_string()}))?;
    client.get(&ada.path)?.expect(200)?;
    s.pass(Duration::from_millis(3_100));
    unauthorized(&client, &ada.path)?;
    // The others go on.
    s.scim.get(&ada.path)?.expect(200)?.expect_at("/userName", &json!("ada@example.com"))?;
    Ok(())
}

fn z6(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let before = s.scim.get(&ada.path)?.expect(200)?;
    let (_, reader) = s.token(&json!({"scope": "read"}))?;
    let search = json!({"schemas": [SEARCH_REQUEST]});
    for path in [&ada.path, "/Users", "/Groups", "/Schemas", "/ResourceTypes"] {
        reader.get(path)?.expect(200)?;
    }
    reader.post("/Users/.search", &search)?.expect(200)?.expect_ids(&[&ada.id])?;
    let title = patch(&json!([{"op": "replace", "path": "title", "value": "x"}]));
    let bulk = json!({"schemas": [BULK_REQUEST], "Operations": [
        {"method": "DELETE", "path": ada.path},
    ]});
    for answer in [
        reader.post("/Users", &user("eve@example.com"))?,
        reader.post("/Groups", &group("Team", &[]))?,
        reader.put(&ada.path, &user("ada@example.com"))?,
        reader.patch(&ada.path, &title)?,
        reader.delete(&ada.path)?,
        reader.post("/Bulk", &bulk)?,
    ] {
        answer.expect_error(403, None)?;
    }
    let after = s.scim.get(&ada.path)?.expect(200)?;
    after.expect_that(after.text == before.text, "a reader changed a user")?;
    ensure(s.scim.get("/Users")?.total()? == 1, || "a reader changed the list".into())
}

fn z7(s: &Subject) -> Check {
    let personal = "log-probe-person@example.com";
    let password = "log-probe-passw0rd";
    let phone = "log-probe-phone";
    let mut body = with(full_user(personal), "password", json!(password));
    body = with(body, "phoneNumbers", json!([{"value": phone, "type": "work"}]));
    let made = s.scim.create("/Users", &body)?;
    let (_, client) = s.token(&json!({"scope": "write"}))?;
    let wrong = "rbd_log-probe-wrong-token";
    let set = patch(&json!([{"op": "replace", "path": "password", "value": password}]));
    s.scim.put(&made.path, &body)?.expect(200)?;
    s.scim.patch(&made.path, &set)?.expect_status(&[200, 204])?;
    client.filter("/Users", &format!("userName eq \"{personal}\""))?.expect(200)?;
    client.filter("/Users", &format!("phoneNumbers.value eq \"{phone}\" and"))?.expect(400)?;
    client.query("/Users", &[("filter", &format!("emails co \"{personal}\"")), ("count", "x")])?;
    s.scim.post("/Users", &body)?.expect(409)?;
    s.scim.post("/Users", &with(body, "name", json!(personal)))?.expect(400)?;
    s.scim.send("POST", "/Users", &[], Some(&format!("{{\"userName\": \"{personal}\"")))?;
    s.scim.with_token(Some(wrong)).get("/Users")?.expect(401)?;
    let search =
        json!({"schemas": [SEARCH_REQUEST], "filter": format!("userName eq \"{personal}\"")});
    s.scim.post("/Users/.search", &search)?.expect(200)?;
    let log = s.server_log()?;
    ensure(log.len() > 100, || "the log is empty".into())?;
    let tokens = [s.scim.token(), client.token()].map(Option::unwrap_or_default);
    let random = tokens.map(|token| token.get(token.len().saturating_sub(32)..).unwrap_or(token));
    for secret in [personal, "log-probe-person", password, phone, wrong].into_iter().chain(random) {
        let line = log.lines().find(|line| line.contains(secret));
        ensure(line.is_none(), || {
            format!("`{secret}` is in the log: {}", line.unwrap_or_default())
        })?;
    }
    Ok(())
}

fn z8(s: &Subject) -> Check {
    prepared_names(s)?;
    // The same for every other text that is compared.
    let mut body: Value =
        with(user("person@example.com"), "displayName", json!("Zo\u{e9} \u{c5}se"));
    body = with(body, "externalId", json!("E-\u{e9}"));
    let ada = s.scim.create("/Users", &body)?;
    let team = s.scim.create_group("Caf\u{e9}", &[&ada.id])?;
    for (endpoint, filter, id) in [
        ("/Users", "displayName eq \"Zoe\u{301} A\u{30a}se\"", &ada.id),
        ("/Users", "displayName co \"e\u{301} a\u{30a}\"", &ada.id),
        ("/Users", "displayName sw \"zoe\u{301}\"", &ada.id),
        ("/Users", "externalId eq \"E-e\u{301}\"", &ada.id),
        ("/Groups", "displayName eq \"CAFE\u{301}\"", &team.id),
    ] {
        s.scim.filter(endpoint, filter)?.expect(200)?.expect_ids(&[id])?;
    }
    let set = json!([{"op": "replace", "path": "displayName", "value": "Zoe\u{301}"}]);
    s.scim.patch(&ada.path, &patch(&set))?.expect_status(&[200, 204])?;
    let found = s.scim.filter("/Users", "displayName eq \"zo\u{e9}\"")?.expect(200)?;
    found.expect_ids(&[&ada.id])?;
    Ok(())
}
