//! `rollbook backup`, `restore` and `check`, beside a running server and without one.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, SqliteConnection};
use serde_json::Value;

use super::{Server, first_start, rollbook, run};
use crate::support::{Client, user};

fn answer(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The client of the first directory at the server's address.
fn scim(first: &Path, server: &Server) -> Client {
    let [base_url, token, _] = first_start(first);
    let path = base_url.split("/scim").nth(1).expect("the path").to_owned();
    Client::new(&format!("{}/scim{path}", server.url), &token, "application/scim+json")
}

fn open(path: &Path) -> SqliteConnection {
    SqliteConnection::establish(text(path)).expect("the file opens")
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn user_names(path: &Path) -> BTreeSet<String> {
    let rows: Vec<Name> = diesel::sql_query(
        "SELECT user_name_key AS name FROM resource WHERE resource_type = 'User'",
    )
    .load(&mut open(path))
    .expect("readable");
    rows.into_iter().map(|row| row.name).collect()
}

fn count(path: &Path, query: &str) -> i64 {
    diesel::sql_query(query).get_result::<Count>(&mut open(path)).expect("readable").n
}

/// A folder with a database of one user, and no server.
fn small(folder: &Path) {
    let server = Server::start(folder);
    scim(folder, &server).post("/Users", user("ada@example.com")).expect(201);
    assert!(server.stop());
}

fn passphrase(folder: &Path) -> PathBuf {
    let path = folder.join("passphrase");
    std::fs::write(&path, "correct horse battery staple\n").expect("written");
    path
}

#[test]
fn backup_under_load_is_one_state_and_a_new_folder_serves_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let server = Server::start(folder);
    let client = scim(folder, &server);
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, progress) = std::sync::mpsc::channel();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (client, sender, stop) = (client.clone(), sender.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::Acquire) {
                    let name = format!("user-{writer}-{n:05}@example.com");
                    client.post("/Users", user(&name)).expect(201);
                    let _ = sender.send(());
                    n += 1;
                }
                n
            })
        })
        .collect();
    for _ in 0..300 {
        progress.recv().expect("the writers write");
    }
    let before = user_names(&folder.join("data/rollbook.db"));
    let file = folder.join("copy.db");
    let phrase = passphrase(folder);
    let command = ["backup", text(&file), "--with-key", "--passphrase-file", text(&phrase)];
    let made = answer(folder, &command);
    assert_eq!(made["secret_key"], "sealed with the passphrase");
    // Writes went on meanwhile and go on.
    for _ in 0..100 {
        progress.recv().expect("the writers write");
    }
    let online = run(folder, &["check", "--json"]);
    assert!(online.status.success(), "{}", String::from_utf8_lossy(&online.stdout));
    stop.store(true, Ordering::Release);
    let written: Vec<u32> =
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect();
    assert!(server.stop());

    let mode = std::fs::metadata(&file).expect("the copy").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let copied = user_names(&file);
    assert!(before.is_subset(&copied), "what was there before is in the copy");
    // One state: of each writer the first so many, without a gap.
    let mut of_writer: BTreeMap<String, u32> = BTreeMap::new();
    for name in &copied {
        *of_writer.entry(name[..6].to_owned()).or_default() += 1;
    }
    for (writer, n) in (0..).zip(&written) {
        let there = of_writer.get(&format!("user-{writer}")).copied().unwrap_or_default();
        assert!(there <= *n);
        for n in 0..there {
            assert!(copied.contains(&format!("user-{writer}-{n:05}@example.com")), "{writer} {n}");
        }
    }
    // No half unit: the event is written with the user, and so are the index and the counter.
    let users = i64::try_from(copied.len()).expect("few");
    assert_eq!(
        count(&file, "SELECT COUNT(*) AS n FROM event WHERE event = 'dsync.user.created'"),
        users
    );
    assert_eq!(count(&file, "SELECT SUM(n) AS n FROM resource_count"), users);

    let other = tempfile::tempdir().expect("a folder");
    let restore = ["restore", text(&file), "--passphrase-file", text(&phrase)];
    let restored = answer(other.path(), &restore);
    assert_eq!(restored["secret_key"], "written into the data folder");
    let mode =
        std::fs::metadata(other.path().join("data/secret.key")).expect("the key").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let place = other.path().join("data/rollbook.db");
    assert_eq!(count(&place, "SELECT COUNT(*) AS n FROM setting WHERE name LIKE 'backup%'"), 0);
    let checked = answer(other.path(), &["check", "--json"]);
    assert_eq!(checked["ok"], true, "{checked:#}");
    let server = Server::start(other.path());
    let client = scim(folder, &server);
    assert_eq!(client.get("/Users?count=0").expect(200).total(), copied.len() as u64);
    for name in copied.iter().step_by(20) {
        let found = client.filter("/Users", &format!("userName eq \"{name}\"")).expect(200);
        assert_eq!(found.total(), 1, "{name}");
    }
    client.post("/Users", user("next@example.com")).expect(201);
    assert!(server.stop());
}

