//! Users as each provider's client writes them, and how an answer compares with the model.

use serde_json::{Map, Value, json};

use super::manner::{Activation, Emails, Lookup, Manner, Style, Write};
use super::model::{Change, Person};
use super::wire::{Wire, expect, version};
use crate::answer::Answer;
use crate::matching::brief;
use crate::scim::{ENTERPRISE, PATCH_OP, encode};

/// Stores the user and fills in what the server decides.
pub(super) fn create(wire: &mut Wire, person: &mut Person) -> Result<(), String> {
    let body = document(wire.manner, person);
    let answer = expect(wire.write("POST", "/Users", Some(&body))?, &[201])?;
    person.id = answer.id().map_err(|finding| finding.to_string())?.to_owned();
    looks_like(wire.manner, person, &answer)?;
    person.version = version(&answer.json).ok_or_else(|| no_version(&answer))?;
    Ok(())
}

/// Makes the change in the client's manner.
pub(super) fn update(wire: &mut Wire, person: &mut Person, change: &Change) -> Result<(), String> {
    let manner = wire.manner;
    let path = format!("/Users/{}", person.id);
    let mut changed = person.clone();
    changed.apply(change);
    let style = match (change, manner.activation, manner.write) {
        (Change::Active(active), Activation::Pathless, _) => {
            let operation = json!({"op": "replace", "value": {"active": active}});
            return patched(wire, person, changed, &message(&[operation]));
        }
        (Change::Active(_), Activation::Patch(style), _) | (_, _, Write::Patch(style)) => style,
        (_, _, Write::Put) => {
            let mut body = document(manner, &changed);
            insert(&mut body, "id", json!(changed.id));
            let answer = expect(wire.write("PUT", &path, Some(&body))?, &[200])?;
            return accepted(wire, person, changed, &answer);
        }
        (_, _, Write::PutEcho) => {
            let read = expect(wire.get(&path)?, &[200])?;
            looks_like(manner, person, &read)?;
            let body = echo(manner, read.json, &changed);
            let answer = expect(wire.write("PUT", &path, Some(&body))?, &[200])?;
            return accepted(wire, person, changed, &answer);
        }
    };
    let body = message(&operations(style, &paths(style, person, change)));
    patched(wire, person, changed, &body)
}

/// DELETE, after which the id is unknown.
pub(super) fn delete(wire: &mut Wire, id: &str) -> Result<(), String> {
    let path = format!("/Users/{id}");
    expect(wire.write("DELETE", &path, None)?, &[204])?;
    expect(wire.get(&path)?, &[404]).map(drop)
}

/// Finds the user as the client finds users.
pub(super) fn look_up(wire: &mut Wire, person: &Person) -> Result<(), String> {
    let query = lookup(wire.manner.lookup, person);
    let answer = expect(wire.get(&format!("/Users?filter={query}"))?, &[200])?;
    let found = answer.resources().map_err(|finding| finding.to_string())?;
    match found {
        [one] if one.get("id").and_then(Value::as_str) == Some(&person.id) => {
            nothing_differs(&differences(wire.manner, person, one), &answer)
        }
        _ => Err(answer.failed(&format!("expected {} alone", person.id)).to_string()),
    }
}

/// The user has what the model says.
pub(super) fn read(wire: &mut Wire, person: &mut Person) -> Result<(), String> {
    let answer = expect(wire.get(&format!("/Users/{}", person.id))?, &[200])?;
    looks_like(wire.manner, person, &answer)?;
    let version = version(&answer.json).ok_or_else(|| no_version(&answer))?;
    if version < person.version {
        return Err(answer
            .failed(&format!("version {} was there before", person.version))
            .to_string());
    }
    person.version = version;
    Ok(())
}

