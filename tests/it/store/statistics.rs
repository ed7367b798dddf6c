//! What a statement of PostgreSQL reads does not depend on statistics: a table that has grown since it was
//! analysed, or that nobody has analysed, is read as one that was.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use rollbook::scim::Registry;
use rollbook::scim::filter::{UnquotedValues, parse_filter, resolve};
use rollbook::store::app_user::AppUser;
use rollbook::store::brake_note::Membership;
use rollbook::store::event_log::{Order, Stretch};
use rollbook::store::list::{self, Walk as ResourceWalk};
use rollbook::store::mapping::RoleWork;
use rollbook::store::plan::compile;
use rollbook::store::resource::AppState;
use rollbook::store::snapshot::LAST_ID;
use rollbook::store::{IdRange, StoreError, Tx, UnitError, Walk};

use crate::support::{Database, TestApp};

/// Nobody analyses any table from here on. That a table is altered makes plans for it void, as well.
const UNWATCHED: &str = "DO $$ DECLARE name TEXT; BEGIN \
     FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = CAST('public' AS regnamespace) LOOP \
     EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name); END LOOP; END $$";

/// A directory gets 20,000 users, who are all in the first of 200 groups; two are in the second. Every user
/// has an address, an identity, an event that happened and one that is held back, and something is left to
/// do about it. The first group waits for as many as it has.
fn growth(directory: &str) -> String {
    format!(
        "CREATE TEMP VIEW d AS SELECT * FROM directory WHERE id = '{directory}';
        CREATE TEMP VIEW r AS SELECT resource.* FROM resource JOIN d ON d.key = directory_key;
        {GROWTH}"
    )
}

/// What becomes of the directory `d` and its resources `r`.
const GROWTH: &str = "
    INSERT INTO resource (directory_key, id, resource_type, user_name_key, display, external_id, active,
        doc, version, created, modified)
        SELECT d.key, 'directory_user_' || d.key || lpad(CAST(n AS TEXT), 6, '0'), 'User', 'u' || n, 'U',
        'e' || n, TRUE, '{\"userName\":\"u\"}', 1, n, n
        FROM d, generate_series(1, 20000) n;
    INSERT INTO resource (directory_key, id, resource_type, display_key, display, active, doc, version,
        created, modified)
        SELECT d.key, 'directory_group_' || d.key || lpad(CAST(n AS TEXT), 6, '0'), 'Group', 'g' || n, 'G',
        TRUE, '{}', 1, n, n
        FROM d, generate_series(1, 200) n;
    INSERT INTO member (directory_key, group_key, member_key)
        SELECT g.directory_key, g.key, u.key FROM r g JOIN r u ON u.resource_type = 'User'
        WHERE g.display_key = 'g1' OR g.display_key = 'g2' AND u.user_name_key IN ('u7', 'u8');
    INSERT INTO resource_attr (directory_key, path_id, key, resource_key, ordinal)
        SELECT directory_key, 1, user_name_key || '@example.com', key, 0 FROM r
        WHERE resource_type = 'User';
    INSERT INTO member_pending (directory_key, group_key, value, created)
        SELECT directory_key, key, 'p' || n, n FROM r, generate_series(1, 20000) n
        WHERE display_key = 'g1';
    INSERT INTO role_work (directory_key, kind, target_key, after_key)
        SELECT directory_key, 'user', key, 0 FROM r WHERE resource_type = 'User';
    INSERT INTO event (directory_key, id, event, resource_id, data, created)
        SELECT directory_key, 'event_' || id, 'dsync.user.created', id, '{}', 0 FROM r ORDER BY key;
    INSERT INTO event_held (directory_key, event, resource_id, member_id, data, created)
        SELECT directory_key, 'dsync.user.updated', id, '', '{}', 0 FROM r;
    INSERT INTO identity (organization_key, id, state, profile, created, modified)
        SELECT d.organization_key, 'identity_' || d.key || lpad(CAST(n AS TEXT), 6, '0'), 'active', '{}',
        0, 0 FROM d, generate_series(1, 20000) n;
    INSERT INTO identity_account (directory_key, user_id, organization_key, identity_key, active,
        orphaned, profile, linked_by)
        SELECT d.key, 'directory_user_' || substr(i.id, 10), d.organization_key, i.key, TRUE, FALSE, '{}',
        'first' FROM identity i JOIN d ON i.id LIKE 'identity_' || d.key || '______';
    INSERT INTO identity_past (directory_key, user_id, identity_key)
        SELECT a.directory_key, a.user_id, a.identity_key FROM identity_account a JOIN d
        ON d.key = a.directory_key;
