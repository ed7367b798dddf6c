//! Files that are damaged, cut off or made otherwise than the one before: nobody loses anything by it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::Source;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    file_that_breaks_off_inside_of_a_cell_takes_nobody_away,
    letter_case_of_a_name_or_an_address_is_no_other_key,
    column_that_is_missing_takes_no_name_away,
    row_of_a_list_of_changes_says_all_groups_of_its_user,
    membership_of_nobody_is_counted_and_shown,
    diff_shows_names_as_they_are_written,
    end_of_a_missing_group_and_membership_says_why,
    source_without_a_file_fails_its_test,
    file_of_which_no_row_can_be_used_is_a_failure,
    file_in_the_folder_that_cannot_be_taken_is_a_failed_run,
    files_that_are_taken_together_are_refused_together,
    faulty_row_that_ends_an_access_ends_it,
    refused_row_puts_nobody_into_a_group,
    row_that_ends_an_access_ends_it_by_one_word_of_two,
    members_of_one_cell_are_each_a_member,
];

/// Users with a number in the last column.
fn with_numbers(last: impl Iterator<Item = (usize, String)>) -> String {
    let rows = last.map(|(n, cell)| format!("{n},user{n}@example.com,{cell}\n"));
    format!("id,userName,Desk\n{}", rows.collect::<String>())
}

fn file_that_breaks_off_inside_of_a_cell_takes_nobody_away(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(&with_numbers((1..=9).map(|n| (n, format!("\"{n}\"")))));
    let told = source.events();
    // A mark is left behind in the line of 7: to the end of the file, or to the next mark.
    for behind in ["8", "\"8\""] {
        let cell = |n: usize| match n {
            7 => "\"7".to_owned(),
            8 => behind.to_owned(),
            n => n.to_string(),
        };
        let run = source.sync_users(&with_numbers((1..=9).map(|n| (n, cell(n)))));
        assert_eq!(run["status"], "failed", "{run}");
        assert!(run["error"].as_str().is_some_and(|error| error.contains("line 8")), "{run}");
    }
    // Also where faulty rows are borne.
    app.api.patch(&source.path, json!({"config": {"max_errors": 5}})).expect(200);
    let cell = |n: usize| if n == 7 { "\"7".to_owned() } else { n.to_string() };
    let run = source.sync_users(&with_numbers((1..=8).map(|n| (n, cell(n)))));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!((source.users().len(), source.events()), (9, told));
}

fn letter_case_of_a_name_or_an_address_is_no_other_key(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"key": "email"}), json!({}));
    let file =
        |ada: &str, boss: &str| format!("email,Manager,Desk\n{ada},,1\nben@example.com,{boss},2\n");
    let members = |ada: &str| format!("group,member\nEng,{ada}\n");
    source.upload("memberships", &members("ada@example.com"));
    source.sync_users(&file("ada@example.com", "ada@example.com"));
    let (ada, told) = (source.user("ada@example.com")["id"].clone(), source.events());
    source.upload("memberships", &members("ADA@example.com"));
    let run = source.sync_users(&file("Ada@Example.com", "aDA@example.com"));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["memberships"], json!({"added": 0, "removed": 0, "unknown": 0}));
    assert_eq!(source.user("ada@example.com")["id"], ada);
    assert_eq!(source.told(told), ["user.updated ada@example.com"], "the address itself is shown");
    let twice = source.sync_users("email\nada@example.com\nADA@example.com\n");
    assert_eq!(twice["status"], "failed", "{twice}");
}

