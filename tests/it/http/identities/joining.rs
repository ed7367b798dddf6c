//! Users who were there before, and directories that change at the same time.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rollbook::store::StoreError;
use serde_json::{Value, json};

use super::{Company, person};
use crate::on_both_databases;
use crate::support::{Answer, Database, TestApp, group, patch};

on_both_databases![
    users_who_were_there_are_linked_from_the_primary_directory_on,
    requests_link_their_users_meanwhile,
    two_directories_at_once_make_one_person,
    changes_while_it_is_switched_on_are_all_linked,
    units_of_every_kind_do_not_wait_for_each_other,
];

/// One works in the organization, and all that its directories are asked to write waits for it.
mod one_organization_leaves_threads_to_the_others {
    use super::*;

    #[test]
    fn postgres() {
        const FLOOD: usize = 20;
        let app = TestApp::start(Database::postgres());
        let (company, offices) = Company::keeping(&app, 2);
        let (service, id) = (Arc::clone(app.service()), company.id.clone());
        let (locked, is_locked) = channel();
        let (go, wait) = channel::<()>();
        let holder = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let held: Result<(), StoreError> = service
                    .store
                    .write("held", move |tx| {
                        let row = tx.organization_get(&id)?.expect("the organization");
                        tx.identity_scope_lock(row.key)?;
                        locked.send(()).expect("the test waits");
                        // It ends with the test if that fails.
                        let _ = wait.recv();
                        Ok(())
                    })
                    .await;
                held.expect("a unit");
            });
        });
        is_locked.recv().expect("the lock");
        std::thread::scope(|scope| {
            // However this ends, who waits is let go.
            let go = go;
            for office in &offices {
                for n in 0..FLOOD {
                    scope.spawn(move || {
                        office.scim.post("/Users", person(&format!("u{n}"), "")).expect(201)
                    });
                }
            }
            // Most of them wait; the others hold the threads that they may have.
            let depth = || app.service().store.queue_depths()[0].1;
            while depth() < 2 * FLOOD - 16 {
                std::thread::yield_now();
            }
            let began = Instant::now();
            app.scim.post("/Users", person("other", "")).expect(201);
            app.scim.get("/Users?count=1").expect(200);
            offices[0].scim.get("/Users?count=1").expect(200);
            // Who waits for the lock is refused after ten seconds.
            assert!(began.elapsed() < Duration::from_secs(9), "they waited for the lock");
            drop(go);
        });
        holder.join().expect("the unit has ended");
        assert_eq!(company.list("identities?limit=500").len(), 2 * FLOOD);
    }
}

/// Stores the primary directory as the API does, without the server's own work behind it.
fn switch_on(app: &TestApp, company: &Company<'_>, primary: Option<&str>) {
    let (service, id) = (Arc::clone(app.service()), company.id.clone());
    let change = json!({"directory_id": primary});
    app.wait(async move {
        let key = "sk_test_0123456789abcdef0123456789abcdef";
        let access = service.api_access(key, None).await.expect("the key of the test");
        let change = serde_json::from_value(change).expect("a change");
        service.primary_put(&access, &id, change).await.expect("stored");
    });
}

