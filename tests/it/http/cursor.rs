//! Pages by cursor (RFC 9865).

use std::time::Duration;

use serde_json::json;

use super::device::{BADGE, add_devices, device};
use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, Client, Database, TestApp, group, patch};

on_both_databases![
    pages_are_the_list_forward_and_backward,
    pages_of_everything_are_the_list_forward_and_backward,
    numbers_are_told_apart_to_the_last_digit,
    pages_have_the_members_of_the_rfc,
    walk_with_writes_between_pages_sees_what_stays_once,
    way_back_with_writes_between_pages_sees_what_stays_once,
    page_that_was_emptied_leads_on_without_a_gap,
    foreign_cursors_are_400,
    expired_cursor_is_400,
    count_must_stay_and_must_be_allowed,
    page_of_nothing_shows_the_total,
    cursor_and_start_index_exclude_each_other,
    cursor_belongs_to_the_directory,
    revoked_token_opens_no_cursor,
    total_is_that_of_the_first_page,
    heavy_groups_with_many_members_make_short_pages,
];

/// Users for whom every order has ties and gaps, groups and devices.
fn fill(app: &TestApp) {
    add_devices(app);
    let names = ["Zulu", "alpha", "Ähre", "Mike", "mike", "alpha"];
    for n in 0..23_usize {
        let mut body = plain_user(&format!("{}user{n}", ["b", "A", "ü", "c", "-"][n * 7 % 5]));
        body["active"] = (n % 4 != 0).into();
        body["title"] = format!("title {}", n % 3).into();
        if n % 3 != 0 {
            body["externalId"] = ["x1", "X1", "a", "é"][n % 4].into();
        }
        // What a sloppy client sends: a value that is none.
        if n % 6 == 0 {
            body["externalId"] = ["", " "][n / 6 % 2].into();
        }
        if n % 5 != 0 {
            body["name"] = json!({"familyName": names[n % 6]});
        }
        if n % 2 == 0 {
            body["schemas"] = json!([USER, BADGE]);
            let color = ["red", "Blue", "green"][n % 3];
            body[BADGE] = json!({"color": color});
        }
        let id = create(&app.scim, "/Users", body);
        if n % 4 == 1 {
            app.clock.advance(Duration::from_secs(1));
        }
        if n % 5 == 2 {
            let change = patch(json!([{"op": "add", "path": "nickName", "value": "n"}]));
            app.scim.patch(&format!("/Users/{id}"), change).expect(200);
        }
        if n % 3 == 0 {
            create(&app.scim, "/Groups", group(["Beta", "alpha", "Gamma"][n % 5 % 3], &[&id]));
        }
        if n % 6 == 1 {
            create(&app.scim, "/Devices", device(&format!("d{n}"), n as i64));
        }
    }
}

/// Reads page by page to the end; each page's ids, and the last answer.
#[track_caller]
fn forward(client: &Client, path: &str, count: usize) -> (Vec<Vec<String>>, Answer) {
    let mut pages = Vec::new();
    let mut page = client.get(&format!("{path}&count={count}&cursor=")).expect(200);
    assert_eq!(page.body.get("previousCursor"), None, "{path}");
    loop {
        pages.push(page.ids());
        let Some(next) = page.body["nextCursor"].as_str() else { return (pages, page) };
        page = client.get(&format!("{path}&count={count}&cursor={next}")).expect(200);
        assert!(page.body["previousCursor"].is_string(), "{path}: {}", page.text);
    }
}

/// Reads page by page back to the first; each page's ids, in the order of the list.
#[track_caller]
fn backward(client: &Client, path: &str, count: usize, last: Answer) -> Vec<Vec<String>> {
    let mut pages = vec![last.ids()];
    let mut page = last;
    while let Some(previous) = page.body["previousCursor"].as_str() {
        page = client.get(&format!("{path}&count={count}&cursor={previous}")).expect(200);
        assert!(page.body["nextCursor"].is_string(), "{path}: {}", page.text);
        pages.insert(0, page.ids());
    }
    pages
}

