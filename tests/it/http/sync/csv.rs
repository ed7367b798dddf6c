//! `pull.csv`: files that are handed in or laid into a folder.

use serde_json::json;

use super::{Source, numbered};
use crate::http::{api_error, assert_invalid};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    file_becomes_users_groups_and_memberships_and_again_changes_nothing,
    changes_of_a_file_are_told_as_what_they_are,
    bad_file_changes_nothing_and_is_told_by_line,
    upsert_and_action_files_leave_others_alone,
    columns_beside_are_for_maps_and_empty_cells_clear,
    filter_and_scope_decide_who_comes_in,
    file_in_the_folder_is_taken_once,
    file_ends_what_waits_by_the_one_before,
    run_that_has_read_the_file_before_decides_nothing,
    file_that_is_deleted_decides_nothing_any_more,
    file_that_was_taken_and_not_read_comes_before_the_next_one,
    wrong_files_are_refused,
    many_new_users_have_each_their_own_values,
];

const STAFF: &str = "id,userName,First Name,Manager,Status,Groups,Shoe\n\
     1,ada@example.com,Ada,,active,Staff;Heads,41\n\
     2,ben@example.com,Ben,1,active,Staff,43\n\
     3,cy@example.com,Cy,1,inactive,,44\n";

fn file_becomes_users_groups_and_memberships_and_again_changes_nothing(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", STAFF);
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!((&tested["ok"], &tested["users"]), (&json!(true), &json!(3)), "{tested}");
    assert_eq!(source.events(), 0, "nobody is told of a directory that was not read yet");
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 3);
    assert_eq!(run["counts"]["groups"]["created"], 2);
    assert_eq!(run["counts"]["memberships"]["added"], 3);
    let mut told = source.told(0);
    assert_eq!(told.remove(0), "activated -");
    told.sort_unstable();
    let expected = [
        "group.created Heads",
        "group.created Staff",
        "group.user_added 1 Heads",
        "group.user_added 1 Staff",
        "group.user_added 2 Staff",
        "user.created 1",
        "user.created 2",
        "user.created 3",
    ];
    assert_eq!(told, expected);
    let view = source.view();
    assert_eq!((&view["state"], &view["last_error"]), (&json!("linked"), &json!(null)));
    assert_eq!(view["last_sync_counts"], run["counts"]);
    assert_eq!(source.users()["3"], "cy@example.com inactive");
    let ada = source.user("1");
    let ben = source.user("2");
    assert_eq!(ben["custom_attributes"], json!({}));
    let manager =
        &ben["raw_attributes"]["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"];
    assert_eq!(manager["manager"]["value"], ada["id"]);
    assert_eq!(ada["raw_attributes"]["Shoe"], "41");

    let told = source.events();
    for body in [json!({}), json!({"mode": "full"}), json!({})] {
        let again = source.run(body);
        assert_eq!(again["status"], "completed", "{again}");
        assert_eq!(again["counts"]["users"]["unchanged"], 3, "{again}");
        assert_eq!(again["counts"]["groups"]["unchanged"], 2, "{again}");
        assert_eq!(again["counts"]["memberships"], json!({"added": 0, "removed": 0, "unknown": 0}));
    }
    assert_eq!(source.told(told), [""; 0]);
}