fn column_that_is_missing_takes_no_name_away(app: &TestApp) {
    let source = Source::csv(app);
    let groups = |source: &Source<'_>| -> BTreeSet<String> {
        let path = format!("/directory_groups?directory={}", source.handle.id);
        let listed = app.api.get(&path).expect(200).body;
        let groups = listed["data"].as_array().expect("a list").iter();
        groups.map(|group| group["name"].as_str().expect("a name").to_owned()).collect()
    };
    source.upload("memberships", "group,group name,member\nall,Everyone,1\n");
    source.sync_users(
        "id,username,email\n1,ada,ada@example.com\n2,ben@example.com,ben@example.com\n",
    );
    let told = source.events();
    source.upload("memberships", "group,member\nall,1\nnew,2\n");
    let run =
        source.sync_users("id,email\n1,ada@example.com\n2,ben@example.com\n3,cy@example.com\n4,\n");
    assert_eq!(run["status"], "completed", "{run}");
    let names: Vec<String> = source.users().into_values().collect();
    assert_eq!(
        names,
        ["ada active", "ben@example.com active", "cy@example.com active", "4 active"]
    );
    assert_eq!(groups(&source), BTreeSet::from(["Everyone", "new"].map(str::to_owned)));
    let mut said = source.told(told);
    said.sort_unstable();
    let new = ["group.created new", "group.user_added 2 new", "user.created 3", "user.created 4"];
    assert_eq!(said, new);

    // Who has always been named after the address still is, also where somebody else had the name before.
    let run = source.sync_users(
        "id,email\n1,king@example.com\n2,cy@example.com\n3,ben@example.com\n4,dan@example.com\n",
    );
    assert_eq!((&run["status"], &run["error"]), (&json!("completed"), &json!(null)), "{run}");
    let names: Vec<String> = source.users().into_values().collect();
    let expected =
        ["ada active", "cy@example.com active", "ben@example.com active", "dan@example.com active"];
    assert_eq!(names, expected);
    let told = source.events();
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 4);
    assert_eq!(source.events(), told);
}

fn row_of_a_list_of_changes_says_all_groups_of_its_user(app: &TestApp) {
    for mode in ["upsert", "action"] {
        let source = Source::new(app, "pull.csv", json!({"mode": mode}), json!({}));
        let file = |rows: &str| format!("id,userName,action,Groups\n{rows}");
        source.sync_users(&file(
            "1,ada@example.com,upsert,Eng;All\n2,ben@example.com,upsert,Eng;All\n",
        ));
        let told = source.events();
        let run = source.sync_users(&file("1,ada@example.com,upsert,Ops;All\n"));
        assert_eq!(run["status"], "completed", "{run}");
        let mut said = source.told(told);
        said.sort_unstable();
        assert_eq!(
            said,
            ["group.created Ops", "group.user_added 1 Ops", "group.user_removed 1 Eng"],
            "{mode}"
        );
        // A file without the column says nothing of it, and an empty cell says that there are none.
        let told = source.events();
        source.sync_users("id,userName,action\n1,ada@example.com,upsert\n");
        assert_eq!(source.told(told), [""; 0]);
        source.sync_users(&file("1,ada@example.com,upsert,\n"));
        let mut said = source.told(told);
        said.sort_unstable();
        assert_eq!(said, ["group.user_removed 1 All", "group.user_removed 1 Ops"], "{mode}");
        // The file of memberships adds to it.
        let told = source.events();
        source.upload("memberships", "group,member\nEng,1\n");
        source.sync_users(&file("1,ada@example.com,upsert,Ops\n"));
        source.sync_users(&file("1,ada@example.com,upsert,Ops\n"));
        let mut said = source.told(told);
        said.sort_unstable();
        assert_eq!(said, ["group.user_added 1 Eng", "group.user_added 1 Ops"], "{mode}");
    }
}

fn membership_of_nobody_is_counted_and_shown(app: &TestApp) {
    let source = Source::csv(app);
    source.upload("users", "id,userName\n1,ada@example.com\n");
    source.upload("memberships", "group,member\nEng,1\nEng,E777\n");
    let dry = source.run(json!({"dry_run": true}));
    let expected = [
        "add membership 1 planned",
        "create group Eng planned",
        "create user 1 planned",
        "skip membership E777 planned",
    ];
    assert_eq!(source.diff(&dry), expected);
    let run = source.sync();
    assert_eq!(run["counts"]["memberships"], json!({"added": 1, "removed": 0, "unknown": 1}));
    assert_eq!(run["error"], json!(null));
}

fn diff_shows_names_as_they_are_written(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users(
        "id,userName,status,Groups\n1,AdaL,active,\n2,BenK,active,Eng\n3,CyM,active,Eng\n",
    );
    source.upload(
        "users",
        "id,userName,status,Groups\n2,BenK,terminated,Eng\n3,CyM,active,\n4,DanO,active,\n",
    );
    let dry = source.run(json!({"dry_run": true}));
    let id = dry["id"].as_str().expect("an id");
    let diff = app.api.get(&format!("{}/syncs/{id}/diff", source.path)).expect(200).body;
    let changes = diff["data"].as_array().expect("a list").iter();
    let mut shown: Vec<String> =
        changes.map(|change| format!("{} {}", change["action"], change["name"])).collect();
    shown.sort_unstable();
    let expected = ["create DanO", "deactivate BenK", "delete AdaL", "remove CyM"];
    assert_eq!(shown.join(", ").replace('"', ""), expected.join(", "));
}