/// The walk in both directions gives the rows of one large page.
#[track_caller]
fn check(client: &Client, path: &str) -> usize {
    let whole = client.get(&format!("{path}&count=1000")).expect(200);
    assert_eq!(whole.total() as usize, whole.ids().len(), "{path}");
    let whole = whole.ids();
    for count in [1, 4, whole.len().max(1), 1000] {
        let (pages, last) = forward(client, path, count);
        let expected: Vec<Vec<String>> = match whole.is_empty() {
            true => vec![Vec::new()],
            false => whole.chunks(count).map(<[String]>::to_vec).collect(),
        };
        assert_eq!(pages, expected, "{path}, {count} a page");
        assert_eq!(backward(client, path, count, last), expected, "{path}, {count} a page, back");
    }
    whole.len()
}

const FILTERS: [(&str, usize); 7] = [
    ("", 23),
    // Decided by the database.
    ("active eq true", 17),
    ("userName sw \"b\" or userName sw \"a\"", 9),
    ("not (externalId eq \"x1\")", 19),
    // Decided by looking at each.
    ("title co \"1\"", 8),
    ("name.familyName eq \"mike\" and active eq true", 4),
    ("userName eq \"nobody\"", 0),
];

fn pages_are_the_list_forward_and_backward(app: &TestApp) {
    fill(app);
    let color = format!("{BADGE}:color");
    for sort in [
        "",
        "id",
        "userName",
        "externalId",
        "meta.created",
        "meta.lastModified",
        "name.familyName",
        "active",
        &color,
    ] {
        for order in ["ascending", "descending"] {
            for (filter, count) in FILTERS {
                let path = format!(
                    "/Users?attributes=id&sortBy={sort}&sortOrder={order}&filter={}",
                    percent_encoding::utf8_percent_encode(
                        filter,
                        percent_encoding::NON_ALPHANUMERIC
                    )
                );
                assert_eq!(check(&app.scim, &path), count, "{path}");
            }
        }
    }
    for path in
        ["/Groups?sortBy=displayName", "/Devices?sortBy=floor", "/Devices?sortBy=externalId"]
    {
        check(&app.scim, path);
        check(&app.scim, &format!("{path}&sortOrder=descending"));
    }
}

fn pages_of_everything_are_the_list_forward_and_backward(app: &TestApp) {
    fill(app);
    for (query, count) in [
        ("", 35),
        ("&sortOrder=descending", 35),
        ("&filter=meta.resourceType+ne+%22User%22", 12),
        ("&filter=externalId+pr", 17),
        ("&filter=displayName+co+%22a%22+or+title+co+%221%22", 16),
        ("&sortBy=meta.created", 35),
        ("&sortBy=displayName&sortOrder=descending", 35),
        ("&sortBy=externalId", 35),
        ("&sortBy=userName&filter=id+pr", 35),
    ] {
        assert_eq!(check(&app.scim, &format!("/?attributes=id{query}")), count, "{query}");
    }
}

fn numbers_are_told_apart_to_the_last_digit(app: &TestApp) {
    add_devices(app);
    let large = 9_007_199_254_740_992;
    for (n, floor) in [3, 1, 2, 0, 4].iter().enumerate() {
        create(&app.scim, "/Devices", device(&format!("d{n}"), large + floor));
    }
    for n in 0..20_i32 {
        let mut body = device(&format!("w{n}"), large + 9);
        body["weight"] = (f64::from(n * 7 % 20) * 1.1e-300 / 3.0).into();
        create(&app.scim, "/Devices", body);
    }
    let list = app.scim.get("/Devices?sortBy=floor&count=5");
    assert_eq!(texts(&list, "serial"), ["d3", "d1", "d2", "d0", "d4"]);
    assert_eq!(check(&app.scim, "/Devices?sortBy=floor"), 25);
    assert_eq!(check(&app.scim, "/Devices?sortBy=weight&filter=weight+pr"), 20);
    assert_eq!(check(&app.scim, "/Devices?sortBy=weight&sortOrder=descending"), 25);
}

