//! The strict profile, beside the RFC's and the default one: what each makes of the same request.

use serde_json::{Value, json};

use super::{USER, create, plain_user, texts};
use crate::on_both_databases;
use crate::support::{Answer, Client, ENTERPRISE, TestApp, group, patch};

on_both_databases![
    config_says_that_the_interop_profile_is_followed,
    operation_without_a_path_is_refused_by_strict,
    unknown_attributes_in_bodies_are_refused_by_strict_only,
    unknown_names_in_values_of_a_patch_are_refused_by_strict_only,
    unknown_schemas_are_refused_by_rfc_and_strict,
    unknown_patch_path_is_skipped_or_refused,
    unknown_names_in_queries,
    replace_of_a_complex_attribute_is_whole_in_strict,
    add_is_replace_for_a_simple_attribute,
    whole_element_is_refused_by_strict_except_for_removing_it,
    filter_that_matches_several_values_is_refused_by_strict,
    members_of_a_strict_group,
    conditional_headers_are_refused_by_strict,
    deleted_resource_is_gone_and_its_names_are_free,
    strict_refuses_the_leniences_of_the_default_profile,
    id_is_read_only_in_a_path_and_ignored_in_a_value,
    duplicates_are_stored_once,
    page_of_a_hundred_is_served,
    early_schema_names_in_patch_paths,
    references_in_two_versions_of_the_protocol_are_one,
    unique_reference_is_taken_in_every_version_of_the_protocol,
];

/// Directories of the default, the RFC's and the strict profile, and how each answers.
struct Three {
    default: Client,
    rfc: Client,
    strict: Client,
}

impl Three {
    fn of(app: &TestApp) -> Self {
        Self {
            default: app.scim.clone(),
            rfc: app.directory("scim.rfc").1,
            strict: app.directory("scim.strict").1,
        }
    }

    fn all(&self) -> [(&'static str, &Client); 3] {
        [("default", &self.default), ("rfc", &self.rfc), ("strict", &self.strict)]
    }
}

fn bob() -> Value {
    json!({
        "schemas": [USER],
        "userName": "bob",
        "name": {"givenName": "Bob", "familyName": "Hill"},
        "active": true,
        "emails": [
            {"value": "b@w.example", "type": "work"},
            {"value": "b@h.example", "type": "home"}
        ],
    })
}

fn one(op: &str, path: &str, value: Value) -> Value {
    patch(json!([{"op": op, "path": path, "value": value}]))
}

/// Fails the test unless the request is refused with that word and the resource is as it was.
#[track_caller]
fn refused(client: &Client, path: &str, body: &Value, scim_type: &str) -> String {
    let before = client.get(path).expect(200).text;
    let detail = client.patch(path, body.clone()).expect_scim_error(400, Some(scim_type));
    assert_eq!(client.get(path).expect(200).text, before, "{body}");
    detail
}

fn set_profile(app: &TestApp, id: &str, profile: Value) {
    let path = format!("/api/v1/directories/{id}");
    app.api.patch(&path, json!({"settings": {"profile": profile}})).expect(200);
}

fn config_says_that_the_interop_profile_is_followed(app: &TestApp) {
    const CONFIG: &str = "/ServiceProviderConfig";
    let facts = |answer: Answer| {
        let body = answer.expect(200).body;
        (body.get("interopProfileConformant").cloned(), body["etag"]["supported"] == true)
    };
    for kind in ["scim.generic", "scim.rfc", "scim.entra"] {
        assert_eq!(facts(app.directory(kind).1.get(CONFIG)), (None, true), "{kind}");
    }
    let (directory, strict) = app.directory("scim.strict");
    assert_eq!(facts(strict.get(CONFIG)), (Some(json!(true)), false));
    // Without a token no directory is known.
    assert_eq!(facts(strict.with_bearer(None).get(CONFIG)), (None, true));
    set_profile(app, &directory.id, json!({"conditional_headers": "accept"}));
    assert_eq!(facts(strict.get(CONFIG)), (Some(json!(true)), true));
    set_profile(app, &directory.id, json!({"patch_without_path": "accept"}));
    assert_eq!(facts(strict.get(CONFIG)), (None, false));
    for resource_type in strict.get("/ResourceTypes").body["Resources"].as_array().expect("a list")
    {
        assert_eq!(resource_type["id"], resource_type["name"]);
    }
}

fn operation_without_a_path_is_refused_by_strict(app: &TestApp) {
    let three = Three::of(app);
    for (name, client) in three.all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        for op in ["add", "replace"] {
            let title = json!({"op": op, "path": "title", "value": "Dr"});
            let without = json!({"op": op, "value": {"title": op}});
            let body = patch(json!([title, without]));
            if name == "strict" {
                let detail = refused(client, &path, &body, "invalidSyntax");
                assert!(
                    detail.contains("Operations[1]") && detail.contains("\"path\""),
                    "{detail}"
                );
            } else {
                assert_eq!(client.patch(&path, body).expect(200).body["title"], op, "{name}");
            }
        }
        let remove = patch(json!([{"op": "remove"}]));
        let scim_type = if name == "strict" { "invalidSyntax" } else { "noTarget" };
        refused(client, &path, &remove, scim_type);
    }
    let group_path = format!("/Groups/{}", create(&three.strict, "/Groups", group("Staff", &[])));
    let members = patch(json!([{"op": "add", "value": {"members": []}}]));
    refused(&three.strict, &group_path, &members, "invalidSyntax");
}

