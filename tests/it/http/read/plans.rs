//! No list of the read API reads a whole directory: every statement goes along an index.

use serde_json::json;

use rollbook::store::departed::Departed;
use rollbook::store::{IdRange, StoreError, Tx, Walk};

use crate::on_both_databases;
use crate::support::{TestApp, group, user};

on_both_databases![every_statement_uses_an_index_heavy, walks_are_not_sorted];

const USERS: usize = 1_500;

/// What SQLite says when it reads a table from one end to the other, and PostgreSQL.
const SCANS: [&str; 10] = [
    "SCAN r",
    "SCAN m",
    "SCAN a",
    "SCAN resource",
    "SCAN departed_user",
    "Seq Scan on resource",
    "Seq Scan on member",
    "Seq Scan on departed_user",
    "Seq Scan on organization",
    "Seq Scan on directory ",
];

fn every_statement_uses_an_index_heavy(app: &TestApp) {
    let mut operations = Vec::new();
    for n in 0..USERS {
        let mut body = user(&format!("u{n}@example.com"));
        body["externalId"] = json!(format!("00u{n}"));
        body["emails"] = json!([{"value": format!("u{n}@example.com"), "primary": true}]);
        operations.push(
            json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": body}),
        );
    }
    let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    for chunk in operations.chunks(500) {
        app.scim.post("/Bulk", json!({"schemas": [schema], "Operations": chunk})).expect(200);
    }
    let ids = app.scim.get("/Users?count=200&attributes=id").expect(200).ids();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let sales = app.scim.post("/Groups", group("Sales", &members)).expect(201).id();
    // Organizations, directories and departed users, so that their tables are large enough.
    app.settings(&app.directory, json!({"delete": "deactivate"}));
    let rows = app.wait({
        let service = app.service().clone();
        let directory = app.directory.id.clone();
        async move { service.store.write("fill", move |tx| fill(tx, &directory)).await }
    });
    rows.expect("filled");
    app.database.analyze();
    let (directory, user) = (app.directory.id.clone(), ids[7].clone());
    let service = app.service().clone();
    let plans = app.wait(async move {
        let work = move |tx: &mut Tx<'_>| tx.explained(|tx| run(tx, &directory, &sales, &user));
        service.store.read("explain", work).await
    });
    let plans = plans.expect("plans");
    assert!(plans.len() >= 35, "{} statements", plans.len());
    for plan in plans {
        let scan = SCANS
            .iter()
            .find(|scan| plan.lines().any(|line| line.contains(*scan) && !line.contains("USING")));
        assert!(scan.is_none(), "{scan:?} in\n{plan}");
    }
}

fn walks_are_not_sorted(app: &TestApp) {
    let (service, directory) = (app.service().clone(), app.directory.id.clone());
    let plans = app.wait(async move {
        let work = move |tx: &mut Tx<'_>| {
            let row = tx.directory_get(&directory)?.ok_or(StoreError::MissingReference)?;
            tx.explained(|tx| walk(tx, row.key, 7))
        };
        service.store.read("explain", work).await
    });
    let plans = plans.expect("plans");
    assert_eq!(plans.len(), 4);
    for plan in plans {
        // PostgreSQL decides by how many rows there are.
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

fn fill(tx: &mut Tx<'_>, directory: &str) -> Result<(), StoreError> {
    use rollbook::store::departed::DepartedRow;
    use rollbook::store::directory::NewDirectory;
    let key = tx.directory_get(directory)?.map_or(0, |row| row.key);
    for n in 0..USERS {
        tx.departed_insert(
            key,
            &DepartedRow {
                id: format!("directory_user_departed{n}"),
                user_name_key: format!("d{n}"),
                external_id: Some(format!("d{n}")),
                doc: json!({"userName": format!("d{n}")}).to_string(),
                extra: None,
                created: 0,
                modified: 0,
                departed: 0,
                email_key: Some(format!("d{n}@example.com")),
                custom_attributes: None,
                roles: None,
            },
        )?;
        let external_id = format!("c{n}");
        let id = format!("org_{n}");
        let row = tx.organization_insert(&id, "Name", Some(&external_id), "{}", 0)?;
        tx.directory_insert(&NewDirectory {
            organization_key: row.key,
            id: format!("directory_{n}"),
            external_key: format!("{n}"),
            name: "Name".into(),
            kind: "scim.okta".into(),
            state: "linked".into(),
            settings: "{}".into(),
            config: "{}".into(),
            now: 0,
        })?;
    }
    Ok(())
}

/// Those that are asked for again and again, each time behind the last row: what they find is there in
/// their order. To sort it anew for each chunk would take the square of the time.
fn walk(tx: &mut Tx<'_>, key: i64, behind: i64) -> Result<(), StoreError> {
    for after in [i64::MIN, behind] {
        tx.app_users_by_external_id(key, "00u7", after, 500)?;
        tx.app_users_by_attribute(key, 1, "u7@example.com", after, 500)?;
    }
    Ok(())
}

/// Every statement of the read API, as it is asked for.
fn run(tx: &mut Tx<'_>, directory: &str, group: &str, user: &str) -> Result<(), StoreError> {
    let row = tx.directory_get(directory)?.ok_or(StoreError::MissingReference)?;
    let key = row.key;
    let group = tx.resource_locate("Group", group)?.ok_or(StoreError::MissingReference)?;
    let located = tx.resource_locate("User", user)?.ok_or(StoreError::MissingReference)?;
    tx.departed_locate("directory_user_departed7")?;
    for walk in [Walk::Up, Walk::Down] {
        for beyond in [None, Some(user.to_owned()), Some("directory_user_gone".to_owned())] {
            let range = IdRange { walk, beyond, limit: 11 };
            tx.app_list(key, "User", &range)?;
            tx.app_list(key, "Group", &range)?;
            tx.app_members(key, group.key, &range)?;
            tx.app_groups_of(key, located.key, &range)?;
            for wanted in [
                Departed::All,
                Departed::Id("directory_user_departed7"),
                Departed::ExternalId("d7"),
                Departed::Email("d7@example.com"),
            ] {
                tx.departed_range(key, wanted, &range)?;
            }
        }
        let range = IdRange { walk, beyond: Some("directory_5".into()), limit: 11 };
        tx.directory_range(None, &range)?;
        tx.directory_range(Some(&["org_7".to_owned()]), &range)?;
        tx.directory_range(Some(&["org_7".to_owned(), "org_8".to_owned()]), &range)?;
        let range = IdRange { walk, beyond: Some("org_5".into()), limit: 11 };
        tx.organization_range(None, &range)?;
        tx.organization_range(Some(&["org_7".to_owned()]), &range)?;
    }
    tx.user_by_name(key, "u7@example.com")?;
    walk(tx, key, located.key)?;
    tx.members_among(key, group.key, &[located.key])?;
    tx.membership_pairs(key, &[located.key])?;
    tx.resource_rows(key, &[group.key])?;
    tx.app_counts(&[key])?;
    tx.organization_by_external_id("c7")?;
    tx.domain_organizations(&["a.example".to_owned()])?;
    tx.domain_list(&["org_7".to_owned()])?;
    Ok(())
}