";

/// Most directories are small.
const SMALL: &str = "
    INSERT INTO directory (id, organization_key, external_key, name, kind, state, settings, config,
        created, modified)
        SELECT 'directory_small' || n, key, 'small' || n, 'Small', 'scim.generic', 'linked', '{}', '{}',
        0, 0 FROM (SELECT MIN(key) AS key FROM organization) o, generate_series(1, 300) n;
    INSERT INTO resource (directory_key, id, resource_type, user_name_key, active, doc, version, created,
        modified)
        SELECT key, id || '_user', 'User', 'ada', TRUE, '{}', 1, 0, 0 FROM directory
        WHERE name = 'Small';
";

/// Pages that a statement about two users may read, and each of these two.
const PAGES: i64 = 90;

/// What statements read, in pages.
struct Meter<'m, 'c> {
    tx: &'m mut Tx<'c>,
    read: Vec<(&'static str, i64)>,
}

impl<'c> Meter<'_, 'c> {
    fn of<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Tx<'c>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let before = self.tx.pages_read()?;
        let done = work(self.tx)?;
        self.read.push((name, self.tx.pages_read()? - before));
        Ok(done)
    }

    /// The statements that read too much.
    fn too_many(self) -> Vec<(&'static str, i64)> {
        self.read.into_iter().filter(|(_, pages)| *pages > PAGES).collect()
    }
}

/// What the statements are about.
#[derive(Clone)]
struct Subject {
    key: i64,
    users: Vec<i64>,
    ids: Vec<String>,
    /// The group of all users, and one of two.
    all: i64,
    few: i64,
}

impl Subject {
    /// Before there is anybody, nobody.
    fn find(tx: &mut Tx<'_>, directory: &str) -> Result<Self, StoreError> {
        let key = tx.directory_get(directory)?.ok_or(StoreError::MissingReference)?.key;
        let ids: Vec<String> =
            ["000007", "000008"].map(|n| format!("directory_user_{key}{n}")).to_vec();
        let groups: Vec<String> =
            ["000001", "000002"].map(|n| format!("directory_group_{key}{n}")).to_vec();
        let keys = |found: Vec<(i64, String)>| found.into_iter().map(|(key, _)| key).collect();
        let users: Vec<i64> = keys(tx.member_keys_of(key, &ids)?);
        let groups: Vec<i64> = keys(tx.member_keys_of(key, &groups)?);
        let (all, few) = match groups.as_slice() {
            [all, few] => (*all.min(few), *all.max(few)),
            _ => (0, 0),
        };
        Ok(Self { key, users, ids, all, few })
    }
}

