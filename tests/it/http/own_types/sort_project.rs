//! Order, pages and projection.

use serde_json::{Value, json};

use super::{ASSET, LAB, TEST, encode, full, full_shown, load, merge, plain, with};
use crate::http::{create, texts};
use crate::on_both_databases;
use crate::support::{TestApp, patch};

on_both_databases![
    sort_orders_by_every_type,
    sorted_and_filtered_pages_walk_through_everything_once,
    attributes_show_only_what_they_name,
    excluded_attributes_hide_what_they_name,
    values_returned_on_request_are_shown_when_named_or_written,
];

/// `a`, `b`, `c` in this order by each attribute, made in another order; `d` has no values.
fn make_sortable(app: &TestApp) {
    load(app);
    create(&app.scim, "/TestResources", plain("d"));
    for (name, code, flag, number, day, letter, blob) in [
        ("c", "b", true, 10, 3, "Ü", "w"),
        ("a", "A", false, -2, 1, "ä", "Q"),
        ("b", "a", true, 9, 2, "T", "g"),
    ] {
        let body = with(
            name,
            json!({
                "code": code,
                "flag": flag,
                "count": number,
                "ratio": f64::from(number) / 4.0,
                "since": format!("2021-01-0{day}T00:00:00+0{day}:00"),
                "blob": format!("A{blob}=="),
                "page": format!("urn:x:{day}"),
                "tags": [letter, "0"],
                "scores": [number, 100],
                "address": {"city": format!("c{day}")},
                "contacts": [
                    {"value": format!("x{}", 9 - day)},
                    {"value": format!("y{day}"), "rank": number, "primary": true},
                ],
                "note": format!("n{day}"),
                ASSET: {"tag": format!("t{day}"), "slot": {"row": number}},
                LAB: {"rooms": [number], "opened": format!("200{day}-01-01T00:00:00Z")},
            }),
        );
        create(&app.scim, "/TestResources", body);
    }
}

fn sort_orders_by_every_type(app: &TestApp) {
    make_sortable(app);
    let ext = |urn: &str, name: &str| format!("{urn}:{name}");
    let (tag, row) = (ext(ASSET, "tag"), ext(ASSET, "slot.row"));
    let (rooms, opened) = (ext(LAB, "rooms"), ext(LAB, "opened"));
    for attribute in [
        "code",
        "count",
        "ratio",
        "since",
        "blob",
        "page",
        "scores",
        "address.city",
        "contacts",
        "contacts.value",
        "contacts.rank",
        "note",
        row.as_str(),
        rooms.as_str(),
        opened.as_str(),
    ] {
        let path = format!("/TestResources?sortBy={attribute}");
        let list = app.scim.get(&path);
        assert_eq!(texts(&list, "name"), ["a", "b", "c", "d"], "{attribute}");
        let list = app.scim.get(&format!("{path}&sortOrder=descending"));
        assert_eq!(texts(&list, "name"), ["d", "c", "b", "a"], "{attribute} descending");
    }
    for (attribute, order) in [
        ("NAME", ["a", "b", "c", "d"]),
        (tag.as_str(), ["a", "b", "c", "d"]),
        ("flag", ["a", "c", "b", "d"]),
        ("tags", ["b", "a", "c", "d"]),
        // No value to order by, and no order at all: as they were made.
        ("level", ["d", "c", "a", "b"]),
        ("address", ["d", "c", "a", "b"]),
        ("hat", ["d", "c", "a", "b"]),
    ] {
        let list = app.scim.get(&format!("/TestResources?sortBy={attribute}"));
        assert_eq!(texts(&list, "name"), order, "{attribute}");
    }
}

fn sorted_and_filtered_pages_walk_through_everything_once(app: &TestApp) {
    make_sortable(app);
    for (query, expected) in [
        ("sortBy=count", vec!["a", "b", "c", "d"]),
        ("filter=count%20pr&sortBy=since&sortOrder=descending", vec!["c", "b", "a"]),
        ("filter=count%20lt%2010", vec!["a", "b"]),
        ("filter=tags%20eq%20%220%22", vec!["c", "a", "b"]),
    ] {
        let mut seen = Vec::new();
        for start in 1..=expected.len() {
            let path = format!("/TestResources?{query}&startIndex={start}&count=1");
            let list = app.scim.get(&path);
            assert_eq!(list.total(), u64::try_from(expected.len()).expect("few"), "{query}");
            seen.extend(texts(&list, "name"));
        }
        assert_eq!(seen, expected, "{query}");
    }
}

/// What is in every answer about [`full`].
fn always(id: &str, more: Value) -> Value {
    let mut body = json!({"schemas": [TEST, ASSET, LAB], "id": id, "label": "Label"});
    merge(&mut body, more);
    body
}

