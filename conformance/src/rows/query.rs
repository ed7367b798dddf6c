//! Lists and searches (RFC 7644 §3.4.2).

use serde_json::{Value, json};

use super::custom::{THING, THINGS, a_thing, resource_type};
use super::{Check, Finding, Row};
use crate::answer::{Answer, ensure};
use crate::scim::{LIST_RESPONSE, PATCH_OP, SEARCH_REQUEST, encode, full_user, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "Q1",
        "MUST",
        "RFC 7644 §3.4.2",
        "rfc_q1_list_response",
        "List answers carry the ListResponse URI and `totalResults`",
        q1,
    ),
    Row::new(
        "Q2",
        "SHALL",
        "RFC 7644 §3.4.2",
        "rfc_q2_no_match_is_an_empty_list",
        "No match is 200 with `totalResults: 0` (send `Resources: []`, `startIndex`, \
         `itemsPerPage` too)",
        q2,
    ),
    Row::new(
        "Q3",
        "REQUIRED",
        "RFC 7644 §3.4.2",
        "rfc_q3_resources_present",
        "`Resources` present when totalResults > 0 (and count > 0)",
        q3,
    ),
    Row::new(
        "Q4",
        "REQUIRED",
        "RFC 7644 §3.4.2",
        "rfc_q4_partial_results_say_where",
        "`startIndex` and `itemsPerPage` present for partial results; itemsPerPage = number \
         actually returned",
        q4,
    ),
    Row::new(
        "Q5",
        "SHALL",
        "RFC 7644 §3.4.2.1",
        "rfc_q5_root_query_covers_all_types",
        "A query at the server root covers all resource types, filterable by `meta.resourceType`",
        q5,
    ),
    Row::new(
        "Q6",
        "SHALL",
        "RFC 7644 §3.4.2.1",
        "rfc_q6_root_query_with_attributes_of_one_type",
        "An attribute unknown to one of the types counts as unassigned there (no error)",
        q6,
    ),
    Row::new(
        "Q7",
        "SHALL",
        "RFC 7644 §3.4.2.1",
        "rfc_q7_too_many_results",
        "More results than the server allows: 400 tooMany (or a bounded page)",
        q7,
    ),
    Row::new(
        "Q8",
        "SHALL",
        "RFC 7644 §3.4.3",
        "rfc_q8_search_at_root_and_types",
        "POST `…/.search` is a query at root and at each type endpoint; 200 and ListResponse",
        q8,
    ),
    Row::new(
        "Q9",
        "MUST",
        "RFC 7644 §3.4.3",
        "rfc_q9_search_request",
        "`/.search` needs the SearchRequest URI; takes attributes, excludedAttributes, filter, \
         sortBy, sortOrder, startIndex, count",
        q9,
    )
    .differs(
        "a message without `schemas` is read as what its endpoint takes: clients are known to leave it \
         out; a wrong URI is refused here too",
        q9_default,
    ),
    Row::new(
        "Q10",
        "SHOULD",
        "RFC 7644 §7.5.2",
        "rfc_q10_sensitive_filter",
        "Filters with sensitive values over GET may be refused with 403 `sensitive`",
        q10,
    ),
    Row::new(
        "Q11",
        "MUST",
        "RFC 7644 §3.6",
        "rfc_q11_deleted_resources_never_show",
        "Deleted resources never show in results",
        q11,
    ),
];

fn q1(s: &Subject) -> Check {
    let list = |path: &str, total: u64| {
        let answer = s.scim.get(path)?.expect(200)?;
        answer.expect_scim_json()?;
        answer.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
        answer.expect_at("/totalResults", &json!(total))?;
        Ok::<(), Finding>(())
    };
    list("/Users", 0)?;
    list("/Groups", 0)?;
    s.scim.create_user("ada@example.com")?;
    s.scim.create_user("ben@example.com")?;
    s.scim.create_group("Tools", &[])?;
    list("/Users", 2)?;
    list("/Groups", 1)?;
    list("/Users?filter=userName+eq+%22ada@example.com%22", 1)?;
    list("/Users?startIndex=2&count=1&sortBy=userName&attributes=userName", 2)
}