fn pages_have_the_members_of_the_rfc(app: &TestApp) {
    for n in 0..5 {
        create(&app.scim, "/Users", plain_user(&format!("user{n}")));
    }
    let names = |answer: &Answer| -> Vec<String> {
        answer.body.as_object().expect("an object").keys().cloned().collect()
    };
    let first = app.scim.get("/Users?cursor&count=2").expect(200);
    let common = ["schemas", "totalResults"];
    let rest = ["nextCursor", "itemsPerPage", "Resources"];
    assert_eq!(names(&first), [&common[..], &rest].concat());
    assert_eq!((first.total(), &first.body["itemsPerPage"]), (5, &json!(2)));
    let next = first.body["nextCursor"].as_str().expect("a cursor");
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    assert!(next.chars().all(unreserved), "{next}");
    let second = app.scim.get(&format!("/Users?CURSOR={next}&Count=2")).expect(200);
    assert_eq!(names(&second), [&common[..], &["previousCursor"], &rest].concat());
    let next = second.body["nextCursor"].as_str().expect("a cursor");
    let third = app.scim.get(&format!("/Users?cursor={next}&count=2")).expect(200);
    assert_eq!(names(&third), [&common[..], &["previousCursor"], &rest[1..]].concat());
    assert_eq!((third.total(), &third.body["itemsPerPage"]), (5, &json!(1)));
    // Where the whole list is one page there is no cursor at all.
    let only = app.scim.get("/Users?cursor=").expect(200);
    assert_eq!(names(&only), [&common[..], &rest[1..]].concat());
    assert_eq!(only.ids().len(), 5);
    let none = app.scim.get("/Groups?cursor=").expect(200);
    assert_eq!(names(&none), [&common[..], &rest[1..]].concat());
    assert_eq!(none.body["Resources"], json!([]));
    // By index nothing has changed.
    assert_eq!(app.scim.get("/Users?count=2").body.get("nextCursor"), None);
}

/// Each sort, and a filter that the database decides and one that it does not.
const WALKS: [&str; 7] = [
    "/Users?sortBy=userName",
    "/Users?sortBy=userName&sortOrder=descending",
    "/Users?sortBy=title",
    "/Users?",
    "/Users?filter=title+co+%22t%22",
    "/Users?sortBy=externalId&sortOrder=descending",
    "/?filter=userName+pr",
];

/// Users `u00` to `u29`, and how each order has them.
fn thirty(app: &TestApp) -> Vec<String> {
    let make = |n: usize| {
        let mut body = plain_user(&format!("u{:02}", n * 7 % 30));
        body["title"] = format!("t{}", n % 4).into();
        if n.is_multiple_of(2) {
            body["externalId"] = format!("x{}", n % 5).into();
        }
        create(&app.scim, "/Users", body)
    };
    (0..30).map(make).collect()
}

/// Every third goes while the list is read, and new ones come everywhere; also the row at which a
/// page ended.
fn walk_with_writes_between_pages_sees_what_stays_once(app: &TestApp) {
    for path in WALKS {
        let ids = thirty(app);
        let whole = app.scim.get(&format!("{path}&count=1000")).ids();
        assert_eq!(whole.len(), 30, "{path}");
        let mut seen: Vec<String> = Vec::new();
        let mut page = app.scim.get(&format!("{path}&count=4&cursor=")).expect(200);
        let mut round = 0;
        loop {
            seen.extend(page.ids());
            let Some(next) = page.body["nextCursor"].as_str() else { break };
            round += 1;
            let busy = round <= 5;
            for at in [(seen.len() + 29) % 30, (seen.len() + 1) % 30, round * 11 % 30] {
                if busy {
                    app.scim.delete(&format!("/Users/{}", whole[at]));
                }
            }
            for name in ["u00a", "u13a", "u29a"].iter().filter(|_| busy) {
                let mut body = plain_user(&format!("{name}{round}"));
                body["title"] = "t2".into();
                create(&app.scim, "/Users", body);
            }
            page = app.scim.get(&format!("{path}&count=4&cursor={next}")).expect(200);
        }
        assert_seen(app, path, &whole, &seen);
        remove_all(app);
        assert_eq!(ids.len(), 30);
    }
}

