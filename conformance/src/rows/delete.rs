//! Deleting resources (RFC 7644 §3.6).

use serde_json::json;

use super::{Check, Row};
use crate::scim::{full_user, group, patch, user};
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row::new("D1", "SHALL", "RFC 7644 §3.6", "rfc_d1_delete_is_204", "204, no body", d1),
    Row::new(
        "D2",
        "MUST",
        "RFC 7644 §3.6",
        "rfc_d2_gone_is_404",
        "Afterwards GET/PUT/PATCH/DELETE on it give 404",
        d2,
    ),
    Row::new(
        "D3",
        "SHOULD NOT",
        "RFC 7644 §3.6",
        "rfc_d3_user_name_is_free_again",
        "A deleted userName is free again (no 409)",
        d3,
    ),
    Row::new(
        "D4",
        "—",
        "RFC 7643 §4.1.2",
        "rfc_d4_deletion_cleans_references",
        "Deleting a user removes it from groups' members and the group from `User.groups`",
        d4,
    ),
];

fn d1(s: &Subject) -> Check {
    let ada = s.scim.create("/Users", &full_user("ada@example.com"))?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    for path in [&ada.path, &tools.path] {
        let answer = s.scim.delete(path)?.expect(204)?;
        answer.expect_that(answer.text.is_empty(), "a 204 has no body")?;
        s.scim.get(path)?.expect_error(404, None)?;
    }
    Ok(())
}

fn d2(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let tools = s.scim.create_group("Tools", &[&ada.id])?;
    let rename = patch(&json!([{"op": "replace", "path": "displayName", "value": "x"}]));
    for (path, body) in [(&ada.path, user("ada@example.com")), (&tools.path, group("Tools", &[]))] {
        s.scim.delete(path)?.expect(204)?;
        for answer in [
            s.scim.get(path)?,
            s.scim.put(path, &body)?,
            s.scim.patch(path, &rename)?,
            s.scim.delete(path)?,
            s.scim.send("DELETE", path, &[("If-Match", "*")], None)?,
        ] {
            answer.expect_error(404, None)?;
        }
    }
    // It is gone for others' references as well.
    let sales = s.scim.create_group("Sales", &[])?;
    let add = json!([{"op": "add", "path": "members", "value": [{"value": ada.id}]}]);
    s.scim.patch(&sales.path, &patch(&add))?.expect_error(400, Some("invalidValue"))?;
    s.scim.get("/Users")?.expect(200)?.expect_ids(&[])?;
    Ok(())
}

fn d3(s: &Subject) -> Check {
    let old = s.scim.create("/Users", &full_user("ada@example.com"))?;
    s.scim.delete(&old.path)?.expect(204)?;
    let new = s.scim.create("/Users", &full_user("ADA@example.com"))?;
    s.scim.get(&old.path)?.expect_error(404, None)?;
    s.scim
        .filter("/Users", "userName eq \"ada@example.com\"")?
        .expect(200)?
        .expect_ids(&[&new.id])?;
    // Also for a rename by PUT and by PATCH.
    let ben = s.scim.create_user("ben@example.com")?;
    s.scim.delete(&new.path)?.expect(204)?;
    s.scim.put(&ben.path, &user("ada@example.com"))?.expect(200)?;
    s.scim.delete(&ben.path)?.expect(204)?;
    let cyd = s.scim.create_user("cyd@example.com")?;
    let rename = json!([{"op": "replace", "path": "userName", "value": "ada@example.com"}]);
    s.scim.apply(&cyd.path, &rename)?;
    Ok(())
}

fn d4(s: &Subject) -> Check {
    let ada = s.scim.create_user("ada@example.com")?;
    let ben = s.scim.create_user("ben@example.com")?;
    let tools = s.scim.create_group("Tools", &[&ada.id, &ben.id])?;
    let only = s.scim.create_group("Only", &[&ada.id])?;
    let outer = s.scim.create_group("Outer", &[&tools.id])?;

    s.scim.delete(&ada.path)?.expect(204)?;
    let after = s.scim.get(&tools.path)?.expect(200)?;
    after.expect_nowhere(&ada.id)?;
    after.expect_at("/members/0/value", &json!(ben.id))?;
    after.expect_absent("/members/1")?;
    after.expect_that(after.header("etag") != tools.etag.as_deref(), "the version must move")?;
    s.scim.get(&only.path)?.expect(200)?.expect_unassigned("/members")?;
    let by_member = format!("members[value eq \"{}\"]", ada.id);
    s.scim.filter("/Groups", &by_member)?.expect(200)?.expect_ids(&[])?;

    let member = s.scim.get(&ben.path)?.expect(200)?;
    member.expect_contains(&json!({"groups": [{"value": tools.id}, {"value": outer.id}]}))?;
    s.scim.delete(&tools.path)?.expect(204)?;
    let left = s.scim.get(&ben.path)?.expect(200)?;
    left.expect_unassigned("/groups")?;
    s.scim.get(&outer.path)?.expect(200)?.expect_unassigned("/members")?;
    Ok(())
}