fn q2(s: &Subject) -> Check {
    let empty = json!({
        "schemas": [LIST_RESPONSE],
        "totalResults": 0,
        "startIndex": 1,
        "itemsPerPage": 0,
        "Resources": [],
    });
    s.scim.get("/Users")?.expect(200)?.expect_same(&empty)?;
    s.scim.get("/Groups")?.expect(200)?.expect_same(&empty)?;
    s.scim.create_user("ada@example.com")?;
    s.scim.create_group("Tools", &[])?;
    for (path, filter) in [
        ("/Users", "userName eq \"ben@example.com\""),
        ("/Users", "nickName pr"),
        ("/Users", "emails[type eq \"work\"].value eq \"ben@example.com\""),
        ("/Groups", "displayName eq \"Sales\""),
        ("/Groups", "members[value eq \"nobody\"]"),
    ] {
        let found = s.scim.filter(path, filter)?.expect(200)?;
        found.expect_same(&empty)?;
        let found = s.scim.search(path, &json!({"filter": filter}))?.expect(200)?;
        found.expect_same(&empty)?;
    }
    Ok(())
}

fn q3(s: &Subject) -> Check {
    let users = [
        s.scim.create("/Users", &full_user("ada@example.com"))?,
        s.scim.create("/Users", &user("ben@example.com"))?,
    ];
    let list = s.scim.get("/Users")?.expect(200)?;
    list.expect_set(&[&users[0].id, &users[1].id])?;
    for made in &users {
        // A list shows what GET shows.
        let shown = list.resources()?.contains(&made.body);
        list.expect_that(shown, &format!("{} is not in it as it was created", made.id))?;
    }
    let one = s.scim.get("/Users?count=1")?.expect(200)?;
    one.expect_that(one.resources()?.len() == 1, "there must be one resource")?;
    Ok(())
}

fn q4(s: &Subject) -> Check {
    for name in ["ada", "ben", "cyd", "dan", "eve"] {
        s.scim.create_user(&format!("{name}@example.com"))?;
    }
    for (start, count, found) in [(1, 2, 2), (3, 2, 2), (5, 2, 1), (2, 1, 1), (2, 100, 4)] {
        let query = format!("startIndex={start}&count={count}");
        let search = json!({"startIndex": start, "count": count});
        for answer in [
            s.scim.get(&format!("/Users?{query}"))?,
            s.scim.get(&format!("/Users?{query}&sortBy=userName"))?,
            s.scim.get(&format!("/Users?{query}&filter=userName+pr"))?,
            s.scim.search("/Users", &search)?,
        ] {
            let page = answer.expect(200)?;
            page.expect_at("/totalResults", &json!(5))?;
            page.expect_at("/startIndex", &json!(start))?;
            page.expect_at("/itemsPerPage", &json!(found))?;
            page.expect_that(page.resources()?.len() == found, "itemsPerPage counts them")?;
        }
    }
    Ok(())
}

/// Ids of resources of every type.
struct Everyone {
    ada: String,
    ben: String,
    group: String,
    /// Of another type; none on a server whose types the run cannot change.
    thing: Option<String>,
}

impl Everyone {
    fn create(s: &Subject) -> Result<Self, Finding> {
        let thing = match s.load_schemas(&resource_type(&json!([{"name": "label"}]))) {
            Ok(()) => Some(s.scim.create(THINGS, &a_thing(&json!({"label": "ada"})))?.id),
            Err(Finding::Skipped(_)) => None,
            Err(other) => return Err(other),
        };
        let ada = s.scim.create("/Users", &full_user("ada@example.com"))?.id;
        let ben = s.scim.create_user("ben@example.com")?.id;
        let group = s.scim.create_group("Ada Lane", &[&ada])?.id;
        Ok(Self { ada, ben, group, thing })
    }

    /// A query at the root, in every form, has to find these and the resource of the other type if
    /// `things` says so.
    fn expect(&self, s: &Subject, filter: &str, ids: &[&String], things: Things) -> Check {
        let mut expected: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        if things == Things::Too {
            expected.extend(self.thing.as_deref());
        }
        let search = if filter.is_empty() { json!({}) } else { json!({"filter": filter}) };
        let query =
            if filter.is_empty() { String::new() } else { format!("?filter={}", encode(filter)) };
        for answer in
            [s.scim.get(&query)?, s.scim.get(&format!("/{query}"))?, s.scim.search("", &search)?]
        {
            let found = answer.expect(200)?;
            found.expect_set(&expected)?;
            found.expect_at("/totalResults", &json!(expected.len()))?;
        }
        Ok(())
    }
}