fn end_of_a_missing_group_and_membership_says_why(app: &TestApp) {
    let source = Source::csv(app);
    source.sync_users("id,userName,Groups\n1,ada@example.com,Eng;Ops\n2,ben@example.com,Eng\n");
    source.sync_users("id,userName,Groups\n1,ada@example.com,Eng\n2,ben@example.com,\n");
    let missing = |name: &str| (format!("dsync.{name}"), Some("pull_missing".to_owned()));
    assert_eq!(source.reasons(), [missing("group.user_removed"), missing("group.deleted")]);
}

fn source_without_a_file_fails_its_test(app: &TestApp) {
    let source = Source::csv(app);
    let tested = app.api.post(&format!("{}/test", source.path), json!({})).expect(200).body;
    assert_eq!(tested["ok"], json!(false), "{tested}");
    assert!(tested["error"].as_str().is_some_and(|error| error.contains("no file of users")));
}

fn file_of_which_no_row_can_be_used_is_a_failure(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"max_errors": 2000}), json!({}));
    let faulty = |rows: usize| format!("id,userName\n{}", ",x\n".repeat(rows));
    let run = source.sync_users(&faulty(2));
    assert_eq!((&run["status"], &run["counts"]["users"]["failed"]), (&json!("failed"), &json!(2)));
    let error = "not one of 2 objects can be used; the diff of the run says why";
    assert_eq!((&run["error"], &source.view()["state"]), (&json!(error), &json!("error")));
    assert_eq!(source.events(), 0, "the app is not told of a directory that cannot be read");
    // All faults count, although not all of them are listed.
    let run = source.sync_users(&format!("{}1,ada@example.com\n", faulty(2001)));
    assert_eq!(
        (&run["status"], &run["counts"]["users"]["failed"]),
        (&json!("failed"), &json!(2001))
    );
    let run = source.sync_users(&format!("{}1,ada@example.com\n", faulty(2000)));
    assert_eq!(
        (&run["status"], &run["counts"]["users"]["created"]),
        (&json!("completed"), &json!(1))
    );
    assert_eq!(run["error"], "2000 objects of the source could not be used");
}

fn file_in_the_folder_that_cannot_be_taken_is_a_failed_run(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"watch": true}), json!({}));
    source.sync_users("id,userName\n1,ada@example.com\n");
    let folder = app.database.folder.path().join("data/inbox").join(&source.handle.id);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("users.csv"), "").expect("written");
    let run = source.next_run(2);
    assert_eq!((&run["status"], &run["cause"]), (&json!("failed"), &json!("file")), "{run}");
    assert_eq!(run["error"], "the file users: it is empty");
    let view = source.view();
    assert_eq!((&view["state"], &view["last_error"]), (&json!("error"), &run["error"]));
    assert!(folder.join("users.csv.failed").exists());
    assert_eq!(source.users().len(), 1);
    // What was handed in before is still there.
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 1);
    assert_eq!(source.view()["state"], "linked");
}

fn faulty_row_that_ends_an_access_ends_it(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"max_errors": 5}), json!({"guard": "off"}));
    let file = |rows: &str| format!("id,userName,employeeNumber,status\n{rows}");
    let row = |n: usize| format!("{n},user{n}@example.com,10{n},active\n");
    source.sync_users(&file(&(1..=4).map(row).collect::<String>()));
    let told = source.events();
    // The number is lost, of one who has left, of one who has not, and of nobody who is known; a row beside
    // another one of the same key says nothing that is sure.
    let run = source.sync_users(&file(
        "1,user1@example.com,1.23E+05,terminated\n2,user2@example.com,1.23E+05,active\n\
         9,user9@example.com,1.23E+05,terminated\n3,user3@example.com,103,active\n\
         3,user3@example.com,1.23E+05,terminated\n4,user4@example.com,104,active\n",
    ));
    let counts = &run["counts"]["users"];
    assert_eq!((&run["status"], &counts["failed"]), (&json!("completed"), &json!(4)), "{run}");
    assert_eq!(source.told(told), ["user.updated 1"]);
    assert_eq!(source.users()["1"], "user1@example.com inactive");
    // Back with a good row, with all that the user had.
    source.sync_users(&file(&(1..=4).map(row).collect::<String>()));
    assert_eq!(source.told(told), ["user.updated 1", "user.updated 1"]);
}

