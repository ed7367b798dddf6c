//! In which order the operations of a bulk request run (RFC 7644 §3.7, §3.7.1).

use std::collections::HashMap;
use std::slice;

use super::{BulkRequest, Entry};

/// The order of execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Indexes into the operations of the request, each once. A step runs as one unit. One with
    /// several operations is a circle of references, in the request's order; such operations are
    /// all POSTs. An entry that could not be read is a step of its own: all there is to do is to
    /// count its error where the request has it.
    pub steps: Vec<Vec<usize>>,
}

/// Plans a request so that the POST behind a reference runs before the operation that refers to it,
/// or in the same step.
///
/// Operations run in the request's order, but for one thing: a POST that an earlier operation needs
/// runs just before that operation, after what it needs itself. So operations on existing resources
/// never overtake each other, and every operation on a new resource comes after its POST. Nothing
/// is ever put off: what was put off would meet resources that others had changed or deleted
/// meanwhile. What remains is that a POST which runs early may want a unique value that an
/// operation it has overtaken would have freed; it is then refused like any other duplicate.
///
/// Takes time in proportion to the operations and their references.
pub fn plan(request: &BulkRequest) -> Plan {
    let posts = request.posts();
    let needs: Vec<Vec<usize>> =
        request.operations.iter().map(|entry| needs(entry, &posts)).collect();
    Plan { steps: components(&needs) }
}

/// The POSTs that an operation refers to, in the request's order.
fn needs(entry: &Entry, posts: &HashMap<&str, usize>) -> Vec<usize> {
    let Ok(operation) = &entry.operation else { return Vec::new() };
    let names = operation.references();
    let mut needs: Vec<usize> =
        names.iter().filter_map(|name| posts.get(name.as_str()).copied()).collect();
    needs.sort_unstable();
    needs
}

/// Where the search stands with an operation.
#[derive(Clone, Copy)]
enum State {
    New,
    /// On the stack of operations that have no step yet, at this place.
    Open(usize),
    Done,
}

/// An operation that the search is in, its place on the stack, and what it has yet to look at.
type Visit<'n> = (usize, slice::Iter<'n, usize>);

/// The strongly connected components, what others need first: Tarjan's depth-first search in
/// Gabow's form, with its own stack, because a chain of references may be as long as the request.
struct Search<'n> {
    needs: &'n [Vec<usize>],
    states: Vec<State>,
    path: Vec<Visit<'n>>,
    open: Vec<usize>,
    /// Where on `open` the components begin that are known so far.
    begins: Vec<usize>,
    steps: Vec<Vec<usize>>,
}

fn components(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search {
        needs,
        states: vec![State::New; needs.len()],
        path: Vec::new(),
        open: Vec::new(),
        begins: Vec::new(),
        steps: Vec::with_capacity(needs.len()),
    };
    for operation in 0..needs.len() {
        search.reach(operation);
        search.run();
    }
    search.steps
}