/// Whether the resource of the other type belongs to a result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Things {
    Too,
    Not,
}

fn q5(s: &Subject) -> Check {
    let all = Everyone::create(s)?;
    let Everyone { ada, ben, group, .. } = &all;
    let is_user = "meta.resourceType eq \"User\"";
    let is_group = "meta.resourceType eq \"Group\"";
    all.expect(s, "", &[ada, ben, group], Things::Too)?;
    all.expect(s, "id pr", &[ada, ben, group], Things::Too)?;
    all.expect(s, is_user, &[ada, ben], Things::Not)?;
    all.expect(s, is_group, &[group], Things::Not)?;
    all.expect(s, &format!("({is_user}) or ({is_group})"), &[ada, ben, group], Things::Not)?;
    all.expect(s, &format!("not ({is_user})"), &[group], Things::Too)?;
    all.expect(s, "meta.resourceType eq \"Nothing\"", &[], Things::Not)?;

    // The resources are those that their own endpoints show, and paging runs over all types.
    let list = s.scim.get("")?.expect(200)?;
    for shown in list.resources()? {
        let location = shown.pointer("/meta/location").and_then(Value::as_str);
        let location = location.ok_or_else(|| list.failed("no meta.location"))?;
        s.scim.follow(location)?.expect(200)?.expect_same(shown)?;
    }
    let ids = list.ids()?;
    let mut walked = Vec::new();
    for start in 1..=ids.len() {
        let page = s.scim.get(&format!("?startIndex={start}&count=1"))?.expect(200)?;
        page.expect_at("/totalResults", &json!(ids.len()))?;
        walked.extend(page.ids()?);
    }
    list.expect_that(walked == ids, &format!("page by page it was {walked:?}"))?;
    Ok(())
}

fn q6(s: &Subject) -> Check {
    let all = Everyone::create(s)?;
    let Everyone { ada, ben, group, thing } = &all;
    all.expect(s, "userName pr", &[ada, ben], Things::Not)?;
    all.expect(s, "not (userName pr)", &[group], Things::Too)?;
    all.expect(s, "userName eq \"ada@example.com\"", &[ada], Things::Not)?;
    all.expect(s, "members pr", &[group], Things::Not)?;
    all.expect(s, "displayName eq \"Ada Lane\"", &[ada, group], Things::Not)?;
    all.expect(s, "members pr or userName sw \"ben\"", &[group, ben], Things::Not)?;
    all.expect(s, "name.familyName eq \"Lane\" and displayName pr", &[ada], Things::Not)?;
    all.expect(s, "emails[type eq \"work\"]", &[ada], Things::Not)?;
    if thing.is_some() {
        all.expect(s, "label eq \"ada\"", &[], Things::Too)?;
        let mixed = format!("{THING}:label pr or userName sw \"ben\"");
        all.expect(s, &mixed, &[ben], Things::Too)?;
    }
    // Without a value means last (§3.4.2.3).
    let sorted = s.scim.get("?sortBy=userName&sortOrder=ascending")?.expect(200)?.ids()?;
    let users_first = sorted.iter().take(2).eq([ada, ben]);
    ensure(users_first, || format!("sorted by userName the root gave {sorted:?}"))
}

/// Rollbook bounds the page.
fn q7(s: &Subject) -> Check {
    let most = most_results(s)?;
    let total = most + 1;
    s.scim.create_users(total)?;
    let bounded = |answer: Answer| {
        if answer.status == 400 {
            return answer.expect_error(400, Some("tooMany")).map(drop);
        }
        let page = answer.expect(200)?;
        page.expect_at("/totalResults", &json!(total))?;
        page.expect_that(page.resources()?.len() <= most, "that is more than maxResults")?;
        page.expect_at("/itemsPerPage", &json!(page.resources()?.len())).map(drop)
    };
    let names = "attributes=userName";
    bounded(s.scim.get(&format!("/Users?{names}"))?)?;
    bounded(s.scim.get(&format!("/Users?{names}&count={total}"))?)?;
    bounded(s.scim.get(&format!("/Users?{names}&filter=userName+pr&count={total}"))?)?;
    bounded(s.scim.get(&format!("?{names}&count={total}"))?)?;
    bounded(s.scim.search("/Users", &json!({"attributes": ["userName"], "count": total}))?)
}