fn unknown_attributes_in_bodies_are_refused_by_strict_only(app: &TestApp) {
    let three = Three::of(app);
    for (index, (more, named)) in [
        (json!({"shoeSize": 44}), "shoeSize"),
        (json!({"urn:example:2.0:Extra": {"a": 1}}), "urn:example:2.0:Extra"),
        (json!({ENTERPRISE: {"desk": 5, "department": "D"}}), "desk"),
        (json!({"name": {"nick": "B"}}), "name.nick"),
        (json!({"emails": [{"value": "a@x.org", "colour": "red"}]}), "emails.colour"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = plain_user(&format!("user{index}"));
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        for (name, client) in three.all() {
            if name == "strict" {
                let answer = client.post("/Users", body.clone());
                let detail = answer.expect_scim_error(400, Some("invalidSyntax"));
                assert!(detail.contains(named), "{detail}");
                let made = client.post("/Users", plain_user(&format!("user{index}"))).expect(201);
                let path = format!("/Users/{}", made.id());
                let answer = client.put(&path, body.clone());
                answer.expect_scim_error(400, Some("invalidSyntax"));
                assert_eq!(client.get(&path).text, made.text);
                continue;
            }
            let made = client.post("/Users", body.clone()).expect(201);
            client.put(&format!("/Users/{}", made.id()), body.clone()).expect(200);
            let word = named.rsplit(['.', ':']).next().expect("a name");
            assert!(!made.text.contains(&format!("\"{word}\"")), "{name}: {}", made.text);
        }
    }
    let mut body = group("Staff", &[]);
    body["members"] = json!([{"value": create(&three.strict, "/Users", bob()), "colour": "red"}]);
    let answer = three.strict.post("/Groups", body);
    let detail = answer.expect_scim_error(400, Some("invalidSyntax"));
    assert!(detail.contains("members.colour"), "{detail}");
    assert_eq!(three.strict.get("/Groups").total(), 0);
}

fn unknown_names_in_values_of_a_patch_are_refused_by_strict_only(app: &TestApp) {
    let three = Three::of(app);
    for (name, client) in three.all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        for (body, named) in [
            (one("add", ENTERPRISE, json!({"desk": 5, "department": "D"})), "desk"),
            (one("replace", "name", json!({"nick": "B"})), "name.nick"),
            (one("add", "emails", json!([{"value": "x", "colour": "red"}])), "emails.colour"),
        ] {
            if name == "strict" {
                let detail = refused(client, &path, &body, "invalidSyntax");
                assert!(detail.contains(named), "{detail}");
            } else {
                client.patch(&path, body).expect(200);
            }
        }
        // Names that no path could have are attributes that nobody knows.
        for key in [
            "shoeSize",
            "shoe size",
            "emails[type eq",
            "/title",
            "urn:example:2.0:Extra",
            "a\u{0}b",
            "",
        ] {
            let value = json!({key: 44, "active": false});
            let body = patch(json!([{"op": "replace", "value": value}]));
            if name == "strict" {
                refused(client, &path, &body, "invalidSyntax");
            } else {
                let answer = client.patch(&path, body).expect(200);
                assert_eq!(answer.body["active"], false, "{name} {key}");
                client.patch(&path, one("replace", "active", json!(true))).expect(200);
            }
        }
    }
}