/// What of the stored user is not as the model says.
pub(super) fn differences(manner: &Manner, person: &Person, stored: &Value) -> Vec<String> {
    let email = match manner.emails {
        Emails::None => Value::Null,
        _ => json!(person.email),
    };
    let expected = [
        ("/id", json!(person.id)),
        ("/userName", json!(person.user_name)),
        ("/externalId", json!(person.external_id)),
        ("/name/givenName", json!(person.given)),
        ("/name/familyName", json!(person.family)),
        ("/title", json!(person.title)),
        ("/active", json!(person.active)),
        ("/emails/0/value", email),
        ("/emails/1", Value::Null),
    ];
    let mut differences: Vec<String> = expected
        .iter()
        .filter_map(|(at, expected)| differs(at, stored.pointer(at), expected))
        .collect();
    let department = stored.get(ENTERPRISE).and_then(|extension| extension.get("department"));
    differences.extend(differs("department", department, &json!(person.department)));
    if !manner.names_itself {
        let display = stored.get("displayName");
        differences.extend(differs("displayName", display, &json!(person.display())));
    }
    differences
}

/// `null` stands for a value that must not be there.
fn differs(at: &str, found: Option<&Value>, expected: &Value) -> Option<String> {
    let found = found.unwrap_or(&Value::Null);
    (found != expected).then(|| format!("{at} is {}, expected {}", brief(found), brief(expected)))
}

fn looks_like(manner: &Manner, person: &Person, answer: &Answer) -> Result<(), String> {
    nothing_differs(&differences(manner, person, &answer.json), answer)
}

fn nothing_differs(differences: &[String], answer: &Answer) -> Result<(), String> {
    match differences {
        [] => Ok(()),
        some => Err(answer.failed(&some.join(", ")).to_string()),
    }
}

fn no_version(answer: &Answer) -> String {
    answer.failed("there is no version in `meta`").to_string()
}

fn patched(
    wire: &mut Wire,
    person: &mut Person,
    changed: Person,
    body: &Value,
) -> Result<(), String> {
    let path = format!("/Users/{}", person.id);
    let answer = expect(wire.write("PATCH", &path, Some(body))?, &[200, 204])?;
    if answer.status == 204 {
        *person = changed;
        return Ok(());
    }
    accepted(wire, person, changed, &answer)
}

/// The answer shows the change and a newer version.
fn accepted(
    wire: &Wire,
    person: &mut Person,
    changed: Person,
    answer: &Answer,
) -> Result<(), String> {
    let before = person.version;
    *person = changed;
    looks_like(wire.manner, person, answer)?;
    person.version = version(&answer.json).ok_or_else(|| no_version(answer))?;
    if person.version <= before {
        return Err(answer.failed(&format!("the version was {before} before")).to_string());
    }
    Ok(())
}

/// The whole user.
pub(super) fn document(manner: &Manner, person: &Person) -> Value {
    let mut user = json!({
        "schemas": manner.schemas,
        "userName": person.user_name,
        "externalId": person.external_id,
        "name": {"givenName": person.given, "familyName": person.family},
        "active": person.active,
    });
    if !manner.names_itself {
        insert(&mut user, "displayName", json!(person.display()));
    }
    if let Some(title) = &person.title {
        insert(&mut user, "title", json!(title));
    }
    if let Some(department) = &person.department {
        insert(&mut user, ENTERPRISE, json!({"department": department}));
    }
    let work = json!({"type": "work", "value": person.email, "primary": true});
    match manner.emails {
        Emails::Work => insert(&mut user, "emails", json!([work])),
        Emails::Untyped => insert(&mut user, "emails", json!([{"value": person.email}])),
        Emails::Object => insert(&mut user, "emails", work),
        Emails::None => {}
    }
    let extras: Map<String, Value> = serde_json::from_str(manner.extras).unwrap_or_default();
    for (name, value) in extras {
        insert(&mut user, &name, value);
    }
    user
}

