//! DELETE /Users/{id} (RFC 7644 §3.6).

use super::{create, plain_user};
use crate::on_both_databases;
use crate::support::{TestApp, group, patch};

use serde_json::json;

on_both_databases![
    delete_answers_204_and_then_404_under_every_method,
    delete_frees_the_user_name_at_once,
    delete_tells_the_app_the_memberships_and_then_the_user,
    delete_of_an_inactive_user_is_obeyed,
    delete_of_an_unknown_user_is_404,
    delete_as_the_wrong_type_is_404_and_deletes_nothing,
];

fn delete_answers_204_and_then_404_under_every_method(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada"));
    let path = format!("/Users/{id}");
    let gone = app.scim.delete(&path).expect(204);
    assert_eq!(gone.text, "");
    let replace = patch(json!([{"op": "replace", "path": "title", "value": "x"}]));
    for answer in [
        app.scim.get(&path),
        app.scim.put(&path, plain_user("ada")),
        app.scim.patch(&path, replace),
        app.scim.delete(&path),
    ] {
        let detail = answer.expect_scim_error(404, None);
        assert!(detail.contains(&id), "{detail}");
    }
    assert_eq!(app.scim.get("/Users").total(), 0);
    assert_eq!(app.scim.filter("/Users", &format!("id eq \"{id}\"")).total(), 0);
    let answer = app.scim.post("/Groups", group("A", &[&id]));
    answer.expect_scim_error(400, Some("invalidValue"));
}

fn delete_frees_the_user_name_at_once(app: &TestApp) {
    let first = create(&app.scim, "/Users", plain_user("ada"));
    app.scim.delete(&format!("/Users/{first}")).expect(204);
    let second = create(&app.scim, "/Users", plain_user("ada"));
    assert_ne!(first, second);
    assert_eq!(app.scim.filter("/Users", "userName eq \"ada\"").ids(), [second]);
}

fn delete_tells_the_app_the_memberships_and_then_the_user(app: &TestApp) {
    let id = create(&app.scim, "/Users", plain_user("ada"));
    let first = create(&app.scim, "/Groups", group("A", &[&id]));
    let second = create(&app.scim, "/Groups", group("B", &[&id]));
    create(&app.scim, "/Groups", group("C", &[&first]));
    let before = app.events(&app.directory).len();
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    let told: Vec<_> = app
        .events(&app.directory)
        .into_iter()
        .skip(before)
        .map(|(name, data)| (name, data["group"]["id"].clone(), data["user"]["id"].clone()))
        .collect();
    let removed = "dsync.group.user_removed".to_owned();
    assert_eq!(
        told,
        [
            (removed.clone(), json!(first), json!(id)),
            (removed, json!(second), json!(id)),
            ("dsync.user.deleted".to_owned(), json!(null), json!(null)),
        ]
    );
}

fn delete_of_an_inactive_user_is_obeyed(app: &TestApp) {
    let mut body = plain_user("ada");
    body["active"] = json!(false);
    let id = create(&app.scim, "/Users", body);
    app.scim.delete(&format!("/Users/{id}")).expect(204);
    assert_eq!(app.event_names(&app.directory), ["dsync.user.created", "dsync.user.deleted"]);
    assert_eq!(app.scim.get("/Users").total(), 0);
    assert_eq!(app.scim.filter("/Users", "active eq false").total(), 0);
}

fn delete_of_an_unknown_user_is_404(app: &TestApp) {
    for id in ["directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "%00", "%C3%A9", "a%2Fb"] {
        app.scim.delete(&format!("/Users/{id}")).expect_scim_error(404, None);
    }
    assert_eq!(app.event_names(&app.directory), Vec::<String>::new());
}

fn delete_as_the_wrong_type_is_404_and_deletes_nothing(app: &TestApp) {
    let user = create(&app.scim, "/Users", plain_user("ada"));
    let group = create(&app.scim, "/Groups", group("A", &[&user]));
    app.scim.delete(&format!("/Groups/{user}")).expect_scim_error(404, None);
    app.scim.delete(&format!("/Users/{group}")).expect_scim_error(404, None);
    app.scim.get(&format!("/Users/{user}")).expect(200);
    let kept = app.scim.get(&format!("/Groups/{group}")).expect(200);
    assert_eq!(kept.body["members"][0]["value"], user.as_str());
}