fn unknown_schemas_are_refused_by_rfc_and_strict(app: &TestApp) {
    const EXTRA: &str = "urn:example:2.0:Extra";
    let three = Three::of(app);
    for (name, client) in three.all() {
        let made = client.post("/Users", bob()).expect(201);
        let path = format!("/Users/{}", made.id());
        let mut body = bob();
        body["schemas"] = json!([USER, EXTRA]);
        let answers = [
            client.put(&path, body.clone()),
            client.patch(&path, one("add", "schemas", json!([EXTRA]))),
            {
                body["userName"] = json!("ada");
                client.post("/Users", body)
            },
        ];
        for answer in answers {
            if name == "default" {
                assert!(answer.status < 300, "{}", answer.text);
                assert_eq!(answer.body["schemas"], json!([USER]));
            } else {
                let detail = answer.expect_scim_error(400, Some("invalidValue"));
                assert!(detail.contains(EXTRA) && detail.contains(ENTERPRISE), "{detail}");
            }
        }
        let shown = client.get(&path).expect(200);
        assert_eq!(shown.body["schemas"], json!([USER]));
    }
}

fn unknown_patch_path_is_skipped_or_refused(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        for unknown in ["shoeSize", "urn:example:2.0:Extra:size", "emails[type eq \"work\"].colour"]
        {
            let body = patch(json!([
                {"op": "add", "path": unknown, "value": 44},
                {"op": "replace", "path": "active", "value": false}
            ]));
            if name == "default" {
                assert_eq!(client.patch(&path, body).expect(200).body["active"], false);
            } else {
                refused(client, &path, &body, "invalidPath");
                assert_eq!(client.get(&path).body["active"], true);
            }
        }
        refused(client, &path, &one("add", "shoe size", json!(44)), "invalidPath");
    }
}

fn unknown_names_in_queries(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        let ids: Vec<String> = ["b", "a", "c"]
            .map(|user_name| create(client, "/Users", plain_user(user_name)))
            .into_iter()
            .collect();
        for filter in ["shoeSize eq 44", "name.nick eq \"x\"", "urn:example:2.0:Extra:a pr"] {
            let answer = client.filter("/Users", filter);
            answer.expect_scim_error(400, Some("invalidFilter"));
        }
        for sort in ["shoeSize", "name.nick", "a%20b"] {
            let answer = client.get(&format!("/Users?sortBy={sort}"));
            if name == "default" {
                assert_eq!(answer.expect(200).ids(), ids, "ordered by id");
            } else {
                answer.expect_scim_error(400, Some("invalidValue"));
            }
        }
        for parameter in ["attributes", "excludedAttributes"] {
            let answer = client.get(&format!("/Users?{parameter}=userName,a%20b"));
            let detail = answer.expect_scim_error(400, Some("invalidValue"));
            assert!(detail.contains(parameter) && detail.contains("a b"), "{detail}");
            client.get(&format!("/Users?{parameter}=shoeSize")).expect(200);
        }
    }
}

fn replace_of_a_complex_attribute_is_whole_in_strict(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        let given = || json!({"givenName": "Rob"});
        let merged = json!({"givenName": "Rob", "familyName": "Hill"});
        let added = client.patch(&path, one("add", "name", given())).expect(200);
        assert_eq!(added.body["name"], merged, "{name}");
        let replaced = client.patch(&path, one("replace", "name", given())).expect(200);
        let expected = if name == "strict" { given() } else { merged };
        assert_eq!(replaced.body["name"], expected, "{name}");
        assert_eq!(client.get(&path).body["name"], expected, "{name}");
    }
}

fn add_is_replace_for_a_simple_attribute(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        for op in ["add", "replace"] {
            let path = format!("/Users/{}", create(client, "/Users", bob()));
            for (attribute, pointer, value) in [
                ("userName", "/userName", json!("rob")),
                ("active", "/active", json!(false)),
                ("name.givenName", "/name/givenName", json!("Rob")),
            ] {
                let shown = client.patch(&path, one(op, attribute, value.clone())).expect(200);
                assert_eq!(shown.body.pointer(pointer), Some(&value), "{name} {op}");
            }
            client.delete(&path).expect(204);
        }
    }
}