fn look(meter: &mut Meter<'_, '_>, subject: &Subject) -> Result<(), StoreError> {
    let Subject { key, users, ids, all, few } = subject.clone();
    let user = users.first().copied().unwrap_or_default();
    let up = IdRange { walk: Walk::Up, beyond: None, limit: 2 };
    meter.of("members_among", |tx| tx.members_among(key, all, &users))?;
    meter.of("member_keys", |tx| tx.member_keys(key, all, user, 2))?;
    meter.of("member_list", |tx| tx.member_list(key, all, user, 2))?;
    meter.of("app_members", |tx| tx.app_members(key, all, &up))?;
    meter.of("member_keys of few", |tx| tx.member_keys(key, few, 0, 2))?;
    meter.of("member_list of few", |tx| tx.member_list(key, few, 0, 2))?;
    let beyond = IdRange { walk: Walk::Up, beyond: Some(ids[0].clone()), limit: 2 };
    meter.of("app_members of few", |tx| tx.app_members(key, few, &beyond))?;
    meter.of("app_groups_of", |tx| tx.app_groups_of(key, user, &up))?;
    meter.of("membership_pairs", |tx| tx.membership_pairs(key, &users))?;
    meter.of("membership_list", |tx| tx.membership_list(key, user))?;
    meter.of("membership_lists", |tx| tx.membership_lists(key, &users))?;
    meter.of("membership_counts", |tx| tx.membership_counts(key, &users))?;
    meter.of("below_groups", |tx| tx.below_groups(key, &[few], 10))?;
    meter.of("member_keys_of", |tx| tx.member_keys_of(key, &ids))?;
    meter.of("resource_get", |tx| tx.resource_get(key, "User", &ids[0]))?;
    meter.of("resource_display", |tx| tx.resource_display(key, "User", &ids[0]))?;
    meter.of("resource_rows", |tx| tx.resource_rows(key, &users))?;
    meter.of("resource_kinds", |tx| tx.resource_kinds(key, &users))?;
    meter.of("mapping_rows", |tx| tx.mapping_rows(key, &users))?;
    meter.of("app_counts", |tx| tx.app_counts(&[key]))?;
    meter.of("app_users_by_external_id", |tx| tx.app_users_by_external_id(key, "e7", 0, 2))?;
    meter.of("app_users_by_attribute", |tx| {
        tx.app_users_by_attribute(key, 1, "u7@example.com", 0, 2)
    })?;
    meter.of("resource_locate", |tx| tx.resource_locate("User", &ids[0]))?;
    meter.of("sync_known", |tx| tx.sync_known(key, "User", user, 2))?;
    meter.of("snapshot_members", |tx| tx.snapshot_members(key, &users, ("", ""), 10))?;
    meter.of("snapshot_members behind all", |tx| {
        tx.snapshot_members(key, &users, (LAST_ID, ""), 10)
    })?;
    let found = meter.of("log_rows", |tx| tx.log_rows(&Stretch::behind(0, Some(vec![key]), 2)))?;
    let of_subject = Stretch { subject: Some(ids[0].clone()), ..Stretch::behind(0, None, 2) };
    meter.of("log_rows of a subject", |tx| tx.log_rows(&of_subject))?;
    let events: Vec<i64> = found.rows.iter().map(|row| row.key).collect();
    let positions: Vec<i64> = found.rows.iter().map(|row| row.position).collect();
    meter.of("log_positions", |tx| tx.log_positions(key, &events))?;
    meter.of("log_waiting", |tx| tx.log_waiting(key, 2))?;
    meter.of("log_waiting_rows", |tx| tx.log_waiting_rows(key, &events))?;
    meter.of("log_at", |tx| tx.log_at(&positions, Order::OldestFirst, 1_000))?;
    meter.of("sequencer_look", Tx::sequencer_look)?;
    meter.of("webhook_news", |tx| tx.webhook_news(7, 2))?;
    let account = meter.of("identity_account_get", |tx| tx.identity_account_get(key, &ids[0]))?;
    let identities: Vec<i64> = account.into_iter().map(|row| row.identity_key).collect();
    meter.of("identity_accounts", |tx| tx.identity_accounts(&identities))?;
    meter.of("identity_past", |tx| tx.identity_past(&identities))?;
    Ok(())
}

fn keep(meter: &mut Meter<'_, '_>, subject: &Subject) -> Result<(), StoreError> {
    let Subject { key, users, ids, all, few, .. } = subject.clone();
    meter.of("resource_lock", |tx| tx.resource_lock(key, "User", &ids[0]))?;
    meter.of("membership_lock_groups", |tx| tx.membership_lock_groups(key, &[all, few]))?;
    meter.of("member_candidates", |tx| tx.member_candidates(key, &ids))?;
    meter.of("member_present", |tx| tx.member_present(key, &users))?;
    meter.of("pending_candidates", |tx| tx.pending_candidates(key, &["e7", "e8"]))?;
    meter.of("mapping_lock", |tx| tx.mapping_lock(key, &users))?;
    meter.of("app_user_lock", |tx| tx.app_user_lock(key, &users))?;
    meter.of("app_user_keep", |tx| tx.app_user_keep(key, &users, true))?;
    meter.of("app_user_rows", |tx| tx.app_user_rows(key, &users))?;
    meter.of("app_user_lock_members", |tx| tx.app_user_lock_members(key, few))?;
    Ok(())
}

