//! Attributes of users (RFC 7643 §4.1).

use serde_json::{Value, json};

use crate::answer::ensure;
use crate::rows::{Check, Finding, Row};
use crate::scim::{BULK_REQUEST, SEARCH_REQUEST, USER, full_user, patch, user, with, without};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "K1",
        "MUST",
        "RFC 7643 §4.1.1",
        "rfc_k1_user_name_is_required_and_unique",
        "`userName` required, non-empty, unique over Users ignoring case",
        k1,
    ),
    Row::new(
        "K2",
        "SHALL NOT",
        "RFC 7643 §4.1.1",
        "rfc_k2_password_never_leaves_the_server",
        "`password` neither clear nor hashed ever leaves the server",
        k2,
    ),
    Row::new(
        "K3",
        "SHOULD",
        "RFC 7643 §4.1.1",
        "rfc_k3_no_password_is_kept",
        "A locally held password is stored hashed with salt (inspect the store)",
        k3,
    ),
    Row::new(
        "K4",
        "MUST",
        "RFC 7644 §5",
        "rfc_k4_user_name_is_prepared_before_comparing",
        "userName/password are prepared with PRECIS (RFC 7613/8265) before comparing; full-width \
         or decomposed forms of a taken name collide",
        k4,
    ),
    Row::new(
        "K5",
        "SHOULD",
        "RFC 7643 §4.1.2",
        "rfc_k5_email_is_canonicalised_lightly",
        "e-mail values are checked/canonicalised lightly (domain case), never rejected for being \
         non-ASCII without cause",
        k5,
    )
    .differs(
        "addresses come back as they were sent: a client that reads another spelling than it wrote \
         may write it again with every run",
        k5_as_sent,
    ),
    Row::new(
        "K6",
        "MUST",
        "RFC 7643 §4.1.2",
        "rfc_k6_country_is_iso_3166_when_enforced",
        "`addresses.country`, when enforced, is ISO 3166-1 alpha-2",
        k6,
    ),
    Row::new(
        "K7",
        "MUST",
        "RFC 7643 §4.1.2",
        "rfc_k7_certificate_is_base64_der",
        "`x509Certificates.value` is base64 DER, one certificate per value",
        k7,
    )
    .differs(
        "any base64 is kept: to refuse a user for a certificate would keep somebody out who has a \
         right to access",
        k7_any_base64,
    ),
];

fn k1(s: &Subject) -> Check {
    let ada = s.scim.create_user("Ada@Example.com")?;
    let ben = s.scim.create_user("ben@example.com")?;
    let total = s.scim.get("/Users")?.total()?;
    let nameless = json!({"schemas": [USER], "displayName": "Nobody"});
    let mut bad = vec![nameless.clone()];
    for name in [json!(""), json!("   "), json!(null)] {
        bad.push(with(nameless.clone(), "userName", name));
    }
    for body in &bad {
        s.scim.post("/Users", body)?.expect_error(400, Some("invalidValue"))?;
        s.scim.put(&ben.path, body)?.expect_error(400, Some("invalidValue"))?;
    }
    let set = |value: Value| patch(&json!([{"op": "replace", "path": "userName", "value": value}]));
    s.scim.patch(&ben.path, &set(json!("")))?.expect_error(400, Some("invalidValue"))?;
    for name in ["Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"] {
        s.scim.post("/Users", &user(name))?.expect_error(409, Some("uniqueness"))?;
        s.scim.put(&ben.path, &user(name))?.expect_error(409, Some("uniqueness"))?;
        s.scim.patch(&ben.path, &set(json!(name)))?.expect_error(409, Some("uniqueness"))?;
    }
    ensure(s.scim.get("/Users")?.total()? == total, || "a refused user was stored".into())?;
    s.scim.get(&ben.path)?.expect(200)?.expect_at("/userName", &json!("ben@example.com"))?;
    // One's own name in another case is no conflict, and shown as it was sent.
    let own = s.scim.put(&ada.path, &user("ADA@example.com"))?.expect(200)?;
    own.expect_at("/userName", &json!("ADA@example.com"))?;
    // A group is no user.
    s.scim.create_group("Ada@Example.com", &[])?;
    Ok(())
}

