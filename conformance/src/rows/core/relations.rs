//! Groups, their members, and managers (RFC 7643 §4.1.2, §4.2, §4.3).

use serde_json::{Value, json};

use crate::answer::{Answer, ensure};
use crate::rows::{Check, Finding, Row};
use crate::scim::{ENTERPRISE, GROUP, USER, full_user, group, patch, user, with};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "K8",
        "MUST",
        "RFC 7643 §4.1.2",
        "rfc_k8_groups_of_a_user_are_read_only",
        "`User.groups` is readOnly, `value` is the group's id, `$ref` its URI; membership changes \
         only through Group",
        k8,
    ),
    Row::new(
        "K9",
        "SHOULD",
        "RFC 7643 §4.1.2",
        "rfc_k9_groups_type_tells_direct_from_indirect",
        "`groups.type` tells `direct` from `indirect` when nested groups are supported",
        k9,
    ),
    Row::new(
        "K10",
        "REQUIRED",
        "RFC 7643 §4.2",
        "rfc_k10_group_display_name_is_required",
        "`Group.displayName` is required (no uniqueness is stated by the RFC)",
        k10,
    ),
    Row::new(
        "K11",
        "RECOMMENDED",
        "RFC 7643 §4.2",
        "rfc_k11_members_carry_value_ref_and_type",
        "`members[]` carries `value`, `$ref` and `type`; `value`/`$ref` are immutable, the element \
         is replaceable",
        k11,
    ),
    Row::new(
        "K12",
        "RECOMMENDED",
        "RFC 7643 §4.3",
        "rfc_k12_manager_is_resolved",
        "enterprise `manager.value` is a User id, `$ref` its URI, `displayName` readOnly",
        k12,
    ),
];

fn k8(s: &Subject) -> Check {
    let empty = s.scim.create_group("Empty", &[])?;
    let forged = json!([{"value": empty.id, "display": "Empty"}]);
    let ada = s.scim.create("/Users", &with(user("ada@example.com"), "groups", forged.clone()))?;
    let read = |s: &Subject| s.scim.get(&ada.path)?.expect(200);
    read(s)?.expect_unassigned("/groups")?;
    let team = s.scim.create_group("Team", &[&ada.id])?;
    let joined = read(s)?;
    joined
        .expect_at("/groups/0/value", &json!(team.id))?
        .expect_at("/groups/0/display", &json!("Team"))?
        .expect_absent("/groups/1")?;
    let target = s.scim.follow(joined.text_at("/groups/0/$ref")?)?.expect(200)?;
    target.expect_at("/id", &json!(team.id))?.expect_at("/meta/location", &json!(team.location))?;
    // No write to the user changes it.
    let put = with(user("ada@example.com"), "groups", forged.clone());
    s.scim.put(&ada.path, &put)?.expect(200)?.expect_at("/groups/0/value", &json!(team.id))?;
    for operation in [
        json!([{"op": "add", "path": "groups", "value": forged}]),
        json!([{"op": "replace", "path": "groups", "value": []}]),
        json!([{"op": "remove", "path": "groups"}]),
    ] {
        s.scim.patch(&ada.path, &patch(&operation))?.expect_error(400, Some("mutability"))?;
    }
    read(s)?.expect_at("/groups", joined.at("/groups")?)?;
    s.scim.get(&empty.path)?.expect(200)?.expect_unassigned("/members")?;
    // A write to the group does.
    let leave = json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ada.id)}]);
    s.scim.patch(&team.path, &patch(&leave))?.expect_status(&[200, 204])?;
    read(s)?.expect_unassigned("/groups")?;
    Ok(())
}

