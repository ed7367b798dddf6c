//! Pages by index, read one after the other: the place where a page ended is remembered, so that
//! a walk costs what it shows and what is written meanwhile does not shift it.

use std::time::{Duration, Instant};

use serde_json::json;

use rollbook::store::StoreError;
use rollbook::store::list::{Bound, BoundValue, Order, Walk};
use rollbook::store::plan::{InstantColumn, Predicate, TextColumn};

use super::bulk::{bulk, results};
use super::{create, plain_user};
use crate::on_both_databases;
use crate::support::{Answer, ENTERPRISE, TestApp, group};

on_both_databases![
    walk_is_the_whole_list,
    jump_lands_where_it_should,
    walk_sees_everything_though_earlier_rows_go,
    walk_sees_everything_though_earlier_rows_come,
    walk_is_forgotten_at_its_first_page_and_after_a_while,
    total_of_a_walk_is_exact_without_writes,
    asking_for_the_total_does_not_end_a_walk,
    sort_by_what_is_made_when_shown_is_an_unknown_sort,
    walks_of_two_clients_do_not_disturb_each_other,
    pages_beyond_a_place_come_from_an_index,
    heavy_last_page_costs_what_the_first_one_does,
];

const LISTS: [&str; 9] = [
    "/Users?",
    "/Users?sortBy=userName",
    "/Users?sortBy=externalId",
    "/Users?sortBy=externalId&sortOrder=descending",
    "/Users?sortBy=title",
    "/Users?sortBy=title&sortOrder=descending",
    "/Users?filter=userName+sw+%22u%22",
    "/Users?filter=title+co+%22t%22",
    "/?sortBy=meta.lastModified&filter=userName+pr",
];

/// 24 users, half of them with an externalId, and a few groups.
fn fill(app: &TestApp) {
    for n in 0..24 {
        let mut body = plain_user(&format!("u{:02}", n * 7 % 24));
        body["title"] = format!("t{}", n % 5).into();
        if n % 2 == 0 {
            body["externalId"] = format!("x{:02}", n * 5 % 24).into();
        }
        create(&app.scim, "/Users", body);
    }
    for n in 0..3 {
        create(&app.scim, "/Groups", group(&format!("g{n}"), &[]));
    }
}

#[track_caller]
fn page(app: &TestApp, path: &str, start: usize, count: usize) -> Answer {
    let answer = app.scim.get(&format!("{path}&startIndex={start}&count={count}")).expect(200);
    assert_eq!(answer.body["startIndex"], start, "{path}");
    assert_eq!(answer.body["itemsPerPage"], answer.ids().len(), "{path}");
    answer
}

fn whole(app: &TestApp, path: &str) -> Vec<String> {
    app.scim.get(&format!("{path}&count=1000")).ids()
}

/// Reads as clients do: until the next page would lie beyond the total. `between` is called with what
/// was seen before each page but the first.
fn walk(
    app: &TestApp,
    path: &str,
    count: usize,
    mut between: impl FnMut(&[String]),
) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let answer = page(app, path, seen.len() + 1, count);
        seen.extend(answer.ids());
        if answer.ids().is_empty() || seen.len() as u64 >= answer.total() {
            return seen;
        }
        between(&seen);
    }
}

fn walk_is_the_whole_list(app: &TestApp) {
    fill(app);
    for path in LISTS.iter().copied().chain(["/?", "/?sortBy=id", "/?filter=id+pr"]) {
        let whole = whole(app, path);
        for count in [1, 5, 8, whole.len(), 100] {
            assert_eq!(walk(app, path, count, |_| {}), whole, "{path}, {count} a page");
        }
    }
}

/// Also when a place is known from which the row is not reached by going on.
fn jump_lands_where_it_should(app: &TestApp) {
    fill(app);
    for path in LISTS.iter().copied().chain(["/?", "/?sortOrder=descending", "/?filter=id+pr"]) {
        let whole = whole(app, path);
        let total = whole.len();
        for known in [None, Some((1, 2)), Some((1, 13)), Some((9, 4))] {
            if let Some((start, count)) = known {
                page(app, path, start, count);
            }
            for start in [2, 3, 4, 7, 12, 13, 14, 15, 20, 23, 24, 25, 26, 27, 28, 99, 5, 3] {
                let answer = page(app, path, start, 3);
                assert_eq!(answer.total() as usize, total, "{path}, {start} after {known:?}");
                let expected: Vec<String> = whole.iter().skip(start - 1).take(3).cloned().collect();
                assert_eq!(answer.ids(), expected, "{path}, {start} after {known:?}");
            }
        }
    }
}

