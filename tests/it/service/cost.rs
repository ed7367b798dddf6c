//! What must not grow with the number of stored resources does not.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::on_both_databases;
use crate::support::{TestApp, group, patch, user};

on_both_databases![heavy_lookup_and_member_patch_do_not_grow_with_the_directory];

/// Users in the larger directory; `ROLLBOOK_TEST_USERS` makes it larger still.
const USERS: usize = 20_000;

/// The fastest: what else the machine does is no cost of ours.
fn least(samples: &[Duration]) -> Duration {
    samples.iter().min().copied().expect("samples")
}

/// A look-up by userName and a one-member PATCH take about as long with many users as with few. The
/// bound is wide because the machine is shared; a scan would miss it by far.
fn heavy_lookup_and_member_patch_do_not_grow_with_the_directory(app: &TestApp) {
    let users = std::env::var("ROLLBOOK_TEST_USERS").ok().and_then(|n| n.parse().ok());
    let users: usize = users.unwrap_or(USERS);
    let group_id = app.scim.post("/Groups", group("G", &[])).expect(201).id();
    let ids: Vec<String> = (0..100)
        .map(|n| app.scim.post("/Users", user(&format!("few{n}@example.com"))).expect(201).id())
        .collect();
    let measure = || {
        let mut lookups = Vec::new();
        let mut patches = Vec::new();
        for (n, id) in ids.iter().enumerate() {
            let started = Instant::now();
            let found = app.scim.filter("/Users", &format!("userName eq \"few{n}@example.com\""));
            lookups.push(started.elapsed());
            assert_eq!(found.ids(), std::slice::from_ref(id));
            for op in ["add", "remove"] {
                let ops = json!([{"op": op, "path": "members", "value": [{"value": id}]}]);
                let path = format!("/Groups/{group_id}?excludedAttributes=members");
                let started = Instant::now();
                app.scim.patch(&path, patch(ops)).expect(200);
                patches.push(started.elapsed());
            }
        }
        (least(&lookups), least(&patches))
    };
    measure();
    let few = measure();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let scim = app.scim.clone();
            scope.spawn(move || {
                for n in 0..users / 8 {
                    scim.post("/Users", user(&format!("many{worker}-{n}@example.com"))).expect(201);
                }
            });
        }
    });
    app.database.analyze();
    measure();
    let many = measure();
    println!("userName eq: {:?} with 100 users, {:?} with {users}", few.0, many.0);
    println!("one-member PATCH: {:?} with 100 users, {:?} with {users}", few.1, many.1);
    assert!(many.0 < few.0 * 2 + Duration::from_millis(1), "{few:?} {many:?}");
    assert!(many.1 < few.1 * 2 + Duration::from_millis(2), "{few:?} {many:?}");
}