fn way_back_with_writes_between_pages_sees_what_stays_once(app: &TestApp) {
    for path in WALKS {
        thirty(app);
        let whole = app.scim.get(&format!("{path}&count=1000")).ids();
        let (_, mut page) = forward(&app.scim, path, 4);
        let mut seen: Vec<String> = Vec::new();
        let mut round = 0;
        loop {
            seen.splice(0..0, page.ids());
            let Some(previous) = page.body["previousCursor"].as_str() else { break };
            round += 1;
            for at in [29_usize.saturating_sub(seen.len()), round * 11 % 30] {
                app.scim.delete(&format!("/Users/{}", whole[at]));
            }
            create(&app.scim, "/Users", plain_user(&format!("u1{round}a")));
            page = app.scim.get(&format!("{path}&count=4&cursor={previous}")).expect(200);
        }
        assert_seen(app, path, &whole, &seen);
        remove_all(app);
    }
}

/// Nothing twice, and everything that was there all the time, in order.
#[track_caller]
fn assert_seen(app: &TestApp, path: &str, whole: &[String], seen: &[String]) {
    let mut once = seen.to_vec();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "{path}: nothing twice");
    let there = app.scim.get("/Users?count=1000&attributes=id").ids();
    let stayed: Vec<&String> = whole.iter().filter(|id| there.contains(id)).collect();
    let found: Vec<&String> = seen.iter().filter(|id| stayed.contains(id)).collect();
    assert!(stayed.len() > 5, "{path}");
    assert_eq!(found, stayed, "{path}: nothing skipped");
}

fn remove_all(app: &TestApp) {
    for id in app.scim.get("/Users?count=1000&attributes=id").ids() {
        app.scim.delete(&format!("/Users/{id}")).expect(204);
    }
}

/// Everything before, or behind, the page that the client has goes; the empty page it finds leads
/// back to what it had.
fn page_that_was_emptied_leads_on_without_a_gap(app: &TestApp) {
    for path in WALKS {
        thirty(app);
        let whole = app.scim.get(&format!("{path}&count=1000")).ids();
        let get =
            |cursor: &str| app.scim.get(&format!("{path}&count=4&cursor={cursor}")).expect(200);
        let cursor = |page: &Answer, name: &str| page.body[name].as_str().map(str::to_owned);
        let first = get("");
        let second = get(&cursor(&first, "nextCursor").expect("a cursor"));
        for id in &whole[..4] {
            app.scim.delete(&format!("/Users/{id}")).expect(204);
        }
        let empty = get(&cursor(&second, "previousCursor").expect("a cursor"));
        assert_eq!((empty.ids(), cursor(&empty, "previousCursor")), (vec![], None), "{path}");
        let again = get(&cursor(&empty, "nextCursor").expect("a cursor"));
        assert_eq!(again.ids(), second.ids(), "{path}");
        assert_eq!(cursor(&again, "previousCursor"), None, "{path}: it is the first page now");

        for id in &whole[8..] {
            app.scim.delete(&format!("/Users/{id}")).expect(204);
        }
        let empty = get(&cursor(&second, "nextCursor").expect("a cursor"));
        assert_eq!((empty.ids(), cursor(&empty, "nextCursor")), (vec![], None), "{path}");
        let again = get(&cursor(&empty, "previousCursor").expect("a cursor"));
        assert_eq!(again.ids(), second.ids(), "{path}");
        assert_eq!(cursor(&again, "nextCursor"), None, "{path}: it is the last page now");
        remove_all(app);
    }
}

