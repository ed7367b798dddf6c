//! Start, restart and stop.

use std::os::unix::fs::PermissionsExt;

use super::{Server, first_start, run};
use crate::support::{Client, user};

#[test]
fn first_start_makes_what_an_administrator_needs_and_a_restart_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let file = folder.path().join("data/first-start.txt");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let [base_url, token, api_key] = first_start(folder.path());
    assert!(base_url.starts_with(&server.url));
    let scim = Client::new(&base_url, &token, "application/scim+json");
    let id = scim.post("/Users", user("ada@example.com")).expect(201).id();
    let api = Client::new(&server.url, &api_key, "application/json");
    api.get("/api/v1/organizations").expect(200);
    assert!(server.stop(), "it ends well");

    let server = Server::start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let again = format!("{}/scim{path}", server.url);
    let scim = Client::new(&again, &token, "application/scim+json");
    let answer = scim.get(&format!("/Users/{id}")).expect(200);
    assert_eq!(answer.body["userName"], "ada@example.com");
    assert!(server.stop(), "it ends well");
}

#[test]
fn second_server_on_a_data_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let second = run(folder.path(), &["serve"]);
    assert!(!second.status.success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("another server uses the data folder"), "{message}");
    assert!(server.stop());
}

#[test]
fn unknown_setting_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = super::rollbook(folder.path())
        .env("ROLLBOOK_LISTN", "127.0.0.1:0")
        .arg("serve")
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("listn") && message.contains("listen"), "{message}");
}

/// Clients write until the server is told to stop; every answer of 201 is stored.
#[test]
fn stop_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["organization", "list"]);
    let server = Server::start(folder.path());
    let [base_url, token, _] = first_start(folder.path());
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    let scim = Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json");
    let (sender, progress) = std::sync::mpsc::channel();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (scim, sender) = (scim.clone(), sender.clone());
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    let name = format!("user-{writer}-{n}@example.com");
                    match scim.try_post("/Users", user(&name)) {
                        Some(answer) if answer.status == 201 => acknowledged.push(answer.id()),
                        _ => break,
                    }
                    let _ = sender.send(());
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..200 {
        progress.recv().expect("the writers write");
    }
    assert!(server.stop(), "it ends well");
    let acknowledged: Vec<String> =
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect();
    assert!(acknowledged.len() >= 200);

    let server = Server::start(folder.path());
    let scim = Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json");
    for id in acknowledged {
        scim.get(&format!("/Users/{id}")).expect(200);
    }
    assert!(server.stop());
}
