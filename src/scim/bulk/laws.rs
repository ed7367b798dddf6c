//! Laws of bulk requests, held against random requests and hostile JSON.

use std::collections::HashMap;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{BulkRequest, Method, Operation, Reference, parse, plan};
use crate::scim::Object;
use crate::scim::message::MissingSchemas;
use crate::scim::resource::fixture::object;
use crate::scim::urn::BULK_REQUEST;

/// JSON from the words that the parser knows, in any arrangement.
fn hostile() -> impl Strategy<Value = Value> {
    let words = vec![
        "post",
        "PUT",
        "PATCH",
        "DELETE",
        "GET",
        "",
        "/",
        "/Users",
        "Groups/1",
        "/Users/bulkId:a",
        "//%ff",
        "bulkId:a",
        "bulkId:",
        "a",
        "W/\"1\"",
        "../Users/bulkId:a",
        "m[v eq \"bulkId:a\"]",
        "m[v eq \"bulkId:b\"].$ref",
        "[",
        "ü\u{0}",
        BULK_REQUEST,
    ];
    let names = vec![
        "schemas",
        "Operations",
        "operations",
        "failOnErrors",
        "method",
        "path",
        "PATH",
        "bulkId",
        "version",
        "data",
        "value",
        "$ref",
        "m.$ref",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(words).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        let member = (select(names.clone()), inner.clone());
        let object = vec(member, 0..6).prop_map(|members| {
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        });
        prop_oneof![vec(inner, 0..5).prop_map(Value::Array), object.prop_map(Value::Object)]
    })
}

/// An operation whose members are mostly what they should be.
fn plausible() -> impl Strategy<Value = Value> {
    let or_hostile = |words: Vec<&'static str>| {
        let word = select(words).prop_map(Value::from);
        prop_oneof![6 => word, 1 => hostile()]
    };
    let method = or_hostile(vec!["POST", "put", "PATCH", "Patch", "DELETE", "GET"]);
    let path =
        or_hostile(vec!["/Users", "/Users", "Users/1", "/Groups/bulkId:a", "/Users/bulkId:b"]);
    let bulk_id = or_hostile(vec!["a", "b", "c", " "]);
    let data = prop_oneof![data().prop_map(Value::Object), hostile()];
    (method, path, bulk_id, data, hostile()).prop_map(|(method, path, bulk_id, data, version)| {
        json!({"method": method, "path": path, "bulkId": bulk_id, "data": data, "version": version})
    })
}

/// An operation of a random request: what it is and which POSTs it refers to.
#[derive(Clone, Debug)]
struct Link {
    method: Method,
    refers: Vec<usize>,
}

/// Requests of up to twelve operations that refer to each other in any way.
fn links() -> impl Strategy<Value = Vec<Link>> {
    let methods = vec![Method::Post, Method::Post, Method::Post, Method::Put, Method::Delete];
    (1usize..12).prop_flat_map(move |count| {
        let link = (select(methods.clone()), btree_set(0..count, 0..4));
        let link =
            link.prop_map(|(method, refers)| Link { method, refers: refers.into_iter().collect() });
        vec(link, count)
    })
}

/// References to bulkIds that no POST has occur when the operation named is no POST.
fn request(links: &[Link]) -> BulkRequest {
    let operation = |(index, link): (usize, &Link)| {
        let name = |other: &usize| format!("bulkId:{other}");
        let members: Vec<String> = link.refers.iter().map(name).collect();
        let path = match (link.method, members.first()) {
            (Method::Post, _) => "/Users".to_owned(),
            (_, Some(first)) => format!("/Users/{first}"),
            (_, None) => "/Users/1".to_owned(),
        };
        json!({
            "method": link.method.as_str(), "path": path, "bulkId": index.to_string(),
            "data": {"members": members}
        })
    };
    let operations: Vec<Value> = links.iter().enumerate().map(operation).collect();
    let body = object(json!({"Operations": operations}));
    parse(body, links.len(), MissingSchemas::Accept).unwrap()
}

/// `reach[a][b]`: `a` needs `b`, at first or at last. DELETE needs only what its path names.
fn reach(links: &[Link]) -> Vec<Vec<bool>> {
    let needs = |link: &Link| match link.method {
        Method::Delete => link.refers.iter().take(1).copied().collect(),
        _ => link.refers.clone(),
    };
    let mut reach = vec![vec![false; links.len()]; links.len()];
    for (index, link) in links.iter().enumerate() {
        for other in needs(link) {
            reach[index][other] = links[other].method == Method::Post;
        }
    }
    for via in 0..links.len() {
        for from in 0..links.len() {
            for to in 0..links.len() {
                reach[from][to] |= reach[from][via] && reach[via][to];
            }
        }
    }
    reach
}

/// The step of each operation.
fn step_of(steps: &[Vec<usize>]) -> HashMap<usize, usize> {
    let numbered = steps.iter().enumerate();
    numbered.flat_map(|(at, step)| step.iter().map(move |index| (*index, at))).collect()
}