fn changes_of_a_file_are_told_as_what_they_are(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", STAFF);
    source.sync();
    let (told, ada) = (source.events(), source.user("1")["id"].clone());
    // Ada is renamed, Ben has left, Cy is back, and somebody else has Ben's name.
    let dry = |source: &Source<'_>| source.run(json!({"dry_run": true}));
    source.upload(
        "users",
        "id,userName,First Name,Manager,Status,Groups,Shoe\n\
         1,ada.king@example.com,Ada,,active,Heads,41\n\
         3,cy@example.com,Cy,1,active,,44\n\
         4,ben@example.com,Ben,1,active,Staff,43\n",
    );
    let planned = dry(&source);
    assert_eq!((&planned["status"], &planned["dry_run"]), (&json!("completed"), &json!(true)));
    assert_eq!(
        source.diff(&planned),
        [
            "add membership 4 planned",
            "create user 4 planned",
            "delete user 2 planned",
            "remove membership 1 planned",
            "update user 1 planned",
            "update user 3 planned",
        ]
    );
    assert_eq!(source.events(), told, "a dry run changes nothing");
    let run = source.sync();
    let mut expected = planned["counts"].clone();
    assert_eq!(run["counts"], expected.take());
    let mut told = source.told(told);
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "group.user_added 4 Staff",
            "group.user_removed 1 Staff",
            "group.user_removed 2 Staff",
            "user.created 4",
            "user.deleted 2",
            "user.updated 1",
            "user.updated 3",
        ]
    );
    assert_eq!(source.user("1")["id"], ada, "a rename is the same user");
    let gone = ("dsync.user.deleted".to_owned(), Some("pull_missing".to_owned()));
    assert!(source.reasons().contains(&gone), "{:?}", source.reasons());
    assert_eq!(source.diff(&run), ["delete user 2 applied", "remove membership 1 applied"]);

    // Inactive by its word, not by its absence.
    let told = source.events();
    source.upload(
        "users",
        "id,userName,Status\n1,ada.king@example.com,terminated\n\
        3,cy@example.com,active\n4,ben@example.com,active\n",
    );
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["deactivated"], 1);
    assert_eq!(source.told(told), ["user.updated 1"]);
    let suspended = ("dsync.user.updated".to_owned(), Some("pull_suspended".to_owned()));
    assert_eq!(source.reasons().last(), Some(&suspended));
    // The file said nothing about groups, so they stay.
    assert_eq!(run["counts"]["groups"]["deleted"], 0);
}

fn bad_file_changes_nothing_and_is_told_by_line(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", STAFF);
    source.sync();
    let (told, users) = (source.events(), source.users());
    let run =
        source.sync_users("id,userName,Status\n1,new@example.com,active\n,x,active\n2,y,perhaps\n");
    assert_eq!(run["status"], "failed", "{run}");
    let error = run["error"].as_str().expect("an error");
    assert!(error.contains("nothing was applied") && error.contains("line 3 of users"), "{error}");
    assert_eq!(
        source.diff(&run),
        ["skip user line 3 of users failed", "skip user line 4 of users failed"]
    );
    assert_eq!((source.events(), source.users()), (told, users.clone()));
    let view = source.view();
    assert_eq!((&view["state"], &view["last_error"]), (&json!("error"), &run["error"]));
    // What only the store would refuse is found before anything is stored, too.
    let long = "x".repeat(600);
    let run = source.sync_users(&format!("id,userName\n1,{long}\n9,fine@example.com\n"));
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(source.users(), users);
    // With patience for a faulty row the others go on, but nobody counts as missing.
    let config = json!({"config": {"max_errors": 1}});
    app.api.patch(&source.path, config).expect(200);
    let run = source.sync_users("id,userName\n1,ada@example.com\n,x\n9,new@example.com\n");
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["users"]["failed"], 1);
    let spared = "2 users, groups and memberships that it does not list";
    assert!(run["error"].as_str().is_some_and(|error| error.contains(spared)), "{run}");
    assert_eq!(source.users().len(), 4);
    assert_eq!(source.view()["state"], "linked");
}

fn upsert_and_action_files_leave_others_alone(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"mode": "upsert"}), json!({}));
    source.sync_users(&numbered(1..=5));
    let run = source.sync_users("id,userName\n2,two@example.com\n6,user6@example.com\n");
    assert_eq!(run["counts"]["users"]["updated"], 1, "{run}");
    assert_eq!(source.users().len(), 6);
    app.api.patch(&source.path, json!({"config": {"mode": "action"}})).expect(200);
    let run = source.sync_users(
        "id,userName,action\n2,two@example.com,delete\n3,user3@example.com,deactivate\n\
         7,user7@example.com,upsert\n99,nobody@example.com,delete\n",
    );
    let users = &run["counts"]["users"];
    assert_eq!(
        [&users["deleted"], &users["deactivated"], &users["created"], &users["failed"]],
        [1, 1, 1, 0],
        "{run}"
    );
    assert_eq!(source.users().len(), 6);
    assert_eq!(source.users()["3"], "user3@example.com inactive");
}

