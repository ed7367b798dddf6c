//! Operations on single attributes, on extensions, and without a path.

use serde_json::{Value, json};

use super::*;

#[test]
fn simple_attributes() {
    bob_becomes(&[
        (json!([{"op": "add", "path": "title", "value": "Dr"}]), json!({"title": "Dr"})),
        (json!([{"op": "replace", "path": "title", "value": "Dr"}]), json!({"title": "Dr"})),
        (json!([{"op": "add", "path": "USERNAME", "value": "rob"}]), json!({"userName": "rob"})),
        (json!([{"op": "replace", "path": "active", "value": false}]), json!({"active": false})),
        (
            json!([{"op": "replace", "path": "externalId", "value": "e2"}]),
            json!({"externalId": "e2"}),
        ),
        (json!([{"op": "remove", "path": "externalId"}]), json!({"externalId": null})),
        (json!([{"op": "remove", "path": "active"}]), json!({"active": null})),
        (json!([{"op": "replace", "path": "active", "value": null}]), json!({"active": null})),
        (json!([{"op": "add", "path": "active", "value": null}]), json!({"active": null})),
        (json!([{"op": "remove", "path": "title"}]), json!({})),
        (
            json!([{"op": "remove", "path": "externalId", "value": "other"}]),
            json!({"externalId": null}),
        ),
    ]);
}

#[test]
fn complex_attributes_are_merged() {
    let ann = json!({"name": {"familyName": "Hill", "givenName": "Ann"}});
    let family = json!({"name": {"familyName": "Hill"}});
    let all = json!({"name": {"formatted": "B", "familyName": "Hill", "givenName": "Bob"}});
    let name = |op: &str, value: Value| json!([{"op": op, "path": "name", "value": value}]);
    bob_becomes(&[
        (name("add", json!({"givenName": "Ann"})), ann.clone()),
        (name("replace", json!({"GIVENNAME": "Ann"})), ann.clone()),
        (name("add", json!({"formatted": "B"})), all.clone()),
        (name("replace", json!({"givenName": null})), family.clone()),
        (name("replace", json!({"givenName": null, "familyName": null})), json!({"name": null})),
        (
            name("add", json!({"givenName": null, "formatted": "B"})),
            json!({"name": {"formatted": "B", "familyName": "Hill"}}),
        ),
        (name("add", json!({})), json!({})),
        (name("replace", json!({})), json!({})),
        (name("replace", json!({"unknown": 1})), json!({})),
        (name("replace", Value::Null), json!({"name": null})),
        (json!([{"op": "remove", "path": "name"}]), json!({"name": null})),
        (json!([{"op": "remove", "path": "name.givenName"}]), family.clone()),
        (json!([{"op": "replace", "path": "name.givenName", "value": null}]), family),
        (json!([{"op": "replace", "path": "Name.GivenName", "value": "Ann"}]), ann.clone()),
        (json!([{"op": "add", "path": "name.formatted", "value": "B"}]), all),
        (json!([{"op": "remove", "path": "name.middleName"}]), json!({})),
        (
            json!([{"op": "replace", "path": "name[familyName eq \"hill\"].givenName", "value": "Ann"}]),
            ann,
        ),
        (json!([{"op": "remove", "path": "name[familyName eq \"x\"].givenName"}]), json!({})),
        (json!([{"op": "remove", "path": "name[familyName eq \"x\"]"}]), json!({})),
        (json!([{"op": "remove", "path": "name[familyName eq \"hill\"]"}]), json!({"name": null})),
        (
            json!([{"op": "remove", "path": "name"},
                {"op": "add", "path": "name.givenName", "value": "Ann"}]),
            json!({"name": {"givenName": "Ann"}}),
        ),
    ]);
}