fn whole_element_is_refused_by_strict_except_for_removing_it(app: &TestApp) {
    const WORK: &str = "emails[type eq \"work\"]";
    for (name, client) in Three::of(app).all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        for op in ["add", "replace"] {
            let body = one(op, WORK, json!({"display": op}));
            if name == "strict" {
                let detail = refused(client, &path, &body, "invalidPath");
                assert!(detail.contains("emails[type eq \"work\"].value"), "{detail}");
            } else {
                client.patch(&path, body).expect(200);
            }
        }
        let value = one("replace", &format!("{WORK}.value"), json!("x@w.example"));
        let shown = client.patch(&path, value).expect(200);
        assert_eq!(shown.body["emails"][0]["value"], "x@w.example", "{name}");
        let remove = patch(json!([{"op": "remove", "path": WORK}]));
        let shown = client.patch(&path, remove).expect(200);
        assert_eq!(shown.body["emails"], json!([{"value": "b@h.example", "type": "home"}]));
    }
}

fn filter_that_matches_several_values_is_refused_by_strict(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        let several = one("replace", "emails[value co \"example\"].display", json!("B"));
        let removal = patch(json!([{"op": "remove", "path": "emails[value co \"example\"]"}]));
        if name == "strict" {
            for body in [several, removal] {
                let detail = refused(client, &path, &body, "invalidFilter");
                assert!(detail.contains("2 values of \"emails\""), "{detail}");
            }
            continue;
        }
        let shown = client.patch(&path, several).expect(200);
        for email in shown.body["emails"].as_array().expect("a list") {
            assert_eq!(email["display"], "B", "{name}");
        }
        assert_eq!(client.patch(&path, removal).expect(200).body.get("emails"), None, "{name}");
    }
}