fn foreign_cursors_are_400(app: &TestApp) {
    fill(app);
    let made = |client: &Client, path: &str| {
        let page = client.get(&format!("{path}&count=2&cursor=")).expect(200);
        page.body["nextCursor"].as_str().expect("a cursor").to_owned()
    };
    let own = made(&app.scim, "/Users?");
    let (_, other) = app.directory("scim.generic");
    for n in 0..3 {
        create(&other, "/Users", plain_user(&format!("u{n}")));
    }
    let mut forged = own.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    let cursors = [
        ("of another directory", made(&other, "/Users?")),
        ("of another filter", made(&app.scim, "/Users?filter=active+eq+true")),
        ("of another sort", made(&app.scim, "/Users?sortBy=userName")),
        ("of another order", made(&app.scim, "/Users?sortOrder=descending")),
        ("of another projection", made(&app.scim, "/Users?attributes=userName")),
        ("of another exclusion", made(&app.scim, "/Users?excludedAttributes=userName")),
        ("of another type", made(&app.scim, "/Groups?")),
        ("of every type", made(&app.scim, "/?")),
        ("cut", own[..own.len() - 1].to_owned()),
        ("cut to nearly nothing", own[..3].to_owned()),
        ("longer", format!("{own}A")),
        ("forged", String::from_utf8(forged).expect("ASCII")),
        ("no cursor", "abc".to_owned()),
        ("blank", "%20".to_owned()),
        ("not text of ours", "%C3%A9%2B%2F%3D".to_owned()),
        ("very long", "A".repeat(6_000)),
    ];
    for (name, cursor) in cursors {
        let answer = app.scim.get(&format!("/Users?count=2&cursor={cursor}"));
        let detail = answer.expect_scim_error(400, Some("invalidCursor"));
        assert!(detail.contains("\"cursor\""), "{name}: {detail}");
    }
    app.scim.get(&format!("/Users?count=2&cursor={own}")).expect(200);
    // Other spellings of the same query are the same query.
    let spelt = made(&app.scim, "/Users?filter=active+eq+true");
    let same = "/Users?FILTER=%28active%20EQ%20true%29";
    app.scim.get(&format!("{same}&count=2&cursor={spelt}")).expect(200);
}

fn expired_cursor_is_400(app: &TestApp) {
    fill(app);
    let config = app.scim.get("/ServiceProviderConfig").expect(200).body["pagination"].clone();
    let timeout = config["cursorTimeout"].as_u64().expect("seconds");
    let page = app.scim.get("/Users?count=2&cursor=").expect(200);
    let next = page.body["nextCursor"].as_str().expect("a cursor");
    let path = format!("/Users?count=2&cursor={next}");
    app.clock.advance(Duration::from_millis(timeout * 1_000 - 1));
    let page = app.scim.get(&path).expect(200);
    app.clock.advance(Duration::from_millis(1));
    let detail = app.scim.get(&path).expect_scim_error(400, Some("expiredCursor"));
    assert!(detail.contains(&timeout.to_string()), "{detail}");
    // A cursor lives from the page on that gave it.
    let next = page.body["nextCursor"].as_str().expect("a cursor");
    app.scim.get(&format!("/Users?count=2&cursor={next}")).expect(200);
}