fn attributes_show_only_what_they_name(app: &TestApp) {
    load(app);
    let id = create(&app.scim, "/TestResources", full("one"));
    let lab = |more: Value| json!({LAB: more});
    let opened = "2019-01-01T00:00:00Z";
    let tag = format!("{ASSET}:tag");
    let row = format!("{ASSET}:slot.row");
    let hint = format!("{LAB}:hint");
    let key = format!("{LAB}:key");
    for (names, shown) in [
        ("name", json!({"name": "one"})),
        ("NAME,count", json!({"name": "one", "count": 42})),
        (&format!("{TEST}:flag"), json!({"flag": true})),
        ("tags", json!({"tags": ["One", "two"]})),
        ("address.city", json!({"address": {"city": "Bern"}})),
        ("address", json!({"address": {"street": "Long Street 1", "city": "Bern", "plot": "P1"}})),
        ("address.door", json!({"address": {"door": "D1"}})),
        (
            "address,address.door",
            json!({"address": {
                "street": "Long Street 1", "city": "Bern", "plot": "P1", "door": "D1",
            }}),
        ),
        ("contacts.rank", json!({"contacts": [{"rank": 1}, {"rank": 2}]})),
        ("contacts.$ref", json!({"contacts": [{"$ref": "../Users/1"}]})),
        ("note", json!({"note": "Note"})),
        (&tag, json!({ASSET: {"tag": "tag-one"}})),
        (&row, json!({ASSET: {"slot": {"row": 1}}})),
        (LAB, lab(json!({"rooms": [1, 2], "opened": opened, "hint": "Hint"}))),
        (&hint, lab(json!({"hint": "Hint"}))),
        ("secret,pin,address.lock,level", json!({})),
        (&key, json!({})),
        ("hat", json!({})),
    ] {
        let path = format!("/TestResources/{id}?attributes={}", encode(names));
        let one = app.scim.get(&path).expect(200);
        assert_eq!(one.body, always(&id, shown), "{names}");
        let path = format!("/TestResources?attributes={}", encode(names));
        let list = app.scim.get(&path).expect(200);
        assert_eq!(list.body["Resources"], json!([one.body]), "{names}");
    }
}

fn excluded_attributes_hide_what_they_name(app: &TestApp) {
    load(app);
    let made = app.scim.post("/TestResources", full("one")).expect(201);
    let id = made.id();
    let plain = app.scim.get(&format!("/TestResources/{id}")).expect(200);
    let room = format!("{LAB}:rooms");
    for (names, pointer, left) in [
        ("name", "/name", json!(null)),
        ("label,id,schemas", "", plain.body.clone()),
        ("address.city", "/address", json!({"street": "Long Street 1", "plot": "P1"})),
        ("CONTACTS", "/contacts", json!(null)),
        (
            "contacts.value,contacts.$ref,contacts.primary",
            "/contacts",
            json!([
                {"type": "work", "rank": 1}, {"type": "home", "rank": 2},
            ]),
        ),
        ("note,pin,secret", "", plain.body.clone()),
        (&room, &format!("/{LAB}"), json!({"opened": "2019-01-01T00:00:00Z"})),
        (ASSET, &format!("/{ASSET}"), json!(null)),
    ] {
        let path = format!("/TestResources/{id}?excludedAttributes={}", encode(names));
        let one = app.scim.get(&path).expect(200);
        let found = one.body.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(found, left, "{names}");
        let path = format!("/TestResources?excludedAttributes={}", encode(names));
        let list = app.scim.get(&path).expect(200);
        assert_eq!(list.body["Resources"], json!([one.body]), "{names}");
    }
}

/// RFC 7643 §7, `returned`: "request".
fn values_returned_on_request_are_shown_when_named_or_written(app: &TestApp) {
    load(app);
    let shown = |body: &Value| {
        let lab = &body[LAB]["hint"];
        (body["note"].clone(), body["address"]["door"].clone(), lab.clone())
    };
    let none = || (json!(null), json!(null), json!(null));
    let all = || (json!("Note"), json!("D1"), json!("Hint"));
    let made = app.scim.post("/TestResources", full("one")).expect(201);
    assert_eq!(shown(&made.body), all());
    let path = format!("/TestResources/{}", made.id());
    assert_eq!(shown(&app.scim.get(&path).expect(200).body), none());
    assert_eq!(shown(&app.scim.get("/TestResources").body["Resources"][0]), none());
    assert_eq!(shown(&app.scim.put(&path, full("one")).expect(200).body), all());
    // Kept, because a client cannot have seen them; not written, so not shown.
    let kept = app.scim.put(&path, full_shown("one")).expect(200);
    assert_eq!(shown(&kept.body), none());
    let names = format!("attributes=note,address.door,{LAB}:hint");
    assert_eq!(shown(&app.scim.get(&format!("{path}?{names}")).expect(200).body), all());
    let hint = format!("{LAB}:hint");
    for (operation, expected) in [
        (json!({"op": "add", "path": "count", "value": 1}), none()),
        (
            json!({"op": "add", "path": "note", "value": "Note"}),
            (json!("Note"), json!(null), json!(null)),
        ),
        (
            json!({"op": "add", "value": {"address": {"door": "D1"}}}),
            (json!(null), json!("D1"), json!(null)),
        ),
        (
            json!({"op": "add", "path": hint, "value": "Hint"}),
            (json!(null), json!(null), json!("Hint")),
        ),
        (json!({"op": "remove", "path": "note"}), none()),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation]))).expect(200);
        assert_eq!(shown(&answer.body), expected, "{operation}");
    }
    let only = app.scim.put(&format!("{path}?attributes=name"), full("one")).expect(200);
    assert_eq!(shown(&only.body), none());
    let without = app.scim.put(&format!("{path}?excludedAttributes=note"), full("one"));
    assert_eq!(shown(&without.expect(200).body), (json!(null), json!("D1"), json!("Hint")));
}