fn members_of_a_strict_group(app: &TestApp) {
    let (_, strict) = app.directory("scim.strict");
    let ids: Vec<String> =
        (0..51).map(|n| create(&strict, "/Users", plain_user(&format!("user{n}")))).collect();
    let path = format!("/Groups/{}", create(&strict, "/Groups", group("Staff", &[])));
    // IPSIE asks for fifty changes of members in one request.
    let add = |id: &String| json!({"op": "add", "path": "members", "value": [{"value": id}]});
    let operations: Vec<Value> = ids.iter().map(add).collect();
    let shown = strict.patch(&path, patch(operations.into())).expect(200);
    assert_eq!(shown.body["members"].as_array().map(Vec::len), Some(51));
    let one_of = |id: &str| format!("members[value eq \"{id}\"]");
    for (body, scim_type) in [
        (one("add", &one_of(&ids[0]), json!({"value": ids[1]})), "invalidPath"),
        (one("replace", &one_of(&ids[0]), json!({"value": ids[1]})), "invalidPath"),
        (one("remove", "members[type eq \"User\"]", json!(null)), "invalidFilter"),
        (one("remove", "members[value pr]", json!(null)), "invalidFilter"),
        (one("add", "members", json!([{"value": ids[0], "colour": 1}])), "invalidSyntax"),
    ] {
        refused(&strict, &path, &body, scim_type);
    }
    let remove = |id: &String| json!({"op": "remove", "path": one_of(id)});
    let operations: Vec<Value> = ids.iter().skip(1).map(remove).collect();
    let shown = strict.patch(&path, patch(operations.into())).expect(200);
    assert_eq!(shown.body["members"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown.body["members"][0]["value"], json!(ids[0]));
    // A name is given once, in any letter case.
    let second = create(&strict, "/Groups", group("Guests", &[]));
    for answer in [
        strict.post("/Groups", group("STAFF", &[])),
        strict.patch(&format!("/Groups/{second}"), one("replace", "displayName", json!("staff"))),
    ] {
        answer.expect_scim_error(409, Some("uniqueness"));
    }
}

fn conditional_headers_are_refused_by_strict(app: &TestApp) {
    let body = || Some(bob().to_string());
    let title = || Some(one("add", "title", json!("Dr")).to_string());
    for (name, client) in Three::of(app).all() {
        let path = format!("/Users/{}", create(client, "/Users", bob()));
        let tag = client.get(&path).header("etag").expect("a tag").to_owned();
        let date = "Sun, 15 Jun 2025 15:06:40 GMT";
        let requests = [
            ("GET", "/Users", ("If-Modified-Since", date), None, 200),
            ("GET", path.as_str(), ("If-None-Match", tag.as_str()), None, 304),
            ("PATCH", path.as_str(), ("If-Match", "W/\"7\""), title(), 412),
            ("PUT", path.as_str(), ("If-Match", "W/\"7\""), body(), 412),
            ("DELETE", path.as_str(), ("if-match", "W/\"7\""), None, 412),
            ("PATCH", path.as_str(), ("If-Match", tag.as_str()), title(), 200),
            ("DELETE", path.as_str(), ("If-Unmodified-Since", date), None, 204),
        ];
        for (method, path, header, body, status) in requests {
            let answer = client.send(method, path, &[header], body);
            if name == "strict" {
                let detail = answer.expect_scim_error(400, None).to_ascii_lowercase();
                assert!(detail.contains(&header.0.to_ascii_lowercase()), "{detail}");
            } else {
                assert_eq!(answer.status, status, "{name} {method} {}", answer.text);
            }
        }
        if name == "strict" {
            let shown = client.get(&path).expect(200);
            assert_eq!(shown.header("etag"), Some(tag.as_str()), "nothing was changed");
            client.patch(&path, one("add", "title", json!("Dr"))).expect(200);
        }
    }
}

fn deleted_resource_is_gone_and_its_names_are_free(app: &TestApp) {
    let (_, strict) = app.directory("scim.strict");
    let user = create(&strict, "/Users", bob());
    let staff = create(&strict, "/Groups", group("Staff", &[&user]));
    for (path, list, body) in [
        (format!("/Users/{user}"), "/Users", bob()),
        (format!("/Groups/{staff}"), "/Groups", group("Staff", &[])),
    ] {
        strict.delete(&path).expect(204);
        for answer in [
            strict.get(&path),
            strict.put(&path, body.clone()),
            strict.patch(&path, one("replace", "displayName", json!("x"))),
            strict.delete(&path),
        ] {
            answer.expect_scim_error(404, None);
        }
        assert_eq!(strict.get(list).total(), 0);
        let made = strict.post(list, body).expect(201);
        assert!(!path.ends_with(&made.id()), "a new resource has a new id");
        if list == "/Users" {
            assert_eq!(strict.get(&format!("/Groups/{staff}")).body.get("members"), None);
            assert_eq!(strict.filter("/Users", "userName eq \"BOB\"").ids(), [made.id()]);
        }
    }
}

fn strict_refuses_the_leniences_of_the_default_profile(app: &TestApp) {
    let (_, strict) = app.directory("scim.strict");
    for more in [
        json!({"active": "False"}),
        json!({"emails": {"value": "a@x.org"}}),
        json!({"emails": ["a@x.org"]}),
        json!({ENTERPRISE: {"manager": "boss"}}),
        json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
    ] {
        let mut body = plain_user("ada");
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        strict.post("/Users", body).expect_scim_error(400, Some("invalidValue"));
    }
    assert_eq!(strict.get("/Users").total(), 0);
    let path = format!("/Users/{}", create(&strict, "/Users", plain_user("ada")));
    let unmatched = one("replace", "emails[type eq \"work\"].value", json!("a@x.org"));
    refused(&strict, &path, &unmatched, "noTarget");
    let without_schemas = json!({"Operations": [{"op": "add", "path": "title", "value": "Dr"}]});
    refused(&strict, &path, &without_schemas, "invalidSyntax");
    strict.filter("/Users", "userName eq ada").expect_scim_error(400, Some("invalidFilter"));
}

fn id_is_read_only_in_a_path_and_ignored_in_a_value(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        let id = create(client, "/Users", bob());
        let path = format!("/Users/{id}");
        refused(client, &path, &one("replace", "id", json!("other")), "mutability");
        let value = json!({"id": "other", "meta": {"created": "x"}, "title": "Dr"});
        let body = patch(json!([{"op": "replace", "value": value}]));
        if name == "strict" {
            refused(client, &path, &body, "invalidSyntax");
            continue;
        }
        let shown = client.patch(&path, body).expect(200);
        assert_eq!((&shown.body["id"], &shown.body["title"]), (&json!(id), &json!("Dr")), "{name}");
    }
}

fn duplicates_are_stored_once(app: &TestApp) {
    let email = || json!({"value": "b@w.example", "type": "work"});
    for (name, client) in Three::of(app).all() {
        let mut body = bob();
        body["emails"] = json!([email(), email()]);
        let made = client.post("/Users", body).expect(201);
        assert_eq!(made.body["emails"], json!([email()]), "{name}");
        let path = format!("/Users/{}", made.id());
        let again = client.patch(&path, one("add", "emails", json!([email()]))).expect(200);
        assert_eq!(again.header("etag"), made.header("etag"), "{name}: nothing changed");
    }
}