fn users_who_were_there_are_linked_from_the_primary_directory_on(app: &TestApp) {
    let company = Company::new(app);
    let offices: Vec<_> = (0..2).map(|_| company.office("scim.generic")).collect();
    // The primary directory is the second one that was made.
    for n in 0..230 {
        offices[0].hire(&format!("u{n}"), &format!("u{n}@example.com"));
    }
    let path = format!("/api/v1/directories/{}", offices[1].id);
    let settings = json!({"delete": "deactivate", "inactive_users": "keep"});
    app.api.patch(&path, json!({"settings": settings})).expect(200);
    let ada = offices[1].hire("ada", "u7@example.com");
    offices[1].set(&ada, "title", json!("Lead"));
    let gone = offices[1].hire("gone", "u8@example.com");
    offices[1].dismiss(&gone);
    switch_on(app, &company, Some(&offices[1].id));
    let state = format!("{}/primary_directory", company.path);
    assert_eq!(app.api.get(&state).expect(200).body["identities"], "building");
    app.settle_identities();
    assert_eq!(app.api.get(&state).expect(200).body["identities"], "on");
    let all = company.list("identities?limit=500");
    assert_eq!(all.len(), 230);
    let identity = company.of(&ada);
    assert_eq!((&identity["title"], &identity["state"]), (&json!("Lead"), &json!("active")));
    let links: Vec<&Value> = identity["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .map(|a| &a["linked_by"])
        .collect();
    assert_eq!(links, ["email", "first"], "in the order of the users");
    // One whom the app sees though SCIM has deleted it is somebody too.
    let identity = company.of(&gone);
    assert_eq!(identity["state"], "inactive");
    assert_eq!(company.list("orphaned_access").len(), 1);
    let names: Vec<String> = company.told().into_iter().map(|(name, _)| name).collect();
    let created = names.iter().filter(|name| *name == "rollbook.identity.created").count();
    assert_eq!((created, names.len()), (230, 232));
    // Nothing is done twice.
    app.settle_identities();
    assert_eq!(company.told().len(), 232);
}

fn requests_link_their_users_meanwhile(app: &TestApp) {
    let company = Company::new(app);
    let offices: Vec<_> = (0..2).map(|_| company.office("scim.generic")).collect();
    let ada = offices[0].hire("ada", "a@example.com");
    let ben = offices[0].hire("ben", "b@example.com");
    let gone = offices[0].hire("gone", "c@example.com");
    switch_on(app, &company, None);
    offices[0].set(&ada, "title", json!("Lead"));
    offices[0].set(&ben, "active", json!(false));
    offices[0].dismiss(&gone);
    let fresh = offices[1].hire("fresh", "b@example.com");
    assert!(company.are_one(&ben, &fresh), "a change of what identities know links");
    app.settle_identities();
    assert_eq!(company.list("identities").len(), 2);
    assert_eq!(company.of(&ada)["state"], "active");
}

fn two_directories_at_once_make_one_person(app: &TestApp) {
    const PEOPLE: usize = 25;
    let (company, offices) = Company::keeping(app, 3);
    std::thread::scope(|scope| {
        for office in &offices {
            scope.spawn(move || {
                for n in 0..PEOPLE {
                    office.hire(&format!("u{n}"), &format!("u{n}@example.com"));
                }
            });
        }
    });
    let all = company.list("identities?limit=500");
    assert_eq!(all.len(), PEOPLE);
    for identity in &all {
        let accounts = identity["accounts"].as_array().expect("accounts");
        assert_eq!(accounts.len(), 3, "{identity}");
    }
    assert_eq!(company.list("identity_suggestions?limit=500"), Vec::<Value>::new());
    // Users who come and go and swap groups in both at once.
    std::thread::scope(|scope| {
        for (office, id) in offices.iter().zip(0..) {
            let users = all.iter().map(|identity| {
                let accounts = identity["accounts"].as_array().expect("accounts");
                let mine = accounts.iter().find(|a| a["directory_id"] == office.id.as_str());
                mine.expect("an account")["user_id"].as_str().expect("an id").to_owned()
            });
            let users: Vec<String> = users.collect();
            scope.spawn(move || {
                for (n, user) in users.iter().enumerate() {
                    match (n + id) % 3 {
                        0 => office.set(user, "active", json!(false)),
                        1 => office.dismiss(user),
                        _ => office.set(user, "title", json!("Lead")),
                    }
                }
            });
        }
    });
    let left = company.list("identities?limit=500");
    assert_eq!(left.len(), PEOPLE);
    assert!(left.iter().all(|one| one["accounts"].as_array().map(Vec::len) == Some(2)));
}

/// Bulk requests that begin with a group, members of the group who go, decisions, and other primary
/// directories. Groups of the first directory wait for members who are not there yet.
fn units_of_every_kind_do_not_wait_for_each_other(app: &TestApp) {
    const ROUNDS: usize = 12;
    let company = Company::new(app);
    let offices = [company.office("scim.keycloak"), company.office("scim.generic")];
    company.primary(None);
    let fine = |answer: Answer| assert!(answer.status < 500, "{} {}", answer.status, answer.text);
    let (office, other) = (&offices[0], &offices[1]);
    let stays = office.hire("stays", "stays@example.com");
    let team = office.scim.post("/Groups", group("Team", &[&stays])).expect(201).id();
    office.hire("Ada Lane", "a@example.com");
    other.hire("Ada Lane", "b@example.com");
    let suggestion = company.list("identity_suggestions")[0]["id"].clone();
    let suggestion = suggestion.as_str().expect("an id");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..ROUNDS {
                let operation = |path: String, attribute: &str| {
                    let value = format!("{attribute} {n}");
                    let op = json!([{"op": "replace", "path": attribute, "value": value}]);
                    json!({"method": "PATCH", "path": path, "data": patch(op)})
                };
                let bulk = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                    "Operations": [
                        operation(format!("/Groups/{team}"), "displayName"),
                        operation(format!("/Users/{stays}"), "title"),
                    ],
                });
                fine(office.scim.post("/Bulk", bulk));
            }
        });
        scope.spawn(|| {
            for n in 0..ROUNDS {
                let guest = office.hire(&format!("guest{n}"), &format!("g{n}@example.com"));
                let op = json!([{"op": "add", "path": "members", "value": [{"value": guest}]}]);
                fine(office.scim.patch(&format!("/Groups/{team}"), patch(op)));
                office.dismiss(&guest);
            }
        });
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                company.decide(suggestion, "accept", 200);
                company.decide(suggestion, "undo", 200);
            }
        });
        scope.spawn(|| {
            for n in 0..ROUNDS {
                let path = format!("{}/primary_directory", company.path);
                let primary = json!({"directory_id": offices[n % 2].id});
                app.api.put(&path, primary).expect(200);
                let settings = json!({"settings": {"inactive_users":
                    if n.is_multiple_of(2) { "delete" } else { "keep" }}});
                let path = format!("/api/v1/directories/{}", offices[n % 2].id);
                fine(app.api.patch(&path, settings));
            }
        });
    });
    // A unit that the database ends because of a deadlock runs again.
    let metrics = app.api.get("/metrics").expect(200).text;
    assert!(metrics.contains("rollbook_store_retries_total 0\n"), "{metrics}");
    assert_eq!(company.list("identities?limit=500").len(), 3);
}

fn changes_while_it_is_switched_on_are_all_linked(app: &TestApp) {
    let company = Company::new(app);
    let offices: Vec<_> = (0..2).map(|_| company.office("scim.generic")).collect();
    std::thread::scope(|scope| {
        for (number, office) in offices.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..60 {
                    let (name, email) = (format!("u{n}"), format!("u{n}-{number}@example.com"));
                    // A request that was let in before and comes behind is to try again.
                    while office.scim.post("/Users", person(&name, &email)).status == 503 {}
                }
            });
        }
        scope.spawn(|| company.primary(Some(&offices[0])));
    });
    app.settle_identities();
    assert_eq!(company.list("identities?limit=500").len(), 120);
}