#[test]
fn backup_without_the_key_says_so_and_restores_where_the_key_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let file = folder.join("copy.db");
    let output = run(folder, &["backup", text(&file)]);
    assert!(output.status.success());
    let note = String::from_utf8_lossy(&output.stderr);
    assert!(note.contains("secret key is not in the copy"), "{note}");
    assert_eq!(count(&file, "SELECT COUNT(*) AS n FROM setting WHERE name LIKE 'backup%'"), 0);
    for ending in ["copy.db-wal", "copy.db-shm", "copy.db.partial"] {
        assert!(!folder.join(ending).exists(), "{ending}");
    }

    let other = tempfile::tempdir().expect("a folder");
    let restored = answer(other.path(), &["restore", text(&file)]);
    assert_eq!(restored["secret_key"], "missing");
    let key = folder.join("data/secret.key");
    std::fs::copy(&key, other.path().join("data/secret.key")).expect("the key");
    let server = Server::start(other.path());
    assert_eq!(scim(folder, &server).get("/Users").expect(200).total(), 1);
    assert!(server.stop());
}

#[test]
fn backup_replaces_nothing_unless_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let file = folder.join("copy.db");
    std::fs::write(&file, "something").expect("written");
    assert!(refused(folder, &["backup", text(&file)]).contains("--force"));
    assert_eq!(std::fs::read(&file).expect("still there"), b"something");
    answer(folder, &["backup", text(&file), "--force"]);
    assert_eq!(user_names(&file).len(), 1);
    let database = folder.join("data/rollbook.db");
    let message = refused(folder, &["backup", text(&database), "--force"]);
    assert!(message.contains("is the database itself"), "{message}");
    let nowhere = folder.join("no/such/folder/copy.db");
    assert!(refused(folder, &["backup", text(&nowhere)]).contains("cannot write"));
    let empty = tempfile::tempdir().expect("a folder");
    assert!(refused(empty.path(), &["backup", text(&file)]).contains("there is no database"));
    assert!(refused(empty.path(), &["check"]).contains("there is no database"));
    let output = rollbook(folder)
        .env("ROLLBOOK_DATABASE_URL", "postgres://localhost/none")
        .args(["backup", "elsewhere.db"])
        .output()
        .expect("the binary runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("pg_dump"));
}

#[test]
fn restore_over_a_database_is_refused_and_with_force_keeps_it_beside() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let file = folder.join("copy.db");
    answer(folder, &["backup", text(&file)]);
    let server = Server::start(folder);
    scim(folder, &server).post("/Users", user("later@example.com")).expect(201);
    let message = refused(folder, &["restore", text(&file), "--force"]);
    assert!(message.contains("another server uses the data folder"), "{message}");
    assert!(server.stop());
    let place = folder.join("data/rollbook.db");
    assert!(refused(folder, &["restore", text(&file)]).contains("--force"));
    assert_eq!(user_names(&place).len(), 2);

    let restored = answer(folder, &["restore", text(&file), "--force"]);
    assert_eq!(restored["secret_key"], "the one that is configured or in the data folder");
    assert_eq!(user_names(&place).len(), 1);
    assert_eq!(user_names(&folder.join("data/rollbook.db.replaced")).len(), 2);
    assert!(!folder.join("data/requests.db").exists(), "records of what is undone");
    let server = Server::start(folder);
    let client = scim(folder, &server);
    assert_eq!(client.get("/Users").expect(200).total(), 1);
    client.post("/Users", user("later@example.com")).expect(201);
    assert!(server.stop());
    // A killed server leaves a log beside the file; it is not read as the copy's.
    let mut server = Server::start(folder);
    scim(folder, &server).post("/Users", user("last@example.com")).expect(201);
    server.child.kill().expect("killed");
    server.child.wait().expect("ended");
    let restored = answer_again(folder, &file);
    assert_eq!(user_names(&place).len(), 1);
    // What the first restore replaced is still there.
    assert_eq!(restored, folder.join("data/rollbook.db.replaced-1"));
    assert_eq!(user_names(&folder.join("data/rollbook.db.replaced")).len(), 2);
    assert_eq!(user_names(&restored).len(), 3);
}

/// Restores over what is there; answers under which name that stays.
fn answer_again(folder: &Path, file: &Path) -> PathBuf {
    let restored = answer(folder, &["restore", text(file), "--force"]);
    PathBuf::from(restored["replaced"].as_str().expect("a database was there"))
}