impl Search<'_> {
    fn run(&mut self) {
        while let Some((place, rest)) = self.path.last_mut() {
            let place = *place;
            if let Some(needed) = rest.next() {
                self.reach(*needed);
            } else {
                self.path.pop();
                self.leave(place);
            }
        }
    }

    fn reach(&mut self, operation: usize) {
        match self.states.get(operation) {
            Some(State::New) => {
                let place = self.open.len();
                let needs = self.needs.get(operation).map(Vec::as_slice).unwrap_or_default();
                self.set(operation, State::Open(place));
                self.open.push(operation);
                self.begins.push(place);
                self.path.push((place, needs.iter()));
            }
            // A way back: everything from there on is one component.
            Some(State::Open(place)) => {
                while self.begins.last().is_some_and(|begin| begin > place) {
                    self.begins.pop();
                }
            }
            Some(State::Done) | None => {}
        }
    }

    /// Ends the component that begins at this place, if one does.
    fn leave(&mut self, place: usize) {
        if self.begins.pop_if(|begin| *begin == place).is_none() {
            return;
        }
        let mut step = self.open.split_off(place);
        for operation in &step {
            self.set(*operation, State::Done);
        }
        step.sort_unstable();
        self.steps.push(step);
    }

    fn set(&mut self, operation: usize, state: State) {
        if let Some(slot) = self.states.get_mut(operation) {
            *slot = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scim::bulk::parse;
    use crate::scim::message::MissingSchemas;
    use crate::scim::resource::fixture::object;

    /// A group with this bulkId and these members.
    fn post(bulk_id: &str, members: &[&str]) -> Value {
        let value = |name: &&str| json!({"value": format!("bulkId:{name}")});
        let members: Vec<Value> = members.iter().map(value).collect();
        let data = json!({"members": members});
        json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data})
    }

    fn delete(id: &str) -> Value {
        json!({"method": "DELETE", "path": format!("/Groups/{id}")})
    }

    fn steps(operations: &[Value]) -> Vec<Vec<usize>> {
        let count = operations.len();
        let body = object(json!({"Operations": operations}));
        plan(&parse(body, count, MissingSchemas::Accept).unwrap()).steps
    }

    #[test]
    fn posts_run_before_what_refers_to_them() {
        let put = json!({"method": "PUT", "path": "/Groups/7", "data": {"m": "bulkId:b"}});
        let blocked = json!({"method": "POST", "path": "/Groups", "bulkId": "b"});
        let table = [
            ("one", vec![delete("1")], vec![vec![0]]),
            (
                "nothing to reorder",
                vec![post("b", &[]), delete("1"), post("a", &["b"]), put.clone()],
                vec![vec![0], vec![1], vec![2], vec![3]],
            ),
            (
                "a POST that comes later",
                vec![delete("1"), post("a", &["b"]), delete("2"), post("b", &[]), delete("3")],
                vec![vec![0], vec![3], vec![1], vec![2], vec![4]],
            ),
            (
                "several, in the order of the request",
                vec![post("a", &["d", "c"]), post("b", &[]), post("c", &[]), post("d", &[])],
                vec![vec![2], vec![3], vec![0], vec![1]],
            ),
            (
                "a chain",
                vec![post("a", &["b"]), post("b", &["c"]), post("c", &[])],
                vec![vec![2], vec![1], vec![0]],
            ),
            (
                "paths",
                vec![delete("bulkId:a"), put.clone(), post("a", &[]), post("b", &[])],
                vec![vec![2], vec![0], vec![3], vec![1]],
            ),
            (
                "a circle of two",
                vec![post("a", &["b"]), delete("1"), post("b", &["a"]), delete("bulkId:a")],
                vec![vec![0, 2], vec![1], vec![3]],
            ),
            (
                "two circles, the first needs the second",
                vec![
                    post("a", &["b"]),
                    post("b", &["a", "c"]),
                    post("c", &["d"]),
                    post("d", &["c"]),
                ],
                vec![vec![2, 3], vec![0, 1]],
            ),
            (
                "circles that share an operation",
                vec![
                    post("a", &["b"]),
                    post("b", &["a", "c"]),
                    post("c", &["b", "d"]),
                    post("d", &[]),
                ],
                vec![vec![3], vec![0, 1, 2]],
            ),
            ("itself", vec![post("a", &["a"]), delete("1")], vec![vec![0], vec![1]]),
            ("unknown", vec![post("a", &["x"]), delete("bulkId:y")], vec![vec![0], vec![1]]),
            (
                "one that cannot be read",
                vec![post("a", &["b"]), json!(7), blocked],
                vec![vec![2], vec![0], vec![1]],
            ),
        ];
        for (name, operations, expected) in table {
            assert_eq!(steps(&operations), expected, "{name}");
        }
    }

    #[test]
    fn chains_and_circles_may_be_as_long_as_a_request() {
        const COUNT: usize = 10_000;
        let chain = |last: &[&str]| -> Vec<Value> {
            let link = |index: usize| post(&index.to_string(), &[&(index + 1).to_string()]);
            (0..COUNT - 1).map(link).chain([post(&(COUNT - 1).to_string(), last)]).collect()
        };
        let backwards: Vec<Vec<usize>> = (0..COUNT).rev().map(|index| vec![index]).collect();
        assert_eq!(steps(&chain(&[])), backwards);
        assert_eq!(steps(&chain(&["0"])), [(0..COUNT).collect::<Vec<_>>()]);
        // Many circles that share one operation.
        let first: Vec<String> = (0..COUNT).map(|index| index.to_string()).collect();
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        let others = (1..COUNT).map(|index| post(&index.to_string(), &["0"]));
        let star: Vec<Value> = [post("0", &first)].into_iter().chain(others).collect();
        assert_eq!(steps(&star), [(0..COUNT).collect::<Vec<_>>()]);
    }
}