/// What was read, with the client's values in it and everything else as it came.
fn echo(manner: &Manner, mut read: Value, person: &Person) -> Value {
    if let Some(members) = read.as_object_mut() {
        members.shift_remove("title");
        members.shift_remove(ENTERPRISE);
        let groups = members.get("groups").cloned();
        if let Value::Object(document) = document(manner, person) {
            members.extend(document);
        }
        members.extend(groups.map(|groups| ("groups".to_owned(), groups)));
    }
    read
}

fn insert(document: &mut Value, name: &str, value: Value) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// Paths with what is to stand there; `None` takes the value away.
fn paths(style: Style, person: &Person, change: &Change) -> Vec<(String, Option<Value>)> {
    let some = |path: &str, value: &str| (path.to_owned(), Some(json!(value)));
    let maybe = |path: String, value: &Option<String>| (path, value.as_ref().map(|v| json!(v)));
    match change {
        Change::Title(title) => vec![maybe("title".into(), title)],
        Change::Department(department) => {
            vec![maybe(format!("{ENTERPRISE}:department"), department)]
        }
        Change::Email(email) => {
            let path = match style {
                Style::Text => "emails[primary eq true].value",
                _ => "emails[type eq \"work\"].value",
            };
            vec![some(path, email)]
        }
        Change::Name { given, family } => {
            let mut renamed = person.clone();
            renamed.apply(change);
            vec![
                some("name.givenName", given),
                some("name.familyName", family),
                some("displayName", &renamed.display()),
            ]
        }
        Change::UserName(user_name) => vec![some("userName", user_name)],
        Change::Active(active) => {
            let value = match (style, active) {
                (Style::Capital, true) => json!("True"),
                (Style::Capital, false) => json!("False"),
                (Style::Text, active) => json!(active.to_string()),
                (_, active) => json!(active),
            };
            vec![("active".to_owned(), Some(value))]
        }
    }
}

fn operations(style: Style, paths: &[(String, Option<Value>)]) -> Vec<Value> {
    let is_dotted = |path: &str| style == Style::Dotted && !path.contains('[');
    let mut operations: Vec<Value> = paths
        .iter()
        .filter(|(path, value)| value.is_none() || !is_dotted(path))
        .map(|(path, value)| match (style, value) {
            (Style::Capital, Some(value)) if path == "title" => {
                json!({"op": "Add", "path": path, "value": value})
            }
            (Style::Capital, Some(value)) => json!({"op": "Replace", "path": path, "value": value}),
            (Style::Capital, None) => json!({"op": "Remove", "path": path}),
            (_, Some(value)) => json!({"op": "replace", "path": path, "value": value}),
            (_, None) => json!({"op": "remove", "path": path}),
        })
        .collect();
    let dotted: Map<String, Value> = paths
        .iter()
        .filter(|(path, _)| is_dotted(path))
        .filter_map(|(path, value)| Some((path.clone(), value.clone()?)))
        .collect();
    if !dotted.is_empty() {
        operations.push(json!({"op": "replace", "value": dotted}));
    }
    operations
}

/// A PATCH body; some clients put the operations first.
pub(super) fn message(operations: &[Value]) -> Value {
    json!({"Operations": operations, "schemas": [PATCH_OP]})
}

fn lookup(lookup: Lookup, person: &Person) -> String {
    let user_name = &person.user_name;
    let quoted = encode(&format!("userName eq \"{user_name}\""));
    match lookup {
        Lookup::UserName => quoted,
        Lookup::Plus => format!("userName+eq+%22{user_name}%22&startIndex=1&count=100"),
        Lookup::Ampersand => format!("userName+eq+%22{}%22&", encode(user_name)),
        Lookup::Unquoted => format!("userName+eq+{user_name}"),
        Lookup::Emails => encode(&format!("emails eq \"{}\"", person.email)),
        Lookup::WorkEmail => {
            encode(&format!("emails[type eq \"work\"].value eq \"{}\"", person.email))
        }
        Lookup::ExternalId => encode(&format!("externalId eq \"{}\"", person.external_id)),
    }
}