#[test]
fn restore_keeps_every_database_that_it_replaces_damaged_ones_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let file = folder.join("copy.db");
    answer(folder, &["backup", text(&file)]);
    let place = folder.join("data/rollbook.db");
    let kept = |name: &str| folder.join("data").join(name);

    let damaged = b"damaged".repeat(2_000);
    std::fs::write(&place, &damaged).expect("written");
    let first = answer_again(folder, &file);
    // The log of a database that is gone, or empty, is all that is left of it.
    std::fs::remove_file(&place).expect("removed");
    std::fs::write(kept("rollbook.db-wal"), "the log").expect("written");
    let second = answer_again(folder, &file);
    std::fs::write(&place, "").expect("written");
    std::fs::write(kept("rollbook.db-wal"), "another log").expect("written");
    let third = answer_again(folder, &file);
    let fourth = answer_again(folder, &file);

    let names = ["replaced", "replaced-1", "replaced-2", "replaced-3"];
    let expected = names.map(|ending| kept(&format!("rollbook.db.{ending}")));
    assert_eq!([first, second, third, fourth], expected);
    let content = |path: &Path| std::fs::read(path).expect("it is kept");
    assert_eq!(content(&kept("rollbook.db.replaced")), damaged);
    assert_eq!(content(&kept("rollbook.db.replaced-1-wal")), b"the log");
    assert_eq!(content(&kept("rollbook.db.replaced-2-wal")), b"another log");
    assert_eq!(user_names(&kept("rollbook.db.replaced-3")).len(), 1);
    assert_eq!(answer(folder, &["check", "--json"])["ok"], true);
}

#[test]
fn restore_of_a_database_with_its_log_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut server = Server::start(folder);
    scim(folder, &server).post("/Users", user("ada@example.com")).expect(201);
    server.child.kill().expect("killed");
    server.child.wait().expect("ended");
    let left = folder.join("data/rollbook.db");
    let other = tempfile::tempdir().expect("a folder");
    let message = refused(other.path(), &["restore", text(&left)]);
    assert!(message.contains("is no backup") && message.contains("rollbook.db-wal"), "{message}");
    assert!(!other.path().join("data/rollbook.db").exists());
    assert_eq!(user_names(&left).len(), 1);
}

/// The files of the data folder, with owner and mode.
fn files(folder: &Path) -> Vec<(String, (u32, u32), u32)> {
    let entries = std::fs::read_dir(folder.join("data")).expect("the folder");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("it is there");
            let name = entry.file_name().into_string().expect("a name");
            (name, (meta.uid(), meta.gid()), meta.mode() & 0o777)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_of_the_data_folder_is_for_its_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let private = |server: Server| {
        scim(folder, &server).get("/Users").expect(200);
        let there = files(folder);
        for name in ["rollbook.db", "rollbook.db-wal", "requests.db", "lock", "local.json"] {
            assert!(there.iter().any(|(file, _, _)| file == name), "{name} is not in {there:?}");
        }
        for (name, _, mode) in there {
            assert_eq!(mode, 0o600, "{name}");
        }
        assert!(server.stop());
    };
    private(Server::start(folder));
    let data = std::fs::metadata(folder.join("data")).expect("the folder");
    assert_eq!(data.mode() & 0o777, 0o700);
    // Those of an older version are put right at the start.
    for (name, _, _) in files(folder) {
        let open = std::fs::Permissions::from_mode(0o644);
        let closed = ["secret.key", "first-start.txt"].contains(&name.as_str());
        if !closed {
            std::fs::set_permissions(folder.join("data").join(name), open).expect("set");
        }
    }
    private(Server::start(folder));
}

/// Root restores, another user serves: root is who runs the tests in containers, others cannot show it.
#[test]
fn restore_by_root_gives_the_files_to_the_owner_of_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let (file, phrase) = (folder.join("copy.db"), passphrase(folder));
    answer(folder, &["backup", text(&file), "--with-key", "--passphrase-file", text(&phrase)]);
    let other = tempfile::tempdir().expect("a folder");
    let data = other.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let mut owner = data.metadata().map(|meta| (meta.uid(), meta.gid())).expect("there");
    if owner.0 == 0 {
        owner = (10_001, 10_002);
        std::os::unix::fs::chown(&data, Some(owner.0), Some(owner.1)).expect("root may");
    }
    answer(other.path(), &["restore", text(&file), "--passphrase-file", text(&phrase)]);
    let there = files(other.path());
    assert_eq!(
        there.iter().map(|(name, _, _)| name.as_str()).collect::<Vec<_>>(),
        ["lock", "rollbook.db", "secret.key"]
    );
    for (name, of, mode) in there {
        assert_eq!((of, mode), (owner, 0o600), "{name}");
    }
}

