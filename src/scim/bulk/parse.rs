//! The bulk request body (RFC 7644 §3.7).

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::scim::message::{self, MissingSchemas, member};
use crate::scim::resource::validate::describe;
use crate::scim::{Object, ScimError, urn};

/// A request whose frame is in order; each operation is so for itself or not.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRequest {
    /// After how many errors the rest is not tried any more; at least 1.
    pub fail_on_errors: Option<usize>,
    /// In the order of the request.
    pub operations: Vec<Entry>,
}

/// One operation as far as it could be read. What the answer repeats is kept even when it is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// In upper case; empty when there is no text.
    pub method: String,
    pub bulk_id: Option<String>,
    pub operation: Result<Operation, ScimError>,
}

/// An operation that stands for one HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub method: Method,
    /// The first segment of the path as written: `Users`.
    pub endpoint: String,
    /// `None` for POST only. `bulkId:x` until it is resolved.
    pub id: Option<String>,
    /// The condition that `If-Match` would hold; never blank. POST has none.
    pub version: Option<String>,
    /// Empty for DELETE.
    pub data: Object,
}

/// The methods of RFC 7644 §3.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const ALL: [Self; 4] = [Self::Post, Self::Put, Self::Patch, Self::Delete];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl BulkRequest {
    /// Which POST a bulkId belongs to, by its index: the first that has it, readable or not.
    pub fn posts(&self) -> HashMap<&str, usize> {
        let mut posts = HashMap::new();
        for (index, entry) in self.operations.iter().enumerate() {
            if let Some(bulk_id) = entry.new_name() {
                posts.entry(bulk_id).or_insert(index);
            }
        }
        posts
    }
}

impl Entry {
    /// The bulkId that others may refer to. Other methods create nothing that needs a name; theirs
    /// is repeated in the answer and means no more.
    fn new_name(&self) -> Option<&str> {
        let bulk_id = self.bulk_id.as_deref().filter(|bulk_id| !bulk_id.trim().is_empty());
        bulk_id.filter(|_| self.method == Method::Post.as_str())
    }
}

/// Reads the body. Member names and methods are accepted in any letter case.
///
/// Errors are those of the whole request: 400 `invalidSyntax`, or 413 with more than
/// `max_operations`.
pub fn parse(
    mut body: Object,
    max_operations: usize,
    missing: MissingSchemas,
) -> Result<BulkRequest, ScimError> {
    message::check(&body, urn::BULK_REQUEST, missing)?;
    let operations = match take(&mut body, "Operations") {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        Some(Value::Array(_)) => {
            return Err(ScimError::invalid_syntax(
                "\"Operations\" is empty; a bulk request needs at least one operation.",
            ));
        }
        Some(other) => {
            return Err(ScimError::invalid_syntax(format!(
                "\"Operations\" must be an array, but the request has {}.",
                describe(&other)
            )));
        }
        None => return Err(ScimError::invalid_syntax("The bulk request has no \"Operations\".")),
    };
    if operations.len() > max_operations {
        return Err(ScimError::new(
            413,
            format!(
                "The bulk request has {} operations; at most {max_operations} (maxOperations) are \
                 allowed.",
                operations.len()
            ),
        ));
    }
    let fail_on_errors = fail_on_errors(member(&body, "failOnErrors"))?;
    let mut names = HashSet::new();
    let read = |(index, operation)| entry(index, operation, &mut names);
    let operations = operations.into_iter().enumerate().map(read).collect();
    Ok(BulkRequest { fail_on_errors, operations })
}