fn page_of_a_hundred_is_served(app: &TestApp) {
    let (_, strict) = app.directory("scim.strict");
    for n in 0..101 {
        create(&strict, "/Users", plain_user(&format!("user{n:03}")));
    }
    let page = strict.get("/Users?count=100&sortBy=userName");
    assert_eq!((page.total(), page.ids().len()), (101, 100));
    assert_eq!(texts(&page, "userName").last().map(String::as_str), Some("user099"));
}

fn early_schema_names_in_patch_paths(app: &TestApp) {
    const EARLY: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0";
    let path = format!("/Users/{}", create(&app.scim, "/Users", bob()));
    let department = one("add", &format!("{EARLY}:department"), json!("Tools"));
    let shown = app.scim.patch(&path, department.clone()).expect(200);
    assert_eq!(shown.body.get(ENTERPRISE), None, "without the flag it is an unknown name");
    set_profile(app, &app.directory.id, json!({"legacy_urns": true}));
    let shown = app.scim.patch(&path, department).expect(200);
    assert_eq!(shown.body[ENTERPRISE]["department"], "Tools");
    let whole = patch(json!([{"op": "add", "value": {EARLY: {"division": "West"}}}]));
    let shown = app.scim.patch(&path, whole).expect(200);
    assert_eq!(shown.body[ENTERPRISE], json!({"division": "West", "department": "Tools"}));
}

fn references_in_two_versions_of_the_protocol_are_one(app: &TestApp) {
    for (name, client) in Three::of(app).all() {
        let manager = create(client, "/Users", plain_user("manager"));
        let mut body = bob();
        body["profileUrl"] = json!("https://x.org/v2/bob");
        body[ENTERPRISE] = json!({"manager": {"value": manager}});
        client.post("/Users", body).expect(201);
        let versioned = format!("{}/Users/{manager}", client.base);
        let filter = |op: &str, uri: &str| format!("{ENTERPRISE}:manager.$ref {op} \"{uri}\"");
        for version in ["/v2/", "/", "/v1/"] {
            let uri = versioned.replace("/v2/", version);
            assert_eq!(client.filter("/Users", &filter("eq", &uri)).total(), 1, "{name} {uri}");
            assert_eq!(client.filter("/Users", &filter("ne", &uri)).total(), 1, "{name} {uri}");
        }
        let other = versioned.replace(&manager, "another");
        assert_eq!(client.filter("/Users", &filter("eq", &other)).total(), 0);
        // What is not served over SCIM has no version of SCIM.
        assert_eq!(client.filter("/Users", "profileUrl eq \"https://x.org/bob\"").total(), 0);
    }
}

fn unique_reference_is_taken_in_every_version_of_the_protocol(app: &TestApp) {
    const LINKS: &str = "urn:example:2.0:Links";
    let schemas = json!({
        "schemas": [{"id": LINKS, "name": "Links", "description": "Links to users", "attributes": [{
            "name": "twin", "type": "reference", "multiValued": false, "description": "A link",
            "required": false, "caseExact": true, "mutability": "readWrite",
            "returned": "default", "uniqueness": "server", "referenceTypes": ["User"]
        }]}],
        "resource_types": [{"name": "User", "schemaExtensions": [{"schema": LINKS}]}]
    });
    app.api.put(&format!("/api/v1/directories/{}/schemas", app.directory.id), schemas).expect(200);
    let user = |user_name: &str, twin: &str| {
        let mut body = plain_user(user_name);
        body[LINKS] = json!({"twin": twin});
        body
    };
    let id = create(&app.scim, "/Users", user("ada", "https://x.org/Users/1"));
    create(&app.scim, "/Users", user("ben", "https://x.org/Users/2"));
    let again = app.scim.post("/Users", user("cleo", "https://x.org/v2/Users/1"));
    again.expect_scim_error(409, Some("uniqueness"));
    // Another spelling of its own value is free for the resource that holds it.
    let path = format!("/Users/{id}");
    app.scim.put(&path, user("ada", "https://x.org/v2/Users/1")).expect(200);
    let found = app.scim.filter("/Users", &format!("{LINKS}:twin eq \"https://x.org/Users/1\""));
    assert_eq!(found.ids(), [id]);
}