fn count_must_stay_and_must_be_allowed(app: &TestApp) {
    fill(app);
    let page = app.scim.get("/Users?count=2&cursor=").expect(200);
    let next = page.body["nextCursor"].as_str().expect("a cursor");
    for (query, words) in [
        (format!("count=3&cursor={next}"), ["3", "2"]),
        (format!("cursor={next}"), ["100", "2"]),
        (format!("count=0&cursor={next}"), ["0", "2"]),
        (format!("count=-5&cursor={next}"), ["0", "2"]),
        ("count=1001&cursor=".into(), ["1001", "1000"]),
        (format!("count=1001&cursor={next}"), ["1001", "1000"]),
        ("count=99999999999999999999&cursor=".into(), ["count", "1000"]),
    ] {
        let answer = app.scim.get(&format!("/Users?{query}"));
        let detail = answer.expect_scim_error(400, Some("invalidCount"));
        assert!(words.iter().all(|word| detail.contains(word)), "{query}: {detail}");
    }
    let wrong = app.scim.get("/Users?count=x&cursor=");
    wrong.expect_scim_error(400, Some("invalidValue"));
    app.scim.get("/Users?count=1000&cursor=").expect(200);
    // By index a count is only cut.
    assert_eq!(app.scim.get("/Users?count=1001").ids().len(), 23);
    // The default counts as if it had been sent.
    let (_, other) = app.directory("scim.generic");
    for n in 0..101 {
        create(&other, "/Users", plain_user(&format!("u{n}")));
    }
    let page = other.get("/Users?cursor=").expect(200);
    assert_eq!(page.ids().len(), 100);
    let next = page.body["nextCursor"].as_str().expect("a cursor");
    assert_eq!(other.get(&format!("/Users?count=100&cursor={next}")).ids().len(), 1);
    assert_eq!(other.get(&format!("/Users?cursor={next}")).ids().len(), 1);
}

/// "A negative value SHALL be interpreted as 0", in every profile.
fn page_of_nothing_shows_the_total(app: &TestApp) {
    fill(app);
    for query in ["", "&filter=title+co+%221%22", "&sortBy=externalId", "&sortBy=title"] {
        for count in ["0", "-1", "-99"] {
            let page = app.scim.get(&format!("/Users?count={count}&cursor={query}")).expect(200);
            assert_eq!(page.total(), if query.contains("filter") { 8 } else { 23 }, "{query}");
            assert_eq!((page.ids(), &page.body["itemsPerPage"]), (vec![], &json!(0)));
            for name in ["nextCursor", "previousCursor", "startIndex"] {
                assert_eq!(page.body.get(name), None, "{query}");
            }
        }
    }
}

fn cursor_and_start_index_exclude_each_other(app: &TestApp) {
    for query in ["cursor=&startIndex=1", "startIndex=2&cursor", "cursor=abc&startIndex=1"] {
        let answer = app.scim.get(&format!("/Users?{query}"));
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("startIndex") && detail.contains("cursor"), "{detail}");
    }
    app.scim.get("/Users?cursor=&startIndex=").expect(200);
}

#[track_caller]
fn new_token(app: &TestApp) -> (String, Client) {
    let path = format!("/api/v1/directories/{}/tokens", app.directory.id);
    let token = app.api.post(&path, json!({"scope": "read"})).expect(201);
    (token.id(), app.scim.with_bearer(token.body["secret"].as_str()))
}

fn cursor_belongs_to_the_directory(app: &TestApp) {
    fill(app);
    let whole = app.scim.get("/Users").ids();
    let page = app.scim.get("/Users?count=2&cursor=").expect(200);
    let next = page.body["nextCursor"].as_str().expect("a cursor");
    let path = format!("/Users?count=2&cursor={next}");
    let (_, reader) = new_token(app);
    assert_eq!(reader.get(&path).ids(), whole[2..4]);
    assert_eq!(app.scim.send("HEAD", &path, &[], None).expect(200).text, "");
    // It can be used as often as one likes.
    assert_eq!(app.scim.get(&path).ids(), whole[2..4]);
}