fn fail_on_errors(value: Option<&Value>) -> Result<Option<usize>, ScimError> {
    let limit = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
            ScimError::invalid_syntax(format!(
                "\"failOnErrors\" must be an integer of at least 1, but the request has {}.",
                describe(value)
            ))
        })?,
    };
    // A limit that no count of operations reaches is as good as the largest.
    Ok(Some(usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Takes the member of that name, in any letter case, out of the object; null is no member.
fn take(object: &mut Object, name: &str) -> Option<Value> {
    let name = match object.contains_key(name) {
        true => name.to_owned(),
        false => object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone(),
    };
    object.swap_remove(&name).filter(|value| !value.is_null())
}

/// `names` are the bulkIds of the POSTs before.
fn entry(index: usize, operation: Value, names: &mut HashSet<String>) -> Entry {
    let at = format!("Operations[{index}]");
    let members = match operation {
        Value::Object(members) => members,
        other => {
            let error = ScimError::invalid_syntax(format!(
                "{at} must be an object, but it is {}.",
                describe(&other)
            ));
            return Entry { method: String::new(), bulk_id: None, operation: Err(error) };
        }
    };
    let text = |name: &str| member(&members, name).and_then(Value::as_str);
    let method = text("method").unwrap_or_default().to_ascii_uppercase();
    let bulk_id = text("bulkId").map(str::to_owned);
    let mut entry = Entry { method, bulk_id, operation: read(&at, members) };
    if let Some(name) = entry.new_name()
        && !names.insert(name.to_owned())
    {
        entry.operation = Err(ScimError::invalid_value(format!(
            "{at}.bulkId is {}, which an earlier POST of this request has; each needs its own.",
            describe(&Value::from(name))
        )));
    }
    entry
}

fn read(at: &str, mut members: Object) -> Result<Operation, ScimError> {
    let given = |name: &str| member(&members, name).filter(|value| !value.is_null());
    let text = |name: &str| match given(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(must_be("a string", at, name, other)),
    };
    let method = method(at, given("method"))?;
    let Some(path) = text("path")? else {
        return Err(ScimError::invalid_syntax(format!("{at} has no \"path\".")));
    };
    let (endpoint, id) = endpoint_and_id(path, method)
        .map_err(|why| ScimError::invalid_path(format!("{at}.path is {why}.")))?;
    let is_blank = |text: &str| text.trim().is_empty();
    if text("bulkId")?.is_none_or(is_blank) && method == Method::Post {
        return Err(ScimError::invalid_syntax(format!(
            "{at} is a POST without a \"bulkId\"; give each POST its own."
        )));
    }
    // What a POST makes has no version yet that could be compared.
    let version = text("version")?.filter(|text| !is_blank(text) && method != Method::Post);
    let version = version.map(str::to_owned);
    let data = match take(&mut members, "data") {
        _ if method == Method::Delete => Object::new(),
        Some(Value::Object(data)) => data,
        Some(other) => return Err(must_be("an object", at, "data", &other)),
        None => {
            return Err(ScimError::invalid_syntax(format!(
                "{at} is a {} without \"data\"; send the body that the request would have.",
                method.as_str()
            )));
        }
    };
    Ok(Operation { method, endpoint, id, version, data })
}

fn must_be(wanted: &str, at: &str, name: &str, found: &Value) -> ScimError {
    ScimError::invalid_syntax(format!(
        "{at}.{name} must be {wanted}, but it is {}.",
        describe(found)
    ))
}

fn method(at: &str, value: Option<&Value>) -> Result<Method, ScimError> {
    let word = value.and_then(Value::as_str).unwrap_or_default();
    let named = |method: &Method| method.as_str().eq_ignore_ascii_case(word);
    Method::ALL.into_iter().find(named).ok_or_else(|| {
        ScimError::invalid_syntax(format!(
            "{at} has {}, but \"method\" must be \"POST\", \"PUT\", \"PATCH\" or \"DELETE\".",
            value.map_or("no \"method\"".into(), describe)
        ))
    })
}

/// Endpoint and id: `/Users` for POST, `/Users/{id}` for the rest. Slashes are passed over where a
/// URL may have them too many or, in front, not at all. The error says what was found and wanted.
fn endpoint_and_id(path: &str, method: Method) -> Result<(String, Option<String>), String> {
    let refused = |wanted: &str| Err(format!("{}, but {wanted}", describe(&Value::from(path))));
    if path.contains(['?', '#']) {
        return refused("a path of a bulk operation has no query and no fragment");
    }
    let decoded = |segment| percent_decode_str(segment).decode_utf8().ok();
    let readable = |segment| decoded(segment).filter(|text| !text.contains(char::is_control));
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments: Option<Vec<_>> = segments.map(readable).collect();
    match (method, segments.unwrap_or_default().as_slice()) {
        (Method::Post, [endpoint]) => Ok((endpoint.to_string(), None)),
        (Method::Post, _) => refused("a POST must name a collection, such as \"/Users\""),
        (_, [endpoint, id]) => Ok((endpoint.to_string(), Some(id.to_string()))),
        _ => refused(&format!(
            "a {} must name a resource, such as \"/Users/{{id}}\" or \"/Users/bulkId:{{bulkId}}\"",
            method.as_str()
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::ScimType;
    use crate::scim::resource::fixture::object;
    use crate::scim::urn::BULK_REQUEST;

    fn read(body: Value) -> Result<BulkRequest, ScimError> {
        parse(object(body), 3, MissingSchemas::Refuse)
    }

    /// The entries of a request with these operations.
    fn entries(operations: &Value) -> Vec<Entry> {
        let body = json!({"schemas": [BULK_REQUEST], "Operations": operations});
        read(body).expect("the frame is in order").operations
    }

    fn refusal(operation: &Value) -> (Entry, ScimError) {
        let entry = entries(&json!([operation])).remove(0);
        let error = entry.operation.clone().expect_err("the operation is wrong");
        (entry, error)
    }

    fn operation(method: Method, id: Option<&str>, data: Value) -> Operation {
        let id = id.map(str::to_owned);
        Operation { method, endpoint: "Users".into(), id, version: None, data: object(data) }
    }

    #[test]
    fn operations_are_read_as_the_rfc_has_them() {
        // RFC 7644 §3.7.3.
        let request = read(json!({
            "schemas": [BULK_REQUEST],
            "failOnErrors": 1,
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": "qwerty", "data": {"userName": "A"}},
                {
                    "method": "PUT", "path": "/Users/b7c1", "version": "W/\"3694\"",
                    "data": {"id": "b7c1", "userName": "Bob"}
                },
                {"method": "DELETE", "path": "/Users/e902"}
            ]
        }));
        let request = request.unwrap();
        assert_eq!(request.fail_on_errors, Some(1));
        let user = json!({"id": "b7c1", "userName": "Bob"});
        let expected = [
            ("POST", Some("qwerty"), operation(Method::Post, None, json!({"userName": "A"}))),
            (
                "PUT",
                None,
                Operation {
                    version: Some("W/\"3694\"".into()),
                    ..operation(Method::Put, Some("b7c1"), user)
                },
            ),
            ("DELETE", None, operation(Method::Delete, Some("e902"), json!({}))),
        ];
        assert_eq!(request.operations.len(), expected.len());
        for (entry, (method, bulk_id, operation)) in request.operations.into_iter().zip(expected) {
            assert_eq!((entry.method.as_str(), entry.bulk_id.as_deref()), (method, bulk_id));
            assert_eq!(entry.operation, Ok(operation));
        }
    }

    #[test]
    fn faults_of_the_whole_request() {
        let delete = json!({"method": "DELETE", "path": "/Users/1"});
        let request = |operations: Value, name: &str, value: Value| {
            let mut body = json!({"schemas": [BULK_REQUEST], "Operations": operations});
            body[name] = value;
            body
        };
        let with = |name: &str, value: Value| request(json!([delete]), name, value);
        let schemas = "\"schemas\" of this request must be \
                       [\"urn:ietf:params:scim:api:messages:2.0:BulkRequest\"].";
        let operations = "\"Operations\" must be an array, but the request has an object.";
        let empty = "\"Operations\" is empty; a bulk request needs at least one operation.";
        let limit = |found: &str| {
            format!(
                "\"failOnErrors\" must be an integer of at least 1, but the request has {found}."
            )
        };
        for (body, detail) in [
            (json!({"Operations": [delete]}), schemas.to_owned()),
            (with("schemas", Value::Null), schemas.into()),
            (with("schemas", json!([])), schemas.into()),
            (with("schemas", json!(BULK_REQUEST)), schemas.into()),
            (with("schemas", json!([urn::PATCH_OP])), schemas.into()),
            (json!({"schemas": [BULK_REQUEST]}), "The bulk request has no \"Operations\".".into()),
            (with("Operations", Value::Null), "The bulk request has no \"Operations\".".into()),
            (with("Operations", delete.clone()), operations.into()),
            (with("Operations", json!([])), empty.into()),
            (with("failOnErrors", json!(0)), limit("the number 0")),
            (with("failOnErrors", json!(-1)), limit("the number -1")),
            (with("failOnErrors", json!(1.5)), limit("the number 1.5")),
            (with("failOnErrors", json!("1")), limit("the string \"1\"")),
        ] {
            let error = read(body.clone()).expect_err("the request is wrong");
            assert_eq!(error, ScimError::invalid_syntax(detail), "{body}");
        }
        let many = |count: usize| read(request(vec![delete.clone(); count].into(), "a", json!(1)));
        assert_eq!(many(3).map(|request| request.operations.len()), Ok(3));
        let detail = "The bulk request has 4 operations; at most 3 (maxOperations) are allowed.";
        assert_eq!(many(4), Err(ScimError::new(413, detail)));
    }

    #[test]
    fn spellings_that_are_accepted() {
        let delete = json!({"METHOD": "delete", "Path": "Users//1/", "bulkid": "d", "data": 7});
        for (body, fail_on_errors) in [
            (json!({"operations": [delete], "FAILONERRORS": 2}), Some(2)),
            (json!({"OPERATIONS": [delete], "schemas": null, "failOnErrors": null}), None),
            (json!({"schemas": ["x", BULK_REQUEST.to_uppercase()], "Operations": [delete]}), None),
            (json!({"Operations": [delete], "failOnErrors": u64::MAX}), Some(usize::MAX)),
        ] {
            let request = parse(object(body), 1, MissingSchemas::Accept).unwrap();
            assert_eq!(request.fail_on_errors, fail_on_errors);
            let entry = &request.operations[0];
            assert_eq!((entry.method.as_str(), entry.bulk_id.as_deref()), ("DELETE", Some("d")));
            assert_eq!(entry.operation, Ok(operation(Method::Delete, Some("1"), json!({}))));
        }
        let wrong = json!({"schemas": ["x"], "Operations": [delete]});
        assert!(parse(object(wrong), 1, MissingSchemas::Accept).is_err());
    }

    #[test]
    fn paths() {
        let table = [
            ("POST", "/Users", "Users", None),
            ("POST", "groups/", "groups", None),
            ("PUT", "/Users/1", "Users", Some("1")),
            ("PATCH", "Users/1", "Users", Some("1")),
            ("DELETE", "/Users/bulkId:a b", "Users", Some("bulkId:a b")),
            ("DELETE", "/Users/bulkId%3Aa%2Fb", "Users", Some("bulkId:a/b")),
            ("DELETE", "/Users/100%", "Users", Some("100%")),
        ];
        for (method, path, endpoint, id) in table {
            let entry =
                entries(&json!([{"method": method, "path": path, "bulkId": "x", "data": {}}]));
            let operation = entry[0].operation.as_ref().expect(path);
            assert_eq!((operation.endpoint.as_str(), operation.id.as_deref()), (endpoint, id));
        }

        let collection = "a POST must name a collection, such as \"/Users\"";
        let resource = "a PUT must name a resource, such as \"/Users/{id}\" or \
                        \"/Users/bulkId:{bulkId}\"";
        let query = "a path of a bulk operation has no query and no fragment";
        let table = [
            ("POST", "", collection),
            ("POST", "/", collection),
            ("POST", "/Users/1", collection),
            ("POST", "/Users/bulkId:x", collection),
            ("POST", "/Users?attributes=userName", query),
            ("PUT", "/Users", resource),
            ("PUT", "/", resource),
            ("PUT", "/Users/1/2", resource),
            ("PUT", "https://example.com/scim/v2/Users/1", resource),
            ("PUT", "/Users/%00", resource),
            ("PUT", "/Users/%ff", resource),
            ("PUT", "/Users/1?x", query),
            ("PUT", "/Users/1#x", query),
        ];
        for (method, path, wanted) in table {
            let operation = json!({"method": method, "path": path, "bulkId": "x", "data": {}});
            let detail = format!("Operations[0].path is the string \"{path}\", but {wanted}.");
            assert_eq!(refusal(&operation).1, ScimError::invalid_path(detail));
        }
    }

    #[test]
    fn faults_of_one_operation() {
        let methods = "but \"method\" must be \"POST\", \"PUT\", \"PATCH\" or \"DELETE\"";
        let bulk_id = "is a POST without a \"bulkId\"; give each POST its own";
        let body = "without \"data\"; send the body that the request would have";
        let with = |first: Value, more: Value| {
            let mut members = object(first);
            members.extend(object(more));
            members.into()
        };
        let post = |more| with(json!({"method": "POST", "path": "/Users", "data": {}}), more);
        let put = |more| with(json!({"method": "PUT", "path": "/Users/1", "data": {}}), more);
        let table: [(Value, String); 18] = [
            (json!("POST"), " must be an object, but it is the string \"POST\"".into()),
            (json!({"path": "/Users/1"}), format!(" has no \"method\", {methods}")),
            (put(json!({"method": null})), format!(" has no \"method\", {methods}")),
            (put(json!({"method": 7})), format!(" has the number 7, {methods}")),
            (put(json!({"method": "GET"})), format!(" has the string \"GET\", {methods}")),
            (put(json!({"method": " PUT"})), format!(" has the string \" PUT\", {methods}")),
            (json!({"method": "PUT"}), " has no \"path\"".into()),
            (put(json!({"path": null})), " has no \"path\"".into()),
            (put(json!({"path": [1]})), ".path must be a string, but it is an array".into()),
            (post(json!({})), format!(" {bulk_id}")),
            (post(json!({"bulkId": null})), format!(" {bulk_id}")),
            (post(json!({"bulkId": " "})), format!(" {bulk_id}")),
            (post(json!({"bulkId": 7})), ".bulkId must be a string, but it is the number 7".into()),
            (put(json!({"bulkId": {}})), ".bulkId must be a string, but it is an object".into()),
            (
                put(json!({"version": 3})),
                ".version must be a string, but it is the number 3".into(),
            ),
            (post(json!({"bulkId": "x", "data": null})), format!(" is a POST {body}")),
            (json!({"method": "patch", "path": "/Users/1"}), format!(" is a PATCH {body}")),
            (put(json!({"data": []})), ".data must be an object, but it is an array".into()),
        ];
        for (operation, detail) in table {
            let detail = format!("Operations[0]{detail}.");
            let error = refusal(&operation).1;
            assert_eq!(error, ScimError::invalid_syntax(detail), "{operation}");
        }
    }

    #[test]
    fn wrong_operations_keep_what_the_answer_repeats() {
        for (operation, method, bulk_id) in [
            (json!(null), "", None),
            (json!({"method": 7, "bulkId": "x"}), "", Some("x")),
            (json!({"method": "get", "bulkId": 7}), "GET", None),
            (json!({"METHOD": "Patch", "BulkID": "y"}), "PATCH", Some("y")),
            (json!({"method": "post", "bulkId": " "}), "POST", Some(" ")),
        ] {
            let entry = refusal(&operation).0;
            assert_eq!((entry.method.as_str(), entry.bulk_id.as_deref()), (method, bulk_id));
        }
    }

    #[test]
    fn versions_are_conditions_on_what_exists() {
        for (method, path, version, expected) in [
            ("PUT", "/Users/1", json!("W/\"3\""), Some("W/\"3\"")),
            ("PATCH", "/Users/1", json!("*"), Some("*")),
            ("DELETE", "/Users/1", json!(" "), None),
            ("DELETE", "/Users/1", json!(null), None),
            ("POST", "/Users", json!("W/\"3\""), None),
        ] {
            let operation = json!({
                "method": method, "path": path, "bulkId": "x", "data": {}, "version": version
            });
            let operation = entries(&json!([operation])).remove(0).operation.unwrap();
            assert_eq!(operation.version.as_deref(), expected, "{method} {version}");
        }
    }

    #[test]
    fn a_bulk_id_belongs_to_the_first_post_that_has_it() {
        let post =
            |data: Value| json!({"method": "POST", "path": "/Users", "bulkId": "x", "data": data});
        let put = json!({"method": "PUT", "path": "/Users/1", "bulkId": "x", "data": {}});

        let read = entries(&json!([put, post(json!({})), post(json!({}))]));
        assert!(read[0].operation.is_ok() && read[1].operation.is_ok());
        let detail = "Operations[2].bulkId is the string \"x\", which an earlier POST of this \
                      request has; each needs its own.";
        assert_eq!(read[2].operation, Err(ScimError::invalid_value(detail)));
        assert_eq!(read[2].bulk_id.as_deref(), Some("x"));
        let request = BulkRequest { fail_on_errors: None, operations: read };
        assert_eq!(request.posts(), HashMap::from([("x", 1)]));

        // Also when the first cannot be read: nobody could say which of the two is meant.
        let read = entries(&json!([post(json!(7)), post(json!({})), put]));
        let status =
            |entry: &Entry| entry.operation.as_ref().map_err(|error| error.scim_type).err();
        let errors: Vec<_> = read.iter().map(status).collect();
        let (syntax, value) = (Some(ScimType::InvalidSyntax), Some(ScimType::InvalidValue));
        assert_eq!(errors, [Some(syntax), Some(value), None]);
        let request = BulkRequest { fail_on_errors: None, operations: read };
        assert_eq!(request.posts(), HashMap::from([("x", 0)]));
    }
}