/// `filter.maxResults`, as far as a check can go beyond it.
pub(super) fn most_results(s: &Subject) -> Result<usize, Finding> {
    let config = s.scim.config()?;
    let most = config.at("/filter/maxResults")?.as_u64();
    let most = most.and_then(|most| usize::try_from(most).ok());
    let most = most.ok_or_else(|| config.failed("`filter.maxResults` is no whole number"))?;
    config.expect_that(most > 0, "`filter.maxResults` is 0")?;
    if most > 10_000 {
        return Err(Finding::Skipped("the server allows more results than a check can create"));
    }
    Ok(most)
}

fn q8(s: &Subject) -> Check {
    Everyone::create(s)?;
    let types = s.scim.get("/ResourceTypes")?.expect(200)?;
    let mut endpoints = types.texts("/endpoint")?;
    types.expect_that(endpoints.len() >= 2, "User and Group must be there")?;
    endpoints.push(String::new());
    for endpoint in &endpoints {
        let found = s.scim.search(endpoint, &json!({}))?.expect(200)?;
        found.expect_scim_json()?;
        found.expect_at("/schemas", &json!([LIST_RESPONSE]))?;
        found.expect_that(found.total()? > 0, "something was created there")?;
        found.expect_same(&s.scim.get(endpoint)?.expect(200)?.json)?;

        let filter = "meta.resourceType eq \"User\"";
        let found = s.scim.search(endpoint, &json!({"filter": filter}))?.expect(200)?;
        found.expect_same(&s.scim.filter(endpoint, filter)?.expect(200)?.json)?;
        let users = if ["", "/Users"].contains(&endpoint.as_str()) { 2 } else { 0 };
        found.expect_at("/totalResults", &json!(users))?;
    }
    // It is a query: nothing is created, and other methods are not allowed.
    s.scim.get("/Users/.search")?.expect_error(405, None)?;
    let before = s.scim.get("/Users")?.expect(200)?.total()?;
    s.scim.search("/Users", &json!({"userName": "eve@example.com"}))?.expect(200)?;
    s.scim.get("/Users")?.expect(200)?.expect_at("/totalResults", &json!(before))?;
    Ok(())
}

fn q9(s: &Subject) -> Check {
    search_request(s)?;
    for body in [json!({}), json!({"filter": "userName pr"})] {
        for path in ["/.search", "/Users/.search"] {
            s.scim.post(path, &body)?.expect_error(400, Some("invalidSyntax"))?;
        }
    }
    Ok(())
}

fn q9_default(s: &Subject) -> Check {
    search_request(s)?;
    let found = s.scim.post("/Users/.search", &json!({"filter": "userName eq \"ada\""}))?;
    found.expect(200)?.expect_order("/userName", &["ada"])?;
    Ok(())
}