/// What is found by a value among the resources of a type: which index is the one of the value, PostgreSQL
/// does not know without statistics.
fn find(meter: &mut Meter<'_, '_>, subject: &Subject) -> Result<(), StoreError> {
    let key = subject.key;
    meter.of("user_by_name", |tx| tx.user_by_name(key, "u7"))?;
    meter
        .of("hand_over_holders", |tx| tx.hand_over_holders(key, "User", Some("e7"), Some("u7")))?;
    let registry = Registry::builtin();
    for (name, type_name, text) in [
        ("by userName", "User", "userName eq \"u7\""),
        ("by externalId", "User", "externalId eq \"e7\""),
        ("by address", "User", "emails.value eq \"u7@example.com\""),
        ("by displayName", "Group", "displayName eq \"g7\""),
        ("by member", "Group", &format!("members.value eq \"{}\"", subject.ids[0])),
    ] {
        let resource_type = registry.by_name(type_name).expect("a type");
        let parsed = parse_filter(text, UnquotedValues::Refuse).expect(text);
        let predicate =
            compile(&resolve(&parsed, resource_type).expect(text), resource_type).predicate;
        let walk = ResourceWalk {
            directory_key: key,
            resource_type: type_name,
            predicate: &predicate,
            order: list::Order::Key,
            rising: true,
            beyond: None,
            offset: 0,
            limit: 2,
        };
        meter.of(name, |tx| tx.resource_walk(&walk))?;
    }
    Ok(())
}

fn change(meter: &mut Meter<'_, '_>, subject: &Subject) -> Result<(), StoreError> {
    let Subject { key, users, all, few, .. } = subject.clone();
    let user = users.first().copied().unwrap_or_default();
    let held = meter.of("held_first", |tx| tx.held_first(key, i64::MAX, 2))?;
    let held: Vec<i64> = held.iter().map(|row| row.key).collect();
    meter.of("held_delete", |tx| tx.held_delete(key, &held))?;
    meter.of("brake_note_members", |tx| {
        tx.brake_note_members(key, all, &users, Membership::Ended)
    })?;
    meter.of("brake_note_all_members", |tx| tx.brake_note_all_members(key, few))?;
    meter.of("pending_remove", |tx| tx.pending_remove(key, all, &["p7".into(), "p8".into()]))?;
    meter.of("pending_arrived", |tx| tx.pending_arrived(key, "p9", &[all, few]))?;
    meter.of("role_work_done", |tx| tx.role_work_done(key, RoleWork::User, &users))?;
    meter.of("member_remove", |tx| tx.member_remove(key, all, &users))?;
    meter.of("member_add", |tx| tx.member_add(key, all, &users))?;
    meter.of("groupless_mark", |tx| tx.groupless_mark(key, &users, 7))?;
    meter.of("user_names_let_go", |tx| tx.user_names_let_go(key, &users))?;
    meter.of("resource_touch", |tx| tx.resource_touch(key, user, 7))?;
    let told = AppUser {
        key: user,
        active: true,
        app_state: AppState::Active,
        suspended: false,
        excluded: false,
        groupless_since: None,
    };
    meter.of("app_user_set", |tx| tx.app_user_set(key, &told))?;
    Ok(())
}

/// An app with one connection: its plans are those that a statement has.
fn start() -> TestApp {
    let app = TestApp::start_with(Database::postgres(), |config| config.postgres_connections = 1);
    execute(&app, UNWATCHED);
    app
}

fn execute(app: &TestApp, statements: &str) {
    let mut session = PgConnection::establish(&app.database.url()).expect("a session");
    session.batch_execute(statements).expect("done");
}