fn members_of_one_cell_are_each_a_member(app: &TestApp) {
    let source = Source::csv(app);
    let users = "id,userName\n1,a\n2,b\n3,c\n";
    source.upload("memberships", "group,member\neng,1\neng,2\n");
    source.sync_users(users);
    let told = source.events();
    source.upload("memberships", "group,member\neng,1; 2;3\n");
    let run = source.sync_users(users);
    assert_eq!(run["counts"]["memberships"]["unknown"], 0, "{run}");
    assert_eq!(source.told(told), ["group.user_added 3 eng"]);
}

fn refused_row_puts_nobody_into_a_group(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"max_errors": 5}), json!({}));
    let run = source.sync_users("id,userName,Groups\n1,a,Staff\n1,a,Admins\n");
    assert_eq!(
        (&run["status"], &run["counts"]["users"]["failed"]),
        (&json!("completed"), &json!(1))
    );
    let mut told = source.told(0);
    told.sort_unstable();
    assert_eq!(
        told,
        ["activated -", "group.created Staff", "group.user_added 1 Staff", "user.created 1"]
    );
}

fn row_that_ends_an_access_ends_it_by_one_word_of_two(app: &TestApp) {
    let config = json!({"mode": "action", "max_errors": 1});
    let source = Source::new(app, "pull.csv", config, json!({"guard": "off"}));
    let file = |rows: &str| format!("id,userName,status,action\n{rows}");
    let row = |n: usize| format!("{n},user{n},active,upsert\n");
    source.sync_users(&file(&(1..=4).map(row).collect::<String>()));
    // Words that nobody knows: of states beside an action, and an action beside a state.
    let run = source.sync_users(&file(
        "1,user1,Exited,delete\n2,user2,Exited,deactivate\n3,user3,terminated,explode\n\
         4,user4,active,upsert\n",
    ));
    assert_eq!(
        (&run["status"], &run["counts"]["users"]["failed"]),
        (&json!("completed"), &json!(1)),
        "{run}"
    );
    let users: Vec<String> = source.users().into_values().collect();
    assert_eq!(users, ["user2 inactive", "user3 inactive", "user4 active"]);
}

fn files_that_are_taken_together_are_refused_together(app: &TestApp) {
    let source = Source::new(app, "pull.csv", json!({"watch": true}), json!({}));
    let folder = app.database.folder.path().join("data/inbox").join(&source.handle.id);
    let write = |path: &Path, text: &str| std::fs::write(path, text).expect("written");
    let names = || -> BTreeSet<String> {
        let names = std::fs::read_dir(&folder).expect("a folder").flatten();
        names.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
    };
    // Neither is read with the other one of the files before, whichever is the bad one.
    for (number, bad, good) in [(2, "memberships", "users"), (4, "users", "memberships")] {
        source.upload("memberships", "group,member\nEng,1\n");
        source.sync_users("id,userName\n1,ada@example.com\n");
        let told = source.events();
        let laid = folder.with_extension("new");
        std::fs::create_dir_all(&laid).expect("a folder");
        write(&laid.join("users.csv"), "id,userName\n2,ben@example.com\n");
        write(&laid.join("memberships.csv"), "group,member\nOps,1\n");
        write(&laid.join(format!("{bad}.csv")), "");
        // Both at once, as a look may come between two files.
        std::fs::rename(&laid, &folder).expect("in place");
        let run = source.next_run(number);
        assert_eq!((&run["status"], &run["cause"]), (&json!("failed"), &json!("file")), "{run}");
        assert_eq!(
            names(),
            BTreeSet::from(["memberships.csv.failed", "users.csv.failed"].map(str::to_owned))
        );
        let service = std::sync::Arc::clone(app.service());
        app.wait(async move { service.take_inbox().await }).expect("a look");
        let runs = app.api.get(&format!("{}/syncs", source.path)).expect(200).body;
        assert_eq!(runs["data"].as_array().map(Vec::len), Some(number), "{runs}");
        let error =
            format!("the file {bad}: it is empty; {good} was taken with it and is not read");
        assert_eq!(run["error"], error);
        assert_eq!(source.events(), told);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