const PASSWORD: &str = "pass-W0rd-nobody-sees";

fn k2(s: &Subject) -> Check {
    let body = with(full_user("ada@example.com"), "password", json!(PASSWORD));
    let other = with(full_user("ben@example.com"), "password", json!(PASSWORD));
    let made = s.scim.post("/Users", &body)?.expect(201)?;
    let path = format!("/Users/{}", made.id()?);
    let set = patch(&json!([{"op": "replace", "path": "password", "value": PASSWORD}]));
    let merged = patch(&json!([{"op": "replace", "value": {"password": PASSWORD}}]));
    let search = json!({"schemas": [SEARCH_REQUEST], "attributes": ["password"]});
    let bulk = json!({"schemas": [BULK_REQUEST], "Operations": [
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": other},
        {"method": "POST", "path": "/Users", "bulkId": "c", "data": without(other, "userName")},
    ]});
    for answer in [
        s.scim.get(&path)?.expect(200)?,
        s.scim.get(&format!("{path}?attributes=password,userName"))?.expect(200)?,
        s.scim.get("/Users?attributes=password")?.expect(200)?,
        s.scim.put(&path, &body)?.expect(200)?,
        s.scim.patch(&path, &set)?.expect_status(&[200, 204])?,
        s.scim.patch(&format!("{path}?attributes=password"), &merged)?.expect(200)?,
        s.scim.post("/Users/.search", &search)?.expect(200)?,
        s.scim.post("/Bulk", &bulk)?.expect(200)?,
        s.scim.filter("/Users", "password pr")?,
        s.scim.filter("/Users", &format!("password eq \"{PASSWORD}\""))?,
        s.scim.post("/Users", &without(body.clone(), "userName"))?.expect(400)?,
        s.scim.post("/Users", &body)?.expect(409)?,
        made,
    ] {
        answer.expect_nowhere(PASSWORD)?;
        answer.expect_that(answer.status < 500, "the server failed")?;
        for word in ["\"password\"", "$argon2", "$2b$", "$6$", "{SSHA}", "pbkdf2"] {
            answer.expect_nowhere(word)?;
        }
    }
    Ok(())
}

fn k3(s: &Subject) -> Check {
    let config = s.scim.get("/ServiceProviderConfig")?.expect(200)?;
    config.expect_at("/changePassword/supported", &json!(false))?;
    let body = with(user("ada@example.com"), "password", json!(PASSWORD));
    let ada = s.scim.create("/Users", &body)?;
    s.scim.put(&ada.path, &body)?.expect(200)?.expect_nowhere(PASSWORD)?;
    for operation in [
        json!([{"op": "replace", "path": "password", "value": PASSWORD}]),
        json!([{"op": "add", "value": {"password": PASSWORD}}]),
        json!([{"op": "add", "value": {format!("{USER}:password"): PASSWORD}}]),
    ] {
        let answer = s.scim.patch(&ada.path, &patch(&operation))?.expect_status(&[200, 204])?;
        answer.expect_nowhere(PASSWORD)?;
    }
    s.scim.get(&ada.path)?.expect(200)?.expect_nowhere(PASSWORD)?;
    if s.directory_id.is_some() {
        s.api("GET", "", None)?.expect(200)?.expect_nowhere(PASSWORD)?;
    }
    let bytes = s.database_bytes()?;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    ensure(holds("ada@example.com"), || "the user is not in the database that was read".into())?;
    ensure(!holds(PASSWORD), || "the password is in the database".into())?;
    Err(Finding::NotApplicable(
        "no password is held: one that a client sends is accepted and dropped, and \
         changePassword.supported is false",
    ))
}

fn k4(s: &Subject) -> Check {
    prepared_names(s)
}