fn columns_beside_are_for_maps_and_empty_cells_clear(app: &TestApp) {
    let config = json!({"columns": {"Remark": "ignore", "Position in firm": "title"}});
    let source = Source::new(app, "pull.csv", config, json!({}));
    let map =
        json!({"attributes": {"site": {"expression": "raw['Office site']"}, "job_title": {}}});
    app.api.put(&format!("{}/attribute_map", source.path), map).expect(200);
    source.sync_users(
        "id,userName,Position in firm,Office site,Remark\n1,ada@example.com,Head,West,x\n",
    );
    let ada = source.user("1");
    assert_eq!(ada["custom_attributes"], json!({"job_title": "Head", "site": "West"}));
    assert!(ada["raw_attributes"].get("Remark").is_none());
    // A column that is not there says nothing; an empty cell says that there is nothing.
    source.sync_users("id,userName,Position in firm\n1,ada@example.com,\n");
    let ada = source.user("1");
    assert_eq!(ada["custom_attributes"], json!({"site": "West"}));
    assert_eq!(ada["job_title"], json!(null));
}

fn filter_and_scope_decide_who_comes_in(app: &TestApp) {
    let settings = json!({"filter": "envelope.kind != 'account' || payload.Department != 'Shop'"});
    let source = Source::new(app, "pull.csv", json!({}), settings);
    let users = "id,userName,Department,Groups\n1,ada@example.com,R&D,Staff\n\
                 2,ben@example.com,Shop,Staff\n3,cy@example.com,R&D,Guests\n";
    let run = source.sync_users(users);
    assert_eq!(run["counts"]["users"]["created"], 2, "{run}");
    // What other settings would do is seen before they are.
    let wanted = json!({"group_scope": ["Guests"]});
    let body = json!({"dry_run": true, "settings": wanted});
    let planned = source.run(body);
    assert_eq!(planned["status"], "completed", "{planned}");
    assert_eq!(
        source.diff(&planned),
        ["delete group Staff planned", "delete user 1 planned"],
        "{planned}"
    );
    // A name that no group has is told, and lets in nobody.
    let mistyped = json!({"group_scope": ["Guests", "Staf"]});
    let run = source.run(json!({"dry_run": true, "settings": mistyped}));
    assert_eq!(run["error"], "group_scope names what is no group: Staf");
    app.api.patch(&source.path, json!({"settings": wanted})).expect(200);
    assert_eq!(source.sync()["counts"]["users"]["deleted"], 1);
    assert_eq!(source.users().into_keys().collect::<Vec<_>>(), ["3"]);
    let out = Some("out_of_scope".to_owned());
    assert!(source.reasons().contains(&("dsync.user.deleted".to_owned(), out)));

    let settings = json!({"disable_group_sync": true, "filter": "resource != '3'"});
    app.api.patch(&source.path, json!({"settings": settings})).expect(200);
    source.sync();
    assert_eq!(source.users().into_keys().collect::<Vec<_>>(), ["1", "2"]);
    let excluded = ("dsync.user.deleted".to_owned(), Some("filter_excluded".to_owned()));
    assert_eq!(source.reasons().last(), Some(&excluded));
    let told = source.told(0);
    assert!(told.contains(&"group.deleted Guests".to_owned()), "{told:?}");

    // An expression that fails for somebody never decides about anybody.
    let settings = json!({"filter": "payload.Level == 'x'"});
    app.api.patch(&source.path, json!({"settings": settings})).expect(200);
    let run = source.run(json!({}));
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(source.users().len(), 2);
}

