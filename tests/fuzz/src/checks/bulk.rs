//! Bulk bodies: each operation runs once, after what it refers to, and no reference is left.

use std::collections::HashMap;

use rollbook::scim::ScimError;
use rollbook::scim::bulk::{
    BulkRequest, Method, Operation, Outcome, Reference, parse, plan, response,
};
use rollbook::scim::message::MissingSchemas;

use super::object;

const MAX_OPERATIONS: usize = 64;
pub fn check(data: &[u8]) {
    let Ok(body) = serde_json::from_slice(data) else { return };
    let body = object(body);
    let request = match parse(body.clone(), MAX_OPERATIONS, MissingSchemas::Accept) {
        Ok(request) => request,
        Err(error) => {
            assert!(matches!(error.status, 400 | 413), "{error:?}");
            return;
        }
    };
    if let Ok(strict) = parse(body, MAX_OPERATIONS, MissingSchemas::Refuse) {
        assert_eq!(strict, request);
    }
    assert!((1..=MAX_OPERATIONS).contains(&request.operations.len()));
    assert!(request.fail_on_errors.is_none_or(|limit| limit > 0));
    check_plan(&request);
    check_references(&request);
}

fn check_plan(request: &BulkRequest) {
    let steps = plan(request).steps;
    let mut all = steps.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..request.operations.len()), "each once: {steps:?}");
    let step_of: HashMap<usize, usize> = (steps.iter().enumerate())
        .flat_map(|(at, step)| step.iter().map(move |index| (*index, at)))
        .collect();
    let posts = request.posts();
    for (index, entry) in request.operations.iter().enumerate() {
        let Ok(operation) = &entry.operation else { continue };
        for name in operation.references() {
            let Some(post) = posts.get(name.as_str()) else { continue };
            assert!(step_of[post] <= step_of[&index], "{index} needs {post}: {steps:?}");
        }
    }
    for step in &steps {
        assert!(step.is_sorted(), "{steps:?}");
        if step.len() > 1 {
            let post = |index: &usize| request.operations[*index].method == Method::Post.as_str();
            assert!(step.iter().all(post), "a circle is made of POSTs: {steps:?}");
        }
    }
    // Only a POST overtakes.
    for late in 0..request.operations.len() {
        let overtakes = (0..late).any(|early| step_of[&late] < step_of[&early]);
        assert!(!overtakes || request.operations[late].method == "POST", "{late}: {steps:?}");
    }
}

fn check_references(request: &BulkRequest) {
    let mut outcomes = Vec::new();
    for entry in &request.operations {
        let status = match &entry.operation {
            Ok(operation) => resolve(operation).map(|()| 200),
            Err(error) => Err(error.clone()),
        };
        assert!(
            status.as_ref().err().is_none_or(|error| error.detail.ends_with('.')),
            "{status:?}"
        );
        outcomes.push(Outcome {
            method: entry.method.clone(),
            bulk_id: entry.bulk_id.clone(),
            location: None,
            version: None,
            status,
        });
    }
    let answer = response(&outcomes);
    assert_eq!(answer["Operations"].as_array().map(Vec::len), Some(outcomes.len()));
}

fn resolve(operation: &Operation) -> Result<(), ScimError> {
    assert_eq!(operation.id.is_none(), operation.method == Method::Post);
    let names = operation.references();
    let mut known = operation.clone();
    assert_eq!(
        known.resolve(|name| {
            assert!(names.contains(name), "{name:?} is no reference of {operation:?}");
            Reference::Known("id-1")
        }),
        Ok(())
    );
    assert!(known.references().is_empty(), "{known:?}");
    // Resolved, it stays as it is, and without references it was so from the start.
    let mut again = known.clone();
    assert_eq!(again.resolve(|_| Reference::Unknown), Ok(()));
    assert_eq!(again, known);
    assert!(!names.is_empty() || known == *operation);
    for (reference, status) in [(Reference::Unknown, 400), (Reference::Failed, 409)] {
        let refused = operation.clone().resolve(|_| reference).err().map(|error| error.status);
        assert_eq!(refused, (!names.is_empty()).then_some(status));
    }
    operation.clone().resolve(|_| Reference::Unknown)
}