/// Names that are one name once they are prepared: width, composition and case (RFC 8265 §3.3).
pub(in crate::rows) fn prepared_names(s: &Subject) -> Check {
    for (taken, others) in [
        (
            "ada@example.com",
            ["ａｄａ@example.com", "ADA@ＥＸＡＭＰＬＥ.com", "ａｄａ@ｅｘａｍｐｌｅ.com"],
        ),
        (
            "zo\u{e9}@example.com",
            ["zoe\u{301}@example.com", "ZOE\u{301}@example.com", "ZO\u{c9}@example.com"],
        ),
        (
            "\u{ac00}@example.com",
            [
                "\u{1100}\u{1161}@example.com",
                "\u{ac00}@EXAMPLE.com",
                "\u{1100}\u{1161}@Example.com",
            ],
        ),
        ("ｶﾞ@example.com", ["ガ@example.com", "カ\u{3099}@example.com", "ガ@EXAMPLE.com"]),
    ] {
        let first = s.scim.create_user(taken)?;
        let second = s.scim.create_user(&format!("other-{taken}"))?;
        for other in others {
            s.scim.post("/Users", &user(other))?.expect_error(409, Some("uniqueness"))?;
            let put = s.scim.put(&second.path, &user(other))?;
            put.expect_error(409, Some("uniqueness"))?;
            let set = json!([{"op": "replace", "path": "userName", "value": other}]);
            let patched = s.scim.patch(&second.path, &patch(&set))?;
            patched.expect_error(409, Some("uniqueness"))?;
            let found = s.scim.filter("/Users", &format!("userName eq \"{other}\""))?;
            found.expect(200)?.expect_ids(&[&first.id])?;
        }
        s.scim.get(&first.path)?.expect(200)?.expect_at("/userName", &json!(taken))?;
    }
    // Different letters stay different.
    s.scim.create_user("strasse@example.com")?;
    s.scim.create_user("straße@example.com")?;
    // A control character is in no name.
    for name in ["a\u{0}b@example.com", "a\u{7}b@example.com"] {
        s.scim.post("/Users", &user(name))?.expect_error(400, Some("invalidValue"))?;
    }
    Ok(())
}

fn k5(s: &Subject) -> Check {
    let emails = |value: &str| json!([{"value": value, "type": "work"}]);
    for (number, value) in (1..).zip([
        "jörg@example.com",
        "用户@例え.jp",
        "zo\u{e9}@exämple.com",
        "o'hara+x@example.com",
    ]) {
        let body = with(user(&format!("u{number}@example.com")), "emails", emails(value));
        let made = s.scim.create("/Users", &body)?;
        s.scim.get(&made.path)?.expect(200)?.expect_at("/emails/0/value", &json!(value))?;
        let found = s.scim.filter("/Users", &format!("emails.value eq \"{value}\""))?;
        found.expect(200)?.expect_ids(&[&made.id])?;
    }
    let body = with(user("ada@example.com"), "emails", emails("Ada.Lane@EXAMPLE.Com"));
    let ada = s.scim.create("/Users", &body)?;
    // The domain is one in any case; the local part stays as it was sent.
    for answer in [s.scim.get(&ada.path)?, s.scim.put(&ada.path, &body)?] {
        answer.expect(200)?.expect_at("/emails/0/value", &json!("Ada.Lane@example.com"))?;
    }
    let set = json!([{"op": "replace", "path": "emails[type eq \"work\"].value",
        "value": "Lane@EXAMPLE.COM"}]);
    s.scim.patch(&ada.path, &patch(&set))?.expect_status(&[200, 204])?;
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/emails/0/value", &json!("Lane@example.com"))?;
    for value in ["Lane@example.com", "Lane@EXAMPLE.COM", "lane@Example.com"] {
        let found = s.scim.filter("/Users", &format!("emails.value eq \"{value}\""))?;
        found.expect(200)?.expect_ids(&[&ada.id])?;
    }
    Ok(())
}