fn file_in_the_folder_is_taken_once(app: &TestApp) {
    let source = Source::csv(app);
    let folder = app.database.folder.path().join("data/inbox").join(&source.handle.id);
    std::fs::create_dir_all(&folder).expect("a folder");
    let lay = |name: &str, text: &str| {
        std::fs::write(folder.join("new"), text).expect("written");
        std::fs::rename(folder.join("new"), folder.join(name)).expect("in place");
    };
    let look = || {
        let service = std::sync::Arc::clone(app.service());
        app.wait(async move { service.take_inbox().await }).expect("a look");
    };
    let runs = || app.api.get(&format!("{}/syncs", source.path)).expect(200).body["data"].clone();
    lay("users.csv", &numbered(1..=2));
    look();
    assert_eq!(runs(), json!([]), "nobody has asked for the folder to be watched");
    app.api.patch(&source.path, json!({"config": {"watch": true}})).expect(200);
    look();
    let taken = runs();
    assert_eq!(taken.as_array().map(Vec::len), Some(1), "{taken}");
    let run = source.ended(taken[0]["id"].as_str().expect("an id"));
    assert_eq!((&run["status"], &run["cause"]), (&json!("completed"), &json!("file")), "{run}");
    assert_eq!(source.users().len(), 2);
    assert!(folder.join("users.csv.done").exists() && !folder.join("users.csv").exists());
    look();
    assert_eq!(runs().as_array().map(Vec::len), Some(1));
}

fn file_ends_what_waits_by_the_one_before(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&numbered(1..=40));
    let half = source.sync_users(&numbered(1..=20));
    assert_eq!(half["status"], "held", "{half}");
    // The file was cut off; nobody may approve what was found in it any more.
    source.upload("users", &numbered(1..=40));
    assert_eq!(source.ended(half["id"].as_str().expect("an id"))["status"], "cancelled");
    api_error(&source.decide(&half, "approve"), 409, "not_held");
    assert_eq!(source.users().len(), 40);
}

fn run_that_has_read_the_file_before_decides_nothing(app: &TestApp) {
    let source = Source::csv(app);
    let file = |users: std::ops::RangeInclusive<usize>, title: &str| {
        let rows = users.map(|n| format!("{n},user{n},{title}\n"));
        format!("id,userName,title\n{}", rows.collect::<String>())
    };
    source.sync_users(&file(1..=1_500, "Desk"));
    // Half of a file, of which much is written before it ends as held.
    source.upload("users", &file(1..=750, "Hall"));
    let asked = app.api.post(&format!("{}/sync", source.path), json!({})).expect(202).id();
    let told = source.events();
    while source.events() == told {
        std::thread::yield_now();
    }
    source.upload("users", &file(1..=1_500, "Hall"));
    let ended = source.ended(&asked);
    assert_eq!(ended["status"], "cancelled", "{ended}");
    api_error(&source.decide(&ended, "approve"), 409, "not_held");
    assert_eq!(source.sync()["counts"]["users"]["deleted"], 0);
}

fn file_that_is_deleted_decides_nothing_any_more(app: &TestApp) {
    let source = Source::csv(app);
    let file = |users: std::ops::RangeInclusive<usize>, title: &str| {
        let rows = users.map(|n| format!("{n},user{n},{title}\n"));
        format!("id,userName,title\n{}", rows.collect::<String>())
    };
    let delete = || app.api.delete(&format!("{}/files/users", source.path)).expect(204);
    source.sync_users(&file(1..=1_500, "Desk"));
    // A run that waits, and one that reads it while it is deleted.
    let half = source.sync_users(&file(1..=750, "Desk"));
    assert_eq!(half["status"], "held", "{half}");
    delete();
    assert_eq!(source.ended(half["id"].as_str().expect("an id"))["status"], "cancelled");
    api_error(&source.decide(&half, "approve"), 409, "not_held");

    source.upload("users", &file(1..=750, "Hall"));
    let asked = app.api.post(&format!("{}/sync", source.path), json!({})).expect(202).id();
    let told = source.events();
    while source.events() == told {
        std::thread::yield_now();
    }
    delete();
    let ended = source.ended(&asked);
    assert_eq!(ended["status"], "cancelled", "{ended}");
    api_error(&source.decide(&ended, "approve"), 409, "not_held");
}