#[track_caller]
fn assert_seen(app: &TestApp, path: &str, before: &[String], seen: &[String]) {
    let there = app.scim.get("/?count=1000&attributes=id").ids();
    let stayed: Vec<&String> = before.iter().filter(|id| there.contains(id)).collect();
    let found: Vec<&String> = seen.iter().filter(|id| stayed.contains(id)).collect();
    assert_eq!(found, stayed, "{path}: nothing skipped, nothing twice");
    let mut once = seen.to_vec();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "{path}: nothing twice");
}

/// A client that deletes what it has read must still read the rest.
fn walk_sees_everything_though_earlier_rows_go(app: &TestApp) {
    for path in LISTS {
        for all_of_a_page in [false, true] {
            fill(app);
            let before = whole(app, path);
            let seen = walk(app, path, 5, |seen| {
                let page = &seen[seen.len().saturating_sub(5)..];
                for id in if all_of_a_page { page } else { &page[1..4] } {
                    app.scim.delete(&format!("/Users/{id}")).expect(204);
                }
            });
            assert_eq!(seen, before, "{path}");
            assert_seen(app, path, &before, &seen);
            // From the start again, what is there counts.
            let left = whole(app, path);
            assert_eq!(left.len(), if all_of_a_page { 4 } else { 12 }, "{path}");
            assert_eq!(page(app, path, 1, 2).total() as usize, left.len(), "{path}");
            assert_eq!(walk(app, path, 5, |_| {}), left, "{path}");
            for id in left {
                app.scim.delete(&format!("/Users/{id}")).expect(204);
            }
        }
    }
}

fn walk_sees_everything_though_earlier_rows_come(app: &TestApp) {
    for path in LISTS {
        fill(app);
        let before = whole(app, path);
        let mut n = 0;
        let seen = walk(app, path, 5, |_| {
            n += 1;
            if n > 6 {
                return;
            }
            for name in ["u00", "u08", "u23"] {
                let mut body = plain_user(&format!("{name}.{n}"));
                body["title"] = "t2".into();
                body["externalId"] = format!("x1{n}").into();
                create(&app.scim, "/Users", body);
            }
        });
        assert_seen(app, path, &before, &seen);
        for id in whole(app, "/Users?") {
            app.scim.delete(&format!("/Users/{id}")).expect(204);
        }
    }
}

fn walk_is_forgotten_at_its_first_page_and_after_a_while(app: &TestApp) {
    for path in ["/Users?", "/Users?filter=title+co+%22t%22"] {
        fill(app);
        let before = whole(app, path);
        let remove = |id: &String| app.scim.delete(&format!("/Users/{id}")).expect(204);
        page(app, path, 1, 5);
        remove(&before[0]);
        assert_eq!(page(app, path, 6, 2).ids(), before[5..7]);
        // A first page begins a new walk, in which the deleted one does not count.
        assert_eq!(page(app, path, 1, 5).ids(), before[1..6]);
        assert_eq!(page(app, path, 6, 2).ids(), before[6..8]);
        remove(&before[1]);
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(page(app, path, 8, 2).ids(), before[8..10], "goes on");
        app.clock.advance(Duration::from_millis(60_001));
        assert_eq!(page(app, path, 8, 2).ids(), before[9..11], "counts from the start");
        assert_eq!(page(app, path, 8, 2).total(), 22);
        for id in whole(app, "/Users?") {
            remove(&id);
        }
    }
}

fn total_of_a_walk_is_exact_without_writes(app: &TestApp) {
    fill(app);
    for path in LISTS {
        for count in [4, 5, 24] {
            for start in (1..=29).step_by(count) {
                assert_eq!(page(app, path, start, count).total(), 24, "{path}, {start}");
            }
            assert_eq!(page(app, path, 3, 0).total(), 24, "{path}");
        }
    }
}

fn asking_for_the_total_does_not_end_a_walk(app: &TestApp) {
    for path in ["/Users?", "/Users?sortBy=title"] {
        fill(app);
        let before = whole(app, path);
        page(app, path, 1, 5);
        app.scim.delete(&format!("/Users/{}", before[2])).expect(204);
        assert_eq!(page(app, path, 1, 0).total(), 23, "{path}");
        assert_eq!(page(app, path, 6, 5).ids(), before[5..10], "{path}");
        for id in whole(app, "/Users?") {
            app.scim.delete(&format!("/Users/{id}")).expect(204);
        }
    }
}

