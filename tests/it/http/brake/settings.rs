//! The settings of a brake, and what it shows.

use serde_json::json;

use super::{brake, delete, path, set_active, shown, users};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    brake_alarms_unless_told_otherwise,
    brake_is_a_setting_of_the_directory,
    wrong_settings_are_refused_with_what_is_allowed,
    nothing_to_decide_is_409,
    brake_that_is_off_counts_nothing,
];

fn brake_alarms_unless_told_otherwise(app: &TestApp) {
    let found = shown(app);
    assert_eq!(found["mode"], "alarm");
    assert_eq!(found["state"], "open");
    assert_eq!(found["since"], json!(null));
    assert_eq!(
        found["limits"],
        json!({
            "users": {"at_least": 3, "more_than": 20, "percent": 10},
            "memberships": {"at_least": 10, "more_than": 20, "percent": 10},
            "role_groups": 1,
        })
    );
    assert_eq!(found["held"], json!({"events": 0, "oldest_at": null}));
    let [ada, ben] = &users(app, &["ada", "ben"])[..] else { panic!("two users") };
    set_active(app, ada, false);
    delete(app, &format!("/Users/{ben}"));
    assert_eq!(shown(app)["lately"]["users"], 2);
}

fn brake_is_a_setting_of_the_directory(app: &TestApp) {
    app.settings(&app.directory, json!({"brake": "hold", "inactive_users": "delete"}));
    assert_eq!(shown(app)["mode"], "hold");
    brake(app, json!({"mode": "off"}));
    let one = app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200);
    assert_eq!(
        one.body["settings"],
        json!({"brake": {"mode": "off"}, "inactive_users": "delete"}),
        "the other settings stay"
    );
    let limit = json!({"at_least": 1, "more_than": 500, "percent": 50});
    brake(app, json!({"mode": "hold", "limits": {"users": limit}}));
    let found = shown(app);
    assert_eq!(found["limits"]["users"], limit);
    assert_eq!(found["limits"]["memberships"]["more_than"], 20);
}

fn wrong_settings_are_refused_with_what_is_allowed(app: &TestApp) {
    for wrong in [
        json!({"mode": "on"}),
        json!({"mode": "hold", "limits": {"users": {"at_least": 0, "more_than": 1, "percent": 1}}}),
        json!({"mode": "hold", "limits": {"groups": 1}}),
        json!({"mode": null}),
    ] {
        assert_invalid(&app.api.put(&path(app, ""), wrong), "brake");
    }
    api_error(&app.api.put(&path(app, ""), json!({})), 422, "invalid_request_parameters");
    let directory = format!("/api/v1/directories/{}", app.directory.id);
    let answer = app.api.patch(&directory, json!({"settings": {"brake": "on"}}));
    assert_invalid(&answer, "settings.brake");
    assert_eq!(shown(app)["mode"], "alarm");
}

fn nothing_to_decide_is_409(app: &TestApp) {
    for what in ["/release", "/undo"] {
        api_error(&app.api.post(&path(app, what), json!({})), 409, "brake_not_holding");
    }
    let missing = "/api/v1/directories/directory_01ARZ3NDEKTSV4RRFFQ69G5FAV/brake";
    api_error(&app.api.get(missing), 404, "entity_not_found");
}

fn brake_that_is_off_counts_nothing(app: &TestApp) {
    brake(app, json!({"mode": "off"}));
    for id in users(app, &["a", "b", "c", "d"]) {
        delete(app, &format!("/Users/{id}"));
    }
    let found = shown(app);
    assert_eq!((&found["lately"]["users"], &found["state"]), (&json!(0), &json!("open")));
}