fn search_request(s: &Subject) -> Check {
    for (name, title) in [("cyd", "b"), ("ada", "b"), ("dan", "a"), ("ben", "b")] {
        s.scim.create("/Users", &with(full_user(name), "title", json!(title)))?;
    }
    let sorted = s.scim.search(
        "/Users",
        &json!({
            "attributes": ["userName", "name.familyName"],
            "filter": "title eq \"b\"",
            "sortBy": "userName",
            "sortOrder": "descending",
            "startIndex": 2,
            "count": 1,
        }),
    )?;
    let sorted = sorted.expect(200)?;
    sorted.expect_contains(&json!({"totalResults": 3, "startIndex": 2, "itemsPerPage": 1}))?;
    sorted.expect_order("/userName", &["ben"])?;
    sorted.expect_members("/Resources/0", &["schemas", "id", "userName", "name"])?;
    sorted.expect_members("/Resources/0/name", &["familyName"])?;
    let without = json!({"excludedAttributes": ["name", "emails"], "sortBy": "userName"});
    let without = s.scim.search("/Users", &without)?.expect(200)?;
    without.expect_order("/userName", &["ada", "ben", "cyd", "dan"])?;
    without.expect_absent("/Resources/0/name")?;
    without.expect_absent("/Resources/0/emails")?;
    without.expect_at("/Resources/0/title", &json!("b"))?;

    for body in [
        json!({"schemas": []}),
        json!({"schemas": [PATCH_OP], "filter": "userName pr"}),
        json!({"schemas": [LIST_RESPONSE]}),
        json!({"schemas": SEARCH_REQUEST}),
    ] {
        for path in ["/.search", "/Users/.search"] {
            s.scim.post(path, &body)?.expect_error(400, Some("invalidSyntax"))?;
        }
    }
    for (members, words) in [
        (json!({"filter": "userName eq"}), &["invalidFilter"][..]),
        (json!({"sortOrder": "upwards", "sortBy": "userName"}), &["invalidValue"]),
        // A member of the wrong type is a wrong value and a request off its schema.
        (json!({"count": "many"}), &["invalidValue", "invalidSyntax"]),
        (json!({"startIndex": 1.5}), &["invalidValue", "invalidSyntax"]),
        (json!({"filter": 7}), &["invalidValue", "invalidSyntax", "invalidFilter"]),
        (json!({"sortBy": ["userName"]}), &["invalidValue", "invalidSyntax"]),
        (json!({"attributes": {"userName": true}}), &["invalidValue", "invalidSyntax"]),
    ] {
        s.scim.search("/Users", &members)?.expect_bad_request(words)?;
    }
    for body in ["", "[]", "{", "7", "null"] {
        let answer = s.scim.send("POST", "/Users/.search", &[], Some(body))?;
        answer.expect_error(400, Some("invalidSyntax"))?;
    }
    Ok(())
}

/// Rollbook answers; `/.search` keeps the value out of the URL, with the same result.
fn q10(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let filter = "emails.value eq \"ada@example.com\"";
    let listed = s.scim.filter("/Users", filter)?;
    match listed.status {
        403 => listed.expect_error(403, Some("sensitive")).map(drop)?,
        _ => listed.expect(200)?.expect_ids(&[&ada.id]).map(drop)?,
    }
    s.scim.search("/Users", &json!({"filter": filter}))?.expect(200)?.expect_ids(&[&ada.id])?;
    // What is never returned must not be found out by asking.
    for filter in ["password eq \"secret\"", "password pr", "password sw \"s\""] {
        s.scim.filter("/Users", filter)?.expect_status(&[400, 403])?;
        s.scim.search("/Users", &json!({"filter": filter}))?.expect_status(&[400, 403])?;
    }
    Ok(())
}

fn q11(s: &Subject) -> Check {
    let gone = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let kept = s.scim.create("/Users", &full_user("ben@example.com"))?;
    let gone_group = s.scim.create_group("Tools", &[&gone.id])?;
    let kept_group = s.scim.create_group("Sales", &[&gone.id, &kept.id])?;
    s.scim.delete(&gone.path)?.expect(204)?;
    s.scim.delete(&gone_group.path)?.expect(204)?;

    let gone_id = format!("id eq \"{}\"", gone.id);
    for (path, filter, expected) in [
        ("/Users", "userName pr", &[&kept.id][..]),
        ("/Users", "userName eq \"ada@example.com\"", &[]),
        ("/Users", &gone_id, &[]),
        ("/Users", "displayName eq \"Ada Lane\"", &[&kept.id]),
        ("/Users", "groups.display eq \"Tools\"", &[]),
        ("/Groups", "displayName pr", &[&kept_group.id]),
        ("/Groups", &format!("members[value eq \"{}\"]", gone.id), &[]),
        ("", "meta.created pr", &[&kept.id, &kept_group.id]),
        ("", &gone_id, &[]),
    ] {
        let expected: Vec<_> = expected.iter().map(|id| id.as_str()).collect();
        s.scim.filter(path, filter)?.expect(200)?.expect_set(&expected)?;
        let search = json!({"filter": filter, "sortBy": "meta.lastModified"});
        s.scim.search(path, &search)?.expect(200)?.expect_set(&expected)?;
    }
    let list = s.scim.get("/Users")?.expect(200)?;
    list.expect_ids(&[&kept.id])?;
    list.expect_at("/totalResults", &json!(1))?;
    s.scim.get("/Groups")?.expect(200)?.expect_nowhere(&gone.id)?;
    Ok(())
}