fn revoked_token_opens_no_cursor(app: &TestApp) {
    fill(app);
    let (id, reader) = new_token(app);
    let page = reader.get("/Users?count=2&cursor=").expect(200);
    let next = page.body["nextCursor"].as_str().expect("a cursor");
    let token = format!("/api/v1/directories/{}/tokens/{id}", app.directory.id);
    app.api.delete(&token).expect(204);
    reader.get(&format!("/Users?count=2&cursor={next}")).expect_scim_error(401, None);
    app.scim.get(&format!("/Users?count=2&cursor={next}")).expect(200);
}

/// Counting all matches again for each page would cost more than the page.
fn total_is_that_of_the_first_page(app: &TestApp) {
    fill(app);
    for query in ["", "&filter=title+co+%22t%22", "&sortBy=title"] {
        let page = app.scim.get(&format!("/Users?count=2&cursor={query}")).expect(200);
        let total = page.total();
        let extra = create(&app.scim, "/Users", plain_user("zz"));
        let next = page.body["nextCursor"].as_str().expect("a cursor");
        let page = app.scim.get(&format!("/Users?count=2&cursor={next}{query}")).expect(200);
        assert_eq!(page.total(), total, "{query}");
        app.scim.delete(&format!("/Users/{extra}")).expect(204);
    }
}

/// A page ends after some ten thousands of members; whichever way one goes, every group is on one.
fn heavy_groups_with_many_members_make_short_pages(app: &TestApp) {
    let inner: Vec<String> =
        (0..1_000).map(|n| create(&app.scim, "/Groups", group(&format!("i{n}"), &[]))).collect();
    let members: Vec<&str> = inner.iter().map(String::as_str).collect();
    for n in 0..120 {
        create(&app.scim, "/Groups", group(&format!("large{n:03}"), &members));
    }
    let path = "/Groups?filter=displayName+sw+%22large%22";
    let whole = app.scim.get(&format!("{path}&count=1000&excludedAttributes=members")).ids();
    assert_eq!(whole.len(), 120);
    let (pages, last) = forward(&app.scim, path, 100);
    assert!(pages.len() > 2 && pages.iter().all(|page| page.len() < 100), "{}", pages.len());
    assert_eq!(pages.concat(), whole);
    let back = backward(&app.scim, path, 100, last);
    assert_eq!(back.concat(), whole);
    assert!(back.len() > 2, "{}", back.len());
    // By index a page that is shorter than asked for says so.
    let (mut seen, mut pages) = (Vec::new(), 0);
    while seen.len() < whole.len() {
        let page = app.scim.get(&format!("{path}&count=100&startIndex={}", seen.len() + 1));
        assert_eq!(page.body["itemsPerPage"], page.ids().len());
        seen.extend(page.ids());
        pages += 1;
    }
    assert_eq!(seen, whole);
    assert!(pages > 2, "{pages}");
}

/// A server that starts again on the same data opens the cursors of the one before.
mod cursors_outlive_a_restart {
    use super::*;

    fn check(database: Database) {
        let mut app = TestApp::start(database);
        for n in 0..5 {
            create(&app.scim, "/Users", plain_user(&format!("user{n}")));
        }
        let page = app.scim.get("/Users?count=2&cursor=").expect(200);
        let next = page.body["nextCursor"].as_str().expect("a cursor").to_owned();
        let expected = app.scim.get("/Users?startIndex=3&count=2").ids();
        let (token, key) = (app.directory.token.clone(), app.directory.external_key.clone());
        let database = std::mem::replace(&mut app.database, Database::sqlite());
        drop(app);
        let app = TestApp::start(database);
        let base = format!("{}/scim/v2/{key}", app.url);
        let scim = Client::new(&base, &token, "application/scim+json");
        assert_eq!(scim.get(&format!("/Users?count=2&cursor={next}")).ids(), expected);
    }

    #[test]
    fn sqlite() {
        check(Database::sqlite());
    }

    #[test]
    fn postgres() {
        check(Database::postgres());
    }
}