#[test]
fn urn_paths_and_extensions() {
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let ent = |value: Value| json!({"ENT": value});
    let boss = || ent(json!({"department": "Tools", "manager": {"value": "m2"}}));
    let moved = || ent(json!({"department": "Sales", "manager": {"value": "m1"}}));
    bob_becomes(&[
        (
            path("replace", "urn:ietf:params:scim:schemas:core:2.0:User:title", json!("T")),
            json!({"title": "T"}),
        ),
        (
            path(
                "replace",
                "URN:ietf:params:scim:schemas:core:2.0:user:name.givenName",
                json!("A"),
            ),
            json!({"name": {"familyName": "Hill", "givenName": "A"}}),
        ),
        (
            path("replace", "urn:ietf:params:scim:schemas:core:2.0:User.title", json!("T")),
            json!({"title": "T"}),
        ),
        (path("add", "ENT:department", json!("Sales")), moved()),
        (path("add", "ENT.department", json!("Sales")), moved()),
        (path("add", "department", json!("Sales")), moved()),
        (path("replace", "ENT:manager.value", json!("m2")), boss()),
        (path("replace", "ENT:manager", json!({"value": "m2"})), boss()),
        (path("replace", "ENT.manager", json!({"value": "m2"})), boss()),
        (
            path("add", "ENT:employeeNumber", json!("7")),
            ent(json!({"employeeNumber": "7", "department": "Tools", "manager": {"value": "m1"}})),
        ),
        (path("add", "ENT", json!({"department": "Sales"})), moved()),
        (
            path("replace", &urn::ENTERPRISE_USER.to_uppercase(), json!({"DEPARTMENT": "Sales"})),
            moved(),
        ),
        (path("replace", "ENT", json!({"manager": null})), ent(json!({"department": "Tools"}))),
        (path("replace", "ENT", json!({"manager": {"displayName": "M"}})), json!({})),
        (path("replace", "ENT", json!({})), json!({})),
        (path("replace", "ENT", Value::Null), ent(Value::Null)),
        (json!([{"op": "remove", "path": "ENT"}]), ent(Value::Null)),
        (json!([{"op": "remove", "path": "ENT:manager"}]), ent(json!({"department": "Tools"}))),
        (
            json!([{"op": "remove", "path": "ENT:manager.value"}]),
            ent(json!({"department": "Tools"})),
        ),
        (
            json!([{"op": "remove", "path": "ENT:manager"}, {"op": "remove", "path": "ENT:department"}]),
            ent(Value::Null),
        ),
        (
            json!([{"op": "remove", "path": "ENT"}, {"op": "remove", "path": "ENT:department"}]),
            ent(Value::Null),
        ),
        (
            json!([{"op": "remove", "path": "ENT"},
                {"op": "add", "path": "ENT:department", "value": "Sales"}]),
            ent(json!({"department": "Sales"})),
        ),
    ]);
}

#[test]
fn value_without_path_names_its_attributes() {
    let op = |op: &str, value: Value| json!([{"op": op, "value": value}]);
    bob_becomes(&[
        (
            op("add", json!({"nickname": "B", "emails": [{"value": "x"}]})),
            json!({"nickName": "B", "emails": [work(), home(), {"value": "x"}]}),
        ),
        (
            op("replace", json!({"emails": [{"value": "x"}], "title": null})),
            emails(json!([{"value": "x"}])),
        ),
        (
            op("replace", json!({"name": {"givenName": "A"}})),
            json!({"name": {"familyName": "Hill", "givenName": "A"}}),
        ),
        (
            op("replace", json!({"name.givenName": "A", "name.formatted": "F"})),
            json!({"name": {"formatted": "F", "familyName": "Hill", "givenName": "A"}}),
        ),
        (
            op("add", json!({"emails[type eq \"home\"].value": "x"})),
            emails(json!([work(), {"value": "x", "type": "home"}])),
        ),
        (
            op("add", json!({"ENT:department": "S", "ENT:manager.value": "m2"})),
            json!({"ENT": {"department": "S", "manager": {"value": "m2"}}}),
        ),
        (
            op("add", json!({"ENT.department": "S"})),
            json!({"ENT": {"department": "S", "manager": {"value": "m1"}}}),
        ),
        (
            op("add", json!({"ENT": {"department": "S"}})),
            json!({"ENT": {"department": "S", "manager": {"value": "m1"}}}),
        ),
        (
            op("replace", json!({"urn:ietf:params:scim:schemas:core:2.0:User:title": "T"})),
            json!({"title": "T"}),
        ),
        // What the server sets is passed over: clients send back what they were shown.
        (
            op(
                "replace",
                json!({
                    "schemas": ["x"], "id": "other", "meta": {"version": "1"}, "title": "T",
                    "groups": [{"value": "g"}], "meta.created": "x", "ENT:manager.displayName": "M"
                }),
            ),
            json!({"title": "T"}),
        ),
        (
            op("replace", json!({"externalId": "e2", "ACTIVE": false})),
            json!({"externalId": "e2", "active": false}),
        ),
        (op("replace", json!({})), json!({})),
        (op("replace", json!({"emails": []})), emails(Value::Null)),
        (op("add", json!({"emails": []})), json!({})),
    ]);
    let want = "Operations[0] is a replace without a path, so its value must be an object of attributes, \
         but it is ";
    let refusal = |value: Value, found: &str| {
        let table = [(op("replace", value), ScimType::InvalidValue, format!("{want}{found}."))];
        let [(ops, scim_type, detail)] = &table;
        refused(&bob_body(), &user(), ACCEPT, &[(ops.clone(), *scim_type, detail.as_str())]);
    };
    refusal(json!([{"title": "T"}]), "an array");
    refusal(json!("title"), "the string \"title\"");
    refusal(Value::Null, "null");
}