/// Data with references everywhere but not in other text, so that replacing the text `bulkId:` by
/// `id-` everywhere is the same as resolving.
fn data() -> impl Strategy<Value = Object> {
    let texts = vec!["bulkId:a", "bulkId:b c", "bulkId:ü", "plain", "", "bulk", "Id:a"];
    let refs = vec!["bulkId:a", "/Users/bulkId:b", "https://example.com/v2/Users/bulkId:c", "x/y"];
    let paths = vec![
        "members[value eq \"bulkId:a\"]",
        "members[value eq \"bulkId:a\" or not ($ref ew \"Users/bulkId:b\")].display",
        "members[value eq \"1\"]",
        "members",
        "manager.$ref",
    ];
    let leaf = prop_oneof![
        select(texts).prop_map(Value::from),
        select(refs.clone()).prop_map(|uri| json!({"$ref": uri})),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        let member = ("[a-c]", inner.clone());
        let object =
            vec(member, 0..4).prop_map(|members| Value::Object(members.into_iter().collect()));
        prop_oneof![vec(inner, 0..4).prop_map(Value::Array), object]
    });
    let op = (select(paths), value, select(refs)).prop_map(|(path, value, uri)| {
        let value = if path.ends_with("$ref") { uri.into() } else { value };
        json!({"op": "replace", "path": path, "value": value})
    });
    vec(op, 0..4).prop_map(|ops| object(json!({"Operations": ops})))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_sent_makes_it_panic(
        body in hostile(),
        operations in vec(prop_oneof![hostile(), plausible()], 0..6)
    ) {
        if let Value::Object(body) = body {
            let _ = parse(body, 3, MissingSchemas::Refuse);
        }
        let count = operations.len();
        let body = object(json!({"Operations": operations}));
        let Ok(request) = parse(body, 6, MissingSchemas::Accept) else {
            prop_assert_eq!(count, 0);
            return Ok(());
        };
        prop_assert_eq!(request.operations.len(), count);
        let mut all = plan(&request).steps.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        for entry in request.operations {
            let Ok(mut operation) = entry.operation else { continue };
            prop_assert_eq!(operation.method.as_str(), &entry.method);
            prop_assert_eq!(operation.id.is_none(), operation.method == Method::Post);
            let needed = !operation.references().is_empty();
            prop_assert_eq!(operation.resolve(|_| Reference::Unknown).is_err(), needed);
        }
    }

    #[test]
    fn every_operation_has_one_step_and_needs_no_later_one(links in links()) {
        let steps = plan(&request(&links)).steps;
        let mut all = steps.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..links.len()).collect::<Vec<_>>());
        let step_of = step_of(&steps);
        let reach = reach(&links);
        for (from, needs) in reach.iter().enumerate() {
            for (to, needed) in needs.iter().enumerate() {
                prop_assert!(!needed || step_of[&to] <= step_of[&from], "{} needs {}", from, to);
                // A step holds a circle of references, the whole of it and nothing else.
                let circle = from == to || reach[from][to] && reach[to][from];
                prop_assert_eq!(circle, step_of[&to] == step_of[&from]);
            }
        }
        prop_assert!(steps.iter().all(|step| step.is_sorted()));
    }

    #[test]
    fn only_posts_that_are_needed_run_early(links in links()) {
        let step_of = step_of(&plan(&request(&links)).steps);
        let reach = reach(&links);
        for late in 0..links.len() {
            for early in 0..late {
                if step_of[&late] < step_of[&early] {
                    prop_assert_eq!(links[late].method, Method::Post);
                    let wanted = (0..=early).any(|first| reach[first][late]);
                    prop_assert!(wanted, "{} ran before {}", late, early);
                }
            }
        }
    }

    #[test]
    fn without_forward_references_the_order_is_kept(mut links in links()) {
        for (index, link) in links.iter_mut().enumerate() {
            link.refers.retain(|other| *other <= index);
        }
        let steps = plan(&request(&links)).steps;
        prop_assert_eq!(steps, (0..links.len()).map(|index| vec![index]).collect::<Vec<_>>());
    }

    #[test]
    fn without_circles_every_operation_runs_alone(
        (mut links, rank) in links().prop_flat_map(|links| {
            let rank = Just((0..links.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(links), rank)
        })
    ) {
        for (index, link) in links.iter_mut().enumerate() {
            link.refers.retain(|other| rank[*other] < rank[index]);
        }
        prop_assert!(plan(&request(&links)).steps.iter().all(|step| step.len() == 1));
    }

    #[test]
    fn resolving_replaces_every_reference_and_nothing_else(data in data()) {
        let id = Some("bulkId:a".to_owned());
        let mut operation =
            Operation { method: Method::Patch, endpoint: "Users".into(), id, version: None, data };
        let before = serde_json::to_string(&operation.data).unwrap();
        let names = operation.references();
        let ids: HashMap<String, String> =
            names.iter().map(|name| (name.clone(), format!("id-{name}"))).collect();
        let id_of = |name: &str| match ids.get(name) {
            Some(id) => Reference::Known(id),
            None => Reference::Unknown,
        };
        prop_assert_eq!(operation.resolve(id_of), Ok(()));
        prop_assert!(operation.references().is_empty());
        prop_assert_eq!(operation.id.as_deref(), Some("id-a"));
        let after = serde_json::to_string(&operation.data).unwrap();
        prop_assert_eq!(after, before.replace("bulkId:", "id-"));
        // What is resolved stays as it is.
        let once = operation.clone();
        prop_assert_eq!(operation.resolve(|_| Reference::Unknown), Ok(()));
        prop_assert_eq!(operation, once);
    }
}