fn file_that_was_taken_and_not_read_comes_before_the_next_one(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"watch": true}), json!({}));
    let folder = app.database.folder.path().join("data/inbox").join(&source.handle.id);
    std::fs::create_dir_all(&folder).expect("a folder");
    // A server was killed after it had taken the first one; the second one was laid in since.
    std::fs::write(folder.join("new"), numbered(1..=2)).expect("written");
    std::fs::write(folder.join("users.csv.taken"), numbered(1..=1)).expect("written");
    std::fs::rename(folder.join("new"), folder.join("users.csv")).expect("in place");
    let second = loop {
        let runs = app.api.get(&format!("{}/syncs", source.path)).expect(200).body;
        match runs["data"].as_array().map(Vec::len) {
            Some(2) => break source.next_run(2),
            _ => std::thread::yield_now(),
        }
    };
    assert_eq!((&second["status"], source.users().len()), (&json!("completed"), 2), "{second}");
    // The mark comes after the run is asked for.
    let names = || {
        let names = std::fs::read_dir(&folder).expect("a folder").flatten();
        names.map(|file| file.file_name()).collect::<Vec<_>>()
    };
    while names() != ["users.csv.done"] {
        std::thread::yield_now();
    }
}

fn wrong_files_are_refused(app: &TestApp) {
    let source = Source::csv(app);
    let put = |name: &str, kind: &str, body: &str| {
        let path = format!("{}/files/{name}", source.path);
        app.api.send("PUT", &path, &[("Content-Type", kind)], Some(body.to_owned()))
    };
    api_error(&put("people", "text/csv", "x"), 404, "entity_not_found");
    api_error(&put("users", "application/json", "x"), 415, "unsupported_media_type");
    assert_invalid(&put("users", "text/csv", ""), "file");
    let run = source.run(json!({}));
    assert_eq!(run["status"], "failed");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("no file of users")));
    put("users", "text/csv", "id,userName\n").expect(200);
    let files = app.api.get(&format!("{}/files", source.path)).expect(200).body;
    assert_eq!(
        (&files["data"][0]["name"], &files["data"][0]["bytes"]),
        (&json!("users"), &json!(12))
    );
    app.api.delete(&format!("{}/files/users", source.path)).expect(204);
    app.api.delete(&format!("{}/files/users", source.path)).expect(404);
    let pushed = format!("/api/v1/directories/{}/files/users", app.directory.id);
    let answer = app.api.send("PUT", &pushed, &[("Content-Type", "text/csv")], Some("x".into()));
    api_error(&answer, 404, "entity_not_found");
}

/// More than go into one statement, and into one unit, where they are written together.
fn many_new_users_have_each_their_own_values(app: &TestApp) {
    let source = Source::csv(app);
    let all = 1..=620;
    let rows = all.clone().map(|n| format!("{n},user{n}@example.com,mail{n}@example.com,All\n"));
    source.upload("users", &format!("id,userName,email,Groups\n{}", rows.collect::<String>()));
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 620, "{run}");
    assert_eq!(run["counts"]["memberships"]["added"], 620, "{run}");
    let mut told = source.told(0);
    told.sort_unstable();
    let mut expected = vec!["activated -".to_owned(), "group.created All".to_owned()];
    for n in all {
        expected.extend([format!("user.created {n}"), format!("group.user_added {n} All")]);
    }
    expected.sort_unstable();
    assert_eq!(told, expected);
    for n in [1, 100, 101, 499, 500, 501, 600, 601, 620] {
        let query = format!("directory={}&email=mail{n}@example.com", source.handle.id);
        let listed = app.api.get(&format!("/directory_users?{query}")).expect(200).body;
        let found: Vec<&serde_json::Value> =
            listed["data"].as_array().expect("a list").iter().map(|user| &user["idp_id"]).collect();
        assert_eq!(found, [&json!(n.to_string())], "who has the address is found by it");
    }
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 620);
}