#[test]
fn schemas_and_password_are_accepted_and_dropped() {
    bob_becomes(&[
        (json!([{"op": "add", "path": "schemas", "value": ["urn:x"]}]), json!({})),
        (json!([{"op": "replace", "path": "password", "value": "s3cret"}]), json!({})),
        (json!([{"op": "remove", "path": "password"}]), json!({})),
        (json!([{"op": "add", "value": {"password": "s3cret", "PASSWORD": 1}}]), json!({})),
    ]);
    let mut notes = Notes::default();
    let group = crate::scim::resource::fixture::group();
    let before = document(json!({"displayName": "G"}), &group);
    let ops = json!([
        {"op": "add", "path": "Password", "value": "s3cret"},
        {"op": "add", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:password": "s3cret"}}
    ]);
    run(&before, &ops, &group, ACCEPT, &mut notes).unwrap();
    assert_eq!(notes.extra, Object::new(), "a password is kept nowhere");
    assert_eq!(notes.ignored.len(), 2);
}

#[test]
fn what_is_there_already_changes_nothing() {
    let path =
        |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let mut table = vec![
        json!([{"op": "add", "value": bob_body()}]),
        json!([{"op": "replace", "value": bob_body()}]),
        path(
            "replace",
            "emails",
            json!([
            {"primary": true, "type": "work", "value": "b@w.example"},
            {"type": "HOME", "value": "b@h.example"}]),
        ),
        path(
            "replace",
            "emails[type eq \"work\"]",
            json!({"value": "b@w.example", "primary": true}),
        ),
        path("replace", "name", json!({"givenName": "Bob", "familyName": "Hill"})),
    ];
    for op in ["add", "replace"] {
        table.extend([
            path(op, "userName", json!("bob")),
            path(op, "name", json!({"givenName": "Bob"})),
            path(op, "name.givenName", json!("Bob")),
            path(op, "emails[type eq \"work\"].value", json!("b@w.example")),
            path(op, "ENT", json!({"department": "Tools"})),
            path(op, "ENT:manager", json!({"value": "m1"})),
        ]);
    }
    table.push(path("add", "emails", home()));
    table.push(path("add", "emails", json!([{"type": "work", "value": "b@w.example"}])));
    bob_becomes(&table.into_iter().map(|ops| (ops, json!({}))).collect::<Vec<_>>());
}

#[test]
fn content_is_stored_alike_whatever_the_order_of_operations() {
    let type_user = user();
    let before = document(json!({"userName": "bob"}), &type_user);
    let one = json!([
        {"op": "add", "path": "ENT:manager.value", "value": "m"},
        {"op": "add", "path": "emails", "value": {"value": "x", "type": "work"}},
        {"op": "add", "path": "emails[type eq \"work\"].display", "value": "X"},
        {"op": "add", "path": "name.givenName", "value": "B"},
        {"op": "add", "path": "name.formatted", "value": "F"},
        {"op": "add", "path": "displayName", "value": "D"}
    ]);
    let other = json!([{"op": "add", "value": {
        "emails": [{"type": "work", "display": "X", "value": "x"}], "displayName": "D",
        "name": {"formatted": "F", "givenName": "B"}, "ENT": {"manager": {"value": "m"}}
    }}]);
    let text = |ops: &Value| {
        run(&before, ops, &type_user, ACCEPT, &mut Notes::default()).unwrap().to_json()
    };
    assert_eq!(text(&one), text(&other));
}