/// What a unit says that is to be taken back.
struct Undone(Result<Vec<(&'static str, i64)>, StoreError>);

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self(Err(error))
    }
}

impl UnitError for Undone {
    fn into_storage(self) -> Result<StoreError, Self> {
        match self.0 {
            Ok(read) => Err(Self(Ok(read))),
            Err(error) => Ok(error),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    ByKey,
    AlsoByValue,
}

/// The statements of a snapshot that have read too much.
fn read_in_snapshot(app: &TestApp, directory: &str, asked: Asked) -> Vec<(&'static str, i64)> {
    let (service, directory) = (app.service().clone(), directory.to_owned());
    let over = app.wait(async move {
        let work = move |tx: &mut Tx<'_>| {
            let subject = Subject::find(tx, &directory)?;
            let mut meter = Meter { tx, read: Vec::new() };
            look(&mut meter, &subject)?;
            if asked == Asked::AlsoByValue {
                find(&mut meter, &subject)?;
            }
            Ok::<_, StoreError>(meter.too_many())
        };
        service.store.read("statements", work).await
    });
    over.expect("read")
}

/// The statements of a unit that have read too much. What they have changed is taken back.
fn read_in_unit(app: &TestApp, directory: &str, asked: Asked) -> Vec<(&'static str, i64)> {
    let (service, directory) = (app.service().clone(), directory.to_owned());
    let undone = app.wait(async move {
        let work = move |tx: &mut Tx<'_>| -> Result<(), Undone> {
            let subject = Subject::find(tx, &directory)?;
            let mut meter = Meter { tx, read: Vec::new() };
            look(&mut meter, &subject)?;
            keep(&mut meter, &subject)?;
            if asked == Asked::AlsoByValue {
                find(&mut meter, &subject)?;
            }
            change(&mut meter, &subject)?;
            Err(Undone(Ok(meter.too_many())))
        };
        service.store.write("statements", work).await
    });
    undone.expect_err("taken back").0.expect("read")
}

/// In snapshots PostgreSQL plans a statement with its values five times, and then without them.
fn read_too_much(app: &TestApp, directory: &str, asked: Asked) -> Vec<(&'static str, i64)> {
    let snapshots = (0..7).flat_map(|_| read_in_snapshot(app, directory, asked));
    snapshots.chain(read_in_unit(app, directory, asked)).collect()
}

/// Rows that are not counted have nobody analyse the tables.
fn grow_unseen(app: &TestApp, statements: &str) {
    execute(app, &format!("SET track_counts = off; {statements}"));
    app.settle_events();
    execute(app, UNWATCHED);
}

#[test]
fn grown_tables_are_not_walked() {
    let app = start();
    let directory = app.directory.id.clone();
    app.database.analyze();
    grow_unseen(&app, &(growth(&directory) + SMALL));
    assert_eq!(read_too_much(&app, &directory, Asked::ByKey), []);
    // The best of statistics know of the group of all users, but not whom a statement asks for.
    app.database.analyze();
    assert_eq!(read_too_much(&app, &directory, Asked::AlsoByValue), []);
}

#[test]
fn directories_of_which_statistics_do_not_know_are_not_walked() {
    let app = start();
    let (new, _) = app.directory("scim.generic");
    grow_unseen(&app, &growth(&app.directory.id));
    app.database.analyze();
    grow_unseen(&app, &growth(&new.id));
    assert_eq!(read_too_much(&app, &new.id, Asked::AlsoByValue), []);
}

#[test]
fn tables_that_grow_are_analysed_at_once() {
    let app = start();
    let directory = app.directory.id.clone();
    read_too_much(&app, &directory, Asked::AlsoByValue);
    execute(&app, &(growth(&directory) + SMALL));
    app.settle_events();
    let begun = Instant::now();
    let mut over = read_too_much(&app, &directory, Asked::AlsoByValue);
    while !over.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{over:?}");
        over = read_too_much(&app, &directory, Asked::AlsoByValue);
    }
}