#[test]
fn restore_of_what_is_no_sound_copy_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let good = folder.join("copy.db");
    let phrase = passphrase(folder);
    answer(folder, &["backup", text(&good), "--with-key", "--passphrase-file", text(&phrase)]);

    let bad = folder.join("bad.db");
    let other = tempfile::tempdir().expect("a folder");
    let refuse = |expected: &str, arguments: &[&str]| {
        let message = refused(other.path(), arguments);
        assert!(message.contains(expected), "{expected} is not in {message}");
        let left: Vec<_> = std::fs::read_dir(other.path().join("data"))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .filter(|name| name != "lock")
            .collect();
        assert_eq!(left, Vec::<String>::new());
    };
    let restore = ["restore", text(&bad), "--passphrase-file", text(&phrase)];
    refuse("No such file", &restore);
    std::fs::write(&bad, "this is no database".repeat(1_000)).expect("written");
    refuse("not a database", &restore);
    std::fs::write(&bad, "").expect("written");
    refuse("it has no tables", &restore);
    let bytes = std::fs::read(&good).expect("the copy");
    std::fs::write(&bad, &bytes[..bytes.len() / 2]).expect("written");
    refuse("malformed", &restore);
    std::fs::write(&bad, &bytes).expect("written");
    open(&bad)
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')")
        .expect("marked");
    refuse("newer version", &restore);
    refuse("sealed; give the passphrase", &["restore", text(&good)]);
    let wrong = folder.join("wrong");
    std::fs::write(&wrong, "another passphrase").expect("written");
    refuse("does not open", &["restore", text(&good), "--passphrase-file", text(&wrong)]);
    std::fs::write(&wrong, "short").expect("written");
    refuse("at least 12", &["restore", text(&good), "--passphrase-file", text(&wrong)]);

    // A folder with another key: the server would not start with the copy.
    let foreign = tempfile::tempdir().expect("a folder");
    small(foreign.path());
    let message = refused(foreign.path(), &["restore", text(&good), "--force"]);
    assert!(message.contains("another secret key"), "{message}");
    assert_eq!(answer(foreign.path(), &["check", "--json"])["ok"], true);
}

/// What `check` says of the part, after the database was damaged.
fn findings(folder: &Path, part: &str) -> String {
    let output = run(folder, &["check", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["ok"], false);
    let parts = document["parts"].as_array().expect("parts");
    let part = parts.iter().find(|known| known["name"] == part).expect("the part");
    assert_eq!(part["ok"], false, "{document:#}");
    part["findings"].to_string()
}

#[test]
fn check_finds_damage_and_says_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    small(folder);
    let readable = run(folder, &["check"]);
    assert!(readable.status.success());
    let lines = String::from_utf8_lossy(&readable.stdout).into_owned();
    assert!(
        lines.lines().count() > 8 && lines.lines().all(|line| line.ends_with(" ok")),
        "{lines}"
    );

    let place = folder.join("data/rollbook.db");
    let sound = std::fs::read(&place).expect("the file");
    let again = || std::fs::write(&place, &sound).expect("written");

    // A row that an index does not know: the index is taken out of the schema while the row changes.
    let mut conn = open(&place);
    conn.batch_execute(
        "PRAGMA writable_schema = ON;
         CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'resource_display';
         DELETE FROM sqlite_schema WHERE name = 'resource_display';
         PRAGMA writable_schema = RESET;
         UPDATE resource SET display_key = 'changed';
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM kept;
         PRAGMA writable_schema = RESET;",
    )
    .expect("damaged");
    drop(conn);
    let found = findings(folder, "file");
    assert!(found.contains("resource_display"), "{found}");

    again();
    open(&place).batch_execute("UPDATE resource_count SET n = 7").expect("damaged");
    let found = findings(folder, "counters");
    assert!(found.contains("directory_") && found.contains("say 7 active"), "{found}");
    let repaired = answer(folder, &["check", "--json", "--repair"]);
    assert_eq!((&repaired["ok"], &repaired["repaired"]), (&true.into(), &true.into()));

    again();
    open(&place)
        .batch_execute(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO member (directory_key, group_key, member_key) SELECT directory_key, 77, 78 \
             FROM resource;",
        )
        .expect("damaged");
    assert!(findings(folder, "references").contains("member"));
    let found = findings(folder, "memberships");
    assert!(found.contains("resource row 78 is a member of resource row 77"), "{found}");

    // Bytes in the middle of the pages, and the header.
    again();
    let mut bytes = sound.clone();
    for byte in bytes.iter_mut().skip(4_096 * 3).step_by(512).take(200) {
        *byte ^= 0xff;
    }
    std::fs::write(&place, &bytes).expect("written");
    let found = findings(folder, "file");
    assert!(found.contains("ree ") || found.contains("malformed"), "{found}");
    let mut bytes = sound.clone();
    bytes[..16].copy_from_slice(&[0; 16]);
    std::fs::write(&place, &bytes).expect("written");
    assert!(findings(folder, "file").contains("not a database"));
}