fn k5_as_sent(s: &Subject) -> Check {
    for (number, value) in (1..).zip(["jörg@exämple.com", "Ada.Lane@EXAMPLE.Com"]) {
        let emails = json!([{"value": value, "type": "work"}]);
        let body = with(user(&format!("u{number}@example.com")), "emails", emails);
        let made = s.scim.create("/Users", &body)?;
        s.scim.get(&made.path)?.expect(200)?.expect_at("/emails/0/value", &json!(value))?;
        let lower = value.to_lowercase();
        let found = s.scim.filter("/Users", &format!("emails.value eq \"{lower}\""))?;
        found.expect(200)?.expect_ids(&[&made.id])?;
    }
    Ok(())
}

fn k6(s: &Subject) -> Check {
    let address = |country: &str| json!([{"type": "work", "country": country}]);
    for (number, country) in (1..).zip(["DE", "US", "JP", "BQ"]) {
        let body = with(user(&format!("u{number}@example.com")), "addresses", address(country));
        let made = s.scim.create("/Users", &body)?;
        let read = s.scim.get(&made.path)?.expect(200)?;
        read.expect_at("/addresses/0/country", &json!(country))?;
    }
    // Enforced for every name that is no code, or for none.
    let mut refused = Vec::new();
    for (number, country) in (1..).zip(["Germany", "DEU", "276", "D"]) {
        let body = with(user(&format!("x{number}@example.com")), "addresses", address(country));
        let answer = s.scim.post("/Users", &body)?.expect_status(&[201, 400])?;
        refused.push(answer.status == 400);
        if answer.status == 400 {
            answer.expect_error(400, Some("invalidValue"))?;
        } else {
            answer.expect_at("/addresses/0/country", &json!(country))?;
        }
    }
    refused.dedup();
    ensure(refused.len() == 1, || "some names that are no code are refused, some kept".into())
}

/// Base64 with padding (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| {
        let index = usize::try_from(bits & 63).unwrap_or_default();
        LETTERS.get(index).copied().map_or('=', char::from)
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([letter(bits >> 18), letter(bits >> 12)]);
        text.push(if chunk.len() > 1 { letter(bits >> 6) } else { '=' });
        text.push(if chunk.len() > 2 { letter(bits) } else { '=' });
    }
    text
}

fn k7(s: &Subject) -> Check {
    let made = rcgen::generate_simple_self_signed(vec!["ada.example.com".to_owned()])
        .map_err(|error| Finding::Failed(format!("no certificate could be made: {error}")))?;
    let der = made.cert.der().to_vec();
    let good = base64(&der);
    let certificates = |value: &str| json!([{"value": value, "type": "work"}]);
    let body = |value: &str| with(user("ada@example.com"), "x509Certificates", certificates(value));
    let ada = s.scim.create("/Users", &body(&good))?;
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/x509Certificates/0/value", &json!(good))?;
    let twice = base64(&der.repeat(2));
    let cut = base64(der.get(..der.len() / 2).unwrap_or_default());
    let pem = made.cert.pem();
    for bad in ["no base64!", &base64(b"no certificate"), &cut, &twice, &pem] {
        let answer = s.scim.put(&ada.path, &body(bad))?;
        answer.expect_error(400, Some("invalidValue"))?;
        let other = with(body(bad), "userName", json!("eve@example.com"));
        s.scim.post("/Users", &other)?.expect_error(400, Some("invalidValue"))?;
        let add = json!([{"op": "add", "path": "x509Certificates", "value": certificates(bad)}]);
        let answer = s.scim.patch(&ada.path, &patch(&add))?;
        answer.expect_error(400, Some("invalidValue"))?;
    }
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/x509Certificates/0/value", &json!(good))?;
    read.expect_absent("/x509Certificates/1")?;
    Ok(())
}

fn k7_any_base64(s: &Subject) -> Check {
    let body = |value: &str| {
        let certificates = json!([{"value": value, "type": "work"}]);
        with(user("ada@example.com"), "x509Certificates", certificates)
    };
    s.scim.post("/Users", &body("no base64!"))?.expect_error(400, Some("invalidValue"))?;
    let kept = base64(b"no certificate");
    let ada = s.scim.create("/Users", &body(&kept))?;
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_at("/x509Certificates/0/value", &json!(kept))?;
    Ok(())
}