/// No document holds it, so there is nothing to sort by: what `unknown_sort` of the profile says.
fn sort_by_what_is_made_when_shown_is_an_unknown_sort(app: &TestApp) {
    fill(app);
    let (_, rfc) = app.directory("scim.rfc");
    let manager = format!("/Users?sortBy={ENTERPRISE}:manager");
    for path in [
        "/Users?sortBy=groups",
        "/Users?sortBy=groups.display",
        "/Users?sortBy=meta.version",
        "/Groups?sortBy=meta.location",
        "/Groups?sortBy=members",
        "/Groups?sortBy=members.display",
        &format!("{manager}.$ref"),
        &format!("{manager}.displayName"),
    ] {
        let (list, _) = path.split_once('?').expect("a query");
        assert_eq!(app.scim.get(path).expect(200).ids(), app.scim.get(list).ids(), "{path}");
        let detail = rfc.get(path).expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("sortBy"), "{detail}");
    }
    for known in ["/Users?sortBy=meta.created", &manager, &format!("{manager}.value")] {
        rfc.get(known).expect(200);
    }
}

/// Other filters, sorts and directories have places of their own.
fn walks_of_two_clients_do_not_disturb_each_other(app: &TestApp) {
    fill(app);
    let (_, other) = app.directory("scim.generic");
    for n in 0..9 {
        create(&other, "/Users", plain_user(&format!("o{n}")));
    }
    let foreign = other.get("/Users").ids();
    let lists: Vec<Vec<String>> = LISTS.iter().map(|path| whole(app, path)).collect();
    for start in (1..=24).step_by(3) {
        for (path, whole) in LISTS.iter().zip(&lists) {
            assert_eq!(page(app, path, start, 3).ids(), whole[start - 1..start + 2], "{path}");
        }
        let answer = other.get(&format!("/Users?startIndex={start}&count=3"));
        let expected: Vec<String> = foreign.iter().skip(start - 1).take(3).cloned().collect();
        assert_eq!(answer.ids(), expected);
    }
}

/// What the database does for a page beyond a place: an index gives the rows and their order.
fn pages_beyond_a_place_come_from_an_index(app: &TestApp) {
    let post = |n: usize| {
        let mut user = plain_user(&format!("user{n}"));
        user["externalId"] = format!("x{n}").into();
        let group = group(&format!("group{n}"), &[]);
        [("/Users", user), ("/Groups", group)].map(|(path, data)| {
            let bulk_id = format!("{path}{n}");
            json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": data})
        })
    };
    results(&app.scim.post("/Bulk", bulk((0..1_000).flat_map(post).collect())));
    app.database.analyze();
    let text = |text: &str| Some(BoundValue::Text(text.into()));
    let active = Predicate::Active(true);
    let present = |column| Predicate::TextPresent { column, present: true };
    let assigned = Predicate::And(vec![Predicate::All, present(TextColumn::ExternalId)]);
    for (resource_type, order, value, predicate, index) in [
        ("User", Order::Key, None, Predicate::All, "resource_type"),
        ("User", Order::Key, None, active.clone(), "resource_type"),
        ("Group", Order::Key, None, Predicate::All, "resource_type"),
        (
            "User",
            Order::Text(TextColumn::UserName),
            text("user5"),
            Predicate::All,
            "resource_user_name",
        ),
        ("User", Order::Text(TextColumn::UserName), text("user5"), active, "resource_user_name"),
        (
            "Group",
            Order::Text(TextColumn::Display),
            text("group5"),
            Predicate::All,
            "resource_display",
        ),
        ("User", Order::Text(TextColumn::ExternalId), text("x5"), assigned, "resource_external_id"),
    ] {
        for rising in [true, false] {
            for beyond in [false, true] {
                let bound = Bound { value: value.clone(), key: 1_000 };
                let bound = beyond.then_some(bound);
                let plan = explain(app, resource_type, order, rising, bound, &predicate);
                let what = format!("{resource_type} {order:?} {rising} {beyond}:\n{plan}");
                assert!(plan.contains(index), "{what}");
                // SQLite sorts in a B-tree; PostgreSQL may sort what is equal in the index, no more.
                assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{what}");
                let sorts = plan.matches("Sort  (").count();
                assert_eq!(sorts, plan.matches("Incremental Sort  (").count(), "{what}");
                assert!(!plan.contains("Seq Scan") && !plan.contains("SCAN r"), "{what}");
                // The place is a condition on the index, not on rows that were read.
                let sign = if rising { '>' } else { '<' };
                let by_index = plan.lines().map(str::trim).any(|line| {
                    let postgres = line.starts_with("Index Cond:");
                    let sqlite = line.starts_with("SEARCH r USING INDEX");
                    (postgres || sqlite) && line.contains(sign)
                });
                assert!(by_index || !beyond, "{what}");
            }
        }
    }
    // No index has the order of these: the database sorts, and reads every row for it.
    let order = Order::Instant(InstantColumn::Created);
    let plan = explain(app, "User", order, true, None, &Predicate::All);
    assert!(plan.contains("Sort  (") || plan.contains("TEMP B-TREE FOR ORDER BY"), "{plan}");
}