fn k9(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let inner = s.scim.create_group("Inner", &[&ada.id])?;
    let middle = s.scim.create_group("Middle", &[&inner.id])?;
    let outer = s.scim.create_group("Outer", &[&middle.id])?;
    let types = |answer: &Answer, expected: &[(&str, &str)]| -> Check {
        let groups = answer.array_at("/groups")?;
        let text = |group: &Value, name| {
            group.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut found: Vec<_> =
            groups.iter().map(|group| (text(group, "value"), text(group, "type"))).collect();
        found.sort_unstable();
        let owned = |(id, kind): &(&str, &str)| ((*id).to_owned(), (*kind).to_owned());
        let mut wanted: Vec<_> = expected.iter().map(owned).collect();
        wanted.sort_unstable();
        answer.expect_that(found == wanted, &format!("found {found:?}")).map(drop)
    };
    let nested = [
        (inner.id.as_str(), "direct"),
        (middle.id.as_str(), "indirect"),
        (outer.id.as_str(), "indirect"),
    ];
    types(&s.scim.get(&ada.path)?.expect(200)?, &nested)?;
    // A circle ends.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": outer.id}]}]);
    s.scim.patch(&inner.path, &patch(&add))?.expect_status(&[200, 204])?;
    types(&s.scim.get(&ada.path)?.expect(200)?, &nested)?;
    // A direct member of an outer group is direct there.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": ada.id}]}]);
    s.scim.patch(&outer.path, &patch(&add))?.expect_status(&[200, 204])?;
    let nested = [
        (inner.id.as_str(), "direct"),
        (middle.id.as_str(), "indirect"),
        (outer.id.as_str(), "direct"),
    ];
    types(&s.scim.get(&ada.path)?.expect(200)?, &nested)?;
    s.scim.delete(&middle.path)?.expect(204)?;
    let nested = [(inner.id.as_str(), "direct"), (outer.id.as_str(), "direct")];
    types(&s.scim.get(&ada.path)?.expect(200)?, &nested)
}

fn k10(s: &Subject) -> Check {
    let team = s.scim.create_group("Team", &[])?;
    let nameless = json!({"schemas": [GROUP]});
    let total = s.scim.get("/Groups")?.total()?;
    for body in [
        nameless.clone(),
        with(nameless.clone(), "displayName", json!(null)),
        with(nameless, "displayName", json!("")),
    ] {
        s.scim.post("/Groups", &body)?.expect_error(400, Some("invalidValue"))?;
        s.scim.put(&team.path, &body)?.expect_error(400, Some("invalidValue"))?;
    }
    let remove = json!([{"op": "remove", "path": "displayName"}]);
    s.scim.patch(&team.path, &patch(&remove))?.expect_error(400, Some("mutability"))?;
    ensure(s.scim.get("/Groups")?.total()? == total, || "a refused group was stored".into())?;
    s.scim.get(&team.path)?.expect(200)?.expect_at("/displayName", &json!("Team"))?;
    let same = s.scim.create_group("Team", &[])?;
    let found = s.scim.filter("/Groups", "displayName eq \"Team\"")?.expect(200)?;
    found.expect_set(&[&team.id, &same.id])?;
    Ok(())
}

fn k11(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let ben = s.scim.create_user("ben@example.com")?;
    let inner = s.scim.create_group("Inner", &[])?;
    // What the client says about the type and the name of a member does not make it so.
    let members = json!([
        {"value": ada.id, "type": "Group", "display": "Somebody", "$ref": null},
        {"value": inner.id},
    ]);
    let team = s.scim.create("/Groups", &with(group("Team", &[]), "members", members))?;
    let member = |answer: &Answer, id: &str| -> Result<Value, Finding> {
        let members = answer.array_at("/members")?;
        let found = members.iter().find(|member| member.get("value") == Some(&json!(id)));
        found.cloned().ok_or_else(|| answer.failed(&format!("{id} is no member")))
    };
    let read = s.scim.get(&team.path)?.expect(200)?;
    read.expect_absent("/members/2")?;
    for (resource, kind) in [(&ada, "User"), (&inner, "Group")] {
        let found = member(&read, &resource.id)?;
        let typed = found.get("type") == Some(&json!(kind));
        read.expect_that(typed, &format!("the type of {} is not {kind}", resource.id))?;
        let reference = found.get("$ref").and_then(Value::as_str).unwrap_or_default();
        let target = s.scim.follow(reference)?.expect(200)?;
        target.expect_at("/id", &json!(resource.id))?;
    }
    // Value and reference of an element stay; the element can go and another one come.
    for sub in ["value", "$ref"] {
        let path = format!("members[value eq \"{}\"].{sub}", ada.id);
        let value = if sub == "value" { &ben.id } else { &ben.location };
        let change = json!([{"op": "replace", "path": path, "value": value}]);
        s.scim.patch(&team.path, &patch(&change))?.expect_error(400, Some("mutability"))?;
    }
    s.scim.get(&team.path)?.expect(200)?.expect_at("/members", read.at("/members")?)?;
    let swap = json!([
        {"op": "remove", "path": format!("members[value eq \"{}\"]", ada.id)},
        {"op": "add", "path": "members", "value": [{"value": ben.id}]},
    ]);
    s.scim.patch(&team.path, &patch(&swap))?.expect_status(&[200, 204])?;
    let swapped = s.scim.get(&team.path)?.expect(200)?;
    member(&swapped, &ben.id)?;
    member(&swapped, &inner.id)?;
    swapped.expect_absent("/members/2")?;
    let replace = json!([{"op": "replace", "path": "members", "value": [{"value": ada.id}]}]);
    s.scim.patch(&team.path, &patch(&replace))?.expect_status(&[200, 204])?;
    let replaced = s.scim.get(&team.path)?.expect(200)?;
    member(&replaced, &ada.id)?;
    replaced.expect_absent("/members/1")?;
    Ok(())
}

fn k12(s: &Subject) -> Check {
    let boss = with(user("boss@example.com"), "displayName", json!("The Boss"));
    let boss = s.scim.create("/Users", &boss)?;
    let manager = json!({"manager": {"value": boss.id, "displayName": "Somebody else"}});
    let body = with(
        with(user("ada@example.com"), "schemas", json!([USER, ENTERPRISE])),
        ENTERPRISE,
        manager,
    );
    let ada = s.scim.create("/Users", &body)?;
    let at = |name: &str| format!("/{ENTERPRISE}/manager/{name}");
    let resolved = |answer: &Answer, name: &str| -> Check {
        answer
            .expect_at(&at("value"), &json!(boss.id))?
            .expect_at(&at("displayName"), &json!(name))?;
        let target = s.scim.follow(answer.text_at(&at("$ref"))?)?.expect(200)?;
        target.expect_at("/id", &json!(boss.id)).map(drop)
    };
    resolved(&s.scim.get(&ada.path)?.expect(200)?, "The Boss")?;
    resolved(&s.scim.put(&ada.path, &body)?.expect(200)?, "The Boss")?;
    let path = format!("{ENTERPRISE}:manager.displayName");
    let forge = json!([{"op": "replace", "path": path, "value": "Somebody else"}]);
    s.scim.patch(&ada.path, &patch(&forge))?.expect_error(400, Some("mutability"))?;
    let rename = json!([{"op": "replace", "path": "displayName", "value": "New Name"}]);
    s.scim.patch(&boss.path, &patch(&rename))?.expect_status(&[200, 204])?;
    resolved(&s.scim.get(&ada.path)?.expect(200)?, "New Name")?;
    let filter = format!("{ENTERPRISE}:manager.value eq \"{}\"", boss.id);
    s.scim.filter("/Users", &filter)?.expect(200)?.expect_ids(&[&ada.id])?;
    // Somebody who is gone is nobody's manager.
    s.scim.delete(&boss.path)?.expect(204)?;
    let read = s.scim.get(&ada.path)?.expect(200)?;
    read.expect_absent(&format!("/{ENTERPRISE}/manager"))?.expect_nowhere(&boss.id)?;
    Ok(())
}
