//! Profile, settings and maps of a directory, with what would follow from them.

use serde_json::{Value, json};

use super::{done, hides, path, shows};
use crate::on_both_databases;
use crate::support::{TestApp, user};

on_both_databases![
    flags_are_overridden_and_say_where_they_come_from,
    common_settings_leave_the_others_alone,
    settings_are_previewed_and_refused,
    directory_is_renamed,
    attribute_map_is_tried_before_it_is_stored,
    role_map_is_tried_before_it_is_stored,
];

#[track_caller]
fn view(app: &TestApp) -> Value {
    app.api.get(&format!("/api/v1/directories/{}", app.directory.id)).expect(200).body
}

fn flags_are_overridden_and_say_where_they_come_from(app: &TestApp) {
    let browser = app.signed_in("operator");
    let profile = format!("{}/profile", path(app));
    shows(&browser.get(&profile).expect(200), &["id=\"boolean_text\"", "default", "none (true)"]);
    let fields = [("flag", "boolean_text"), ("value", "false")];
    let page = done(&browser, &profile, &fields);
    shows(&page, &["The profile is stored", "set here"]);
    assert_eq!(view(app)["settings"]["profile"], json!({"boolean_text": false}));
    let wrong = browser.submit(&profile, &[("flag", "negative_count"), ("value", "9")]);
    shows(&wrong.expect(422), &["overrides.negative_count"]);
    hides(&done(&browser, &profile, &[("flag", "boolean_text"), ("value", "")]), &["set here"]);
    assert_eq!(view(app)["settings"].get("profile"), None);
}

fn common_settings_leave_the_others_alone(app: &TestApp) {
    app.settings(&app.directory, json!({"brake": "hold", "records": {"count": 50}}));
    let browser = app.signed_in("operator");
    let settings = format!("{}/settings", path(app));
    let fields = [
        ("do", "store"),
        ("settings.inactive_users", "delete"),
        ("settings.delete", "remove"),
        ("settings.grace_period", "30d"),
        ("settings.rate_limit", "200/1000"),
        ("settings.records_days", "3"),
        ("settings.strip_groups_when_inactive", "on"),
    ];
    let page = done(&browser, &settings, &fields);
    shows(&page, &["The settings are stored.", "value=\"30d\"", "value=\"200/1000\""]);
    let expected = json!({
        "brake": "hold", "records": {"count": 50, "days": 3}, "inactive_users": "delete",
        "delete": "remove", "grace_period": "30d", "rate_limit": "200/1000",
        "strip_groups_when_inactive": true,
    });
    assert_eq!(view(app)["settings"], expected);
    let wrong = [("do", "store"), ("settings.grace_period", "soon")];
    let refused = browser.submit(&settings, &wrong).expect(422);
    shows(&refused, &["id=\"settings-grace-period-fault\"", "value=\"soon\""]);
    assert_eq!(view(app)["settings"], expected);
}

fn settings_are_previewed_and_refused(app: &TestApp) {
    let mut ada = user("ada@example.com");
    ada["active"] = false.into();
    app.scim.post("/Users", ada).expect(201);
    let browser = app.signed_in("operator");
    let settings = format!("{}/settings", path(app));
    let wanted = "{\"inactive_users\": \"delete\"}";
    let page = browser.submit(&settings, &[("settings", wanted), ("do", "preview")]).expect(200);
    shows(&page, &["told something of 1 user", "ada@example.com", "dsync.user.deleted"]);
    assert_eq!(view(app)["settings"], json!({}));
    let none = browser.submit(&settings, &[("settings", "{}"), ("do", "preview")]).expect(200);
    shows(&none, &["The app would be told nothing"]);
    for (wrong, told) in [
        ("{", "it is not JSON"),
        ("[]", "it must be an object"),
        ("{\"colour\": 1}", "unknown field"),
        ("{\"filter\": \"\\u0000\"}", "U+0000"),
    ] {
        let refused = browser.submit(&settings, &[("settings", wrong), ("do", "store")]);
        shows(&refused.expect(422), &[told]);
    }
    let stored = done(&browser, &settings, &[("settings", wanted), ("do", "store")]);
    shows(&stored, &["The settings are stored."]);
    assert_eq!(view(app)["settings"], json!({"inactive_users": "delete"}));
}

fn directory_is_renamed(app: &TestApp) {
    let browser = app.signed_in("operator");
    let name = format!("{}/name", path(app));
    shows(&done(&browser, &name, &[("name", "Theirs")]), &["<h1>Theirs", "has its new name"]);
    shows(&browser.submit(&name, &[("name", "")]).expect(422), &["it must not be empty"]);
    assert_eq!(view(app)["name"], "Theirs");
}

fn attribute_map_is_tried_before_it_is_stored(app: &TestApp) {
    let mut ada = user("ada@example.com");
    ada["title"] = "Engineer".into();
    app.scim.post("/Users", ada).expect(201);
    let browser = app.signed_in("operator");
    let (map, page) = (format!("{}/attribute_map", path(app)), format!("{}/mapping", path(app)));
    let wanted = r#"{"job_title": {}, "badge": {"expression": "raw.badge", "required": true}}"#;
    let tried = browser.submit(&map, &[("map", wanted), ("do", "preview")]).expect(200);
    shows(&tried, &["1 of the first 1 user would change", "Engineer", "badge</code>: missing"]);
    shows(&browser.get(&page).expect(200), &["Nobody lacks anything."]);
    for (wrong, told) in [
        ("{", "it is not JSON"),
        (r#"{"x": {"expression": "1 +"}}"#, "attributes.x"),
        ("[1]", "attributes"),
    ] {
        let refused = browser.submit(&map, &[("map", wrong), ("do", "store")]).expect(422);
        shows(&refused, &["role=\"alert\"", told]);
    }
    let stored = done(&browser, &map, &[("map", wanted), ("do", "store")]);
    shows(&stored, &["The attribute map is stored.", "1 user: a required attribute is missing"]);
}

fn role_map_is_tried_before_it_is_stored(app: &TestApp) {
    app.scim.post("/Users", user("ada@example.com")).expect(201);
    let browser = app.signed_in("operator");
    let map = format!("{}/role_map", path(app));
    let wanted = r#"{"rules": [], "default_role": "member"}"#;
    let tried = browser.submit(&map, &[("map", wanted), ("do", "preview")]).expect(200);
    shows(&tried, &["1 of the first 1 user would change", "[&#34;member&#34;]"]);
    let unknown = r#"{"rules": [{"role": "admin", "group": "directory_group_none"}]}"#;
    let refused = browser.submit(&map, &[("map", unknown), ("do", "store")]).expect(422);
    shows(&refused, &["is no id of a group"]);
    shows(&done(&browser, &map, &[("map", wanted), ("do", "store")]), &["The role map is stored."]);
}