fn explain(
    app: &TestApp,
    resource_type: &str,
    order: Order,
    rising: bool,
    beyond: Option<Bound>,
    predicate: &Predicate,
) -> String {
    let (id, resource_type) = (app.directory.id.clone(), resource_type.to_owned());
    let (predicate, service) = (predicate.clone(), app.service().clone());
    let plan: Result<Vec<String>, StoreError> = app.wait(async move {
        service
            .store
            .read("explain", move |tx| {
                let row = tx.directory_get(&id)?.expect("the directory");
                tx.resource_walk_explained(&Walk {
                    directory_key: row.key,
                    resource_type: &resource_type,
                    predicate: &predicate,
                    order,
                    rising,
                    beyond: beyond.as_ref(),
                    offset: 0,
                    // To 1,000 users as a page of 100 is to 20,000.
                    limit: 5,
                })
            })
            .await
    });
    plan.expect("a plan").join("\n")
}

/// Users in the large directory; `ROLLBOOK_TEST_USERS` makes it larger still.
const USERS: usize = 20_000;

/// The bound is wide because the machine is shared; counting rows from the start would miss it.
fn heavy_last_page_costs_what_the_first_one_does(app: &TestApp) {
    let users = std::env::var("ROLLBOOK_TEST_USERS").ok().and_then(|n| n.parse().ok());
    let users: usize = users.unwrap_or(USERS);
    for chunk in (0..users).collect::<Vec<_>>().chunks(5_000) {
        let post = |n: &usize| {
            let mut data = plain_user(&format!("user{}", n * 7_919 % users));
            data["externalId"] = format!("x{n}").into();
            json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": data})
        };
        results(&app.scim.post("/Bulk", bulk(chunk.iter().map(post).collect())));
    }
    app.database.analyze();
    const COUNT: usize = 100;
    for query in ["", "&sortBy=userName", "&sortBy=userName&sortOrder=descending"] {
        for by_cursor in [true, false] {
            let (mut times, mut seen, mut cursor) = (Vec::new(), 0, String::new());
            loop {
                let path = match by_cursor {
                    true => format!("/Users?count={COUNT}&cursor={cursor}{query}"),
                    false => format!("/Users?count={COUNT}&startIndex={}{query}", seen + 1),
                };
                let started = Instant::now();
                let page = app.scim.get(&path).expect(200);
                times.push(started.elapsed());
                seen += page.ids().len();
                match page.body["nextCursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None if by_cursor || seen >= users => break,
                    None => {}
                }
            }
            assert_eq!(seen, users, "{query}");
            let tenth = times.len() / 10;
            // The fastest: what else the machine does is no cost of ours.
            let least = |times: &[Duration]| times.iter().min().copied().expect("pages");
            let (first, last) = (least(&times[..tenth]), least(&times[times.len() - tenth..]));
            let how = if by_cursor { "cursor" } else { "index" };
            println!("{users} users by {how}{query}: first pages {first:?}, last pages {last:?}");
            assert!(last < first * 2 + Duration::from_millis(5), "{query}: {first:?} {last:?}");
        }
        let started = Instant::now();
        let jump = users - COUNT / 2;
        let page = app.scim.get(&format!("/Users?count={COUNT}&startIndex={jump}{query}"));
        println!("  a jump to the end: {:?}", started.elapsed());
        assert_eq!(page.ids().len(), COUNT / 2 + 1);
    }
    for query in ["sortBy=meta.created", "sortBy=meta.lastModified", "sortBy=externalId"] {
        let started = Instant::now();
        app.scim.get(&format!("/Users?count={COUNT}&cursor=&{query}")).expect(200);
        println!("{users} users, first page with {query}: {:?}", started.elapsed());
    }
}
