//! `pull.aws` and an identity store that is busy, breaks off, or says what nobody can use.

use serde_json::{Value, json};

use super::Source;
use crate::http::assert_invalid;
use crate::support::fake::{Asked, Fake, Fault, Said};
use crate::support::{Database, ENTERPRISE, TestApp};

/// Users, groups, and who is in them by their positions.
struct Data {
    users: Vec<Value>,
    groups: Vec<(&'static str, Vec<usize>)>,
}

/// Rows on a page.
const PAGE: usize = 2;

fn data(_: &str) -> Data {
    let user = |n: usize| {
        json!({"UserId": format!("u{n}"), "UserName": format!("user{n}"), "UserStatus": "ENABLED",
            "Extensions": {"aws:identitystore:enterprise":
                {"department": "R&D", "manager": {"value": "u1"}}}})
    };
    Data {
        users: (1..=5).map(user).collect(),
        groups: vec![("g1", vec![1, 2, 3]), ("g2", vec![5]), ("g3", vec![])],
    }
}

/// An error in the words of AWS.
fn error(code: &str, more: &Value) -> Said {
    let mut body = json!({"__type": format!("com.amazonaws.identitystore#{code}")});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    Said::json(400, &body)
}

fn answer(data: &mut Data, asked: &Asked) -> Said {
    let body = asked.json();
    assert!(asked.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7"));
    let (list, rows) = match asked.header("x-amz-target") {
        "AWSIdentityStore.ListUsers" => ("Users", data.users.clone()),
        "AWSIdentityStore.ListGroups" => {
            let group = |(id, _): &(&str, _)| json!({"GroupId": id, "DisplayName": id});
            ("Groups", data.groups.iter().map(group).collect())
        }
        "AWSIdentityStore.ListGroupMemberships" => {
            let (id, members) = data
                .groups
                .iter()
                .find(|(id, _)| body["GroupId"] == *id)
                .expect("a group that was listed");
            let member = |n: &usize| {
                json!({"MembershipId": format!("{id}-{n}"), "GroupId": id,
                    "MemberId": {"UserId": format!("u{n}")}})
            };
            ("GroupMemberships", members.iter().map(member).collect())
        }
        other => panic!("{other}"),
    };
    let from: usize = body["NextToken"].as_str().map_or(0, |token| token.parse().expect("ours"));
    let until = rows.len().min(from + PAGE);
    let mut page = json!({list: rows[from..until]});
    // AWS leaves the token out on the last page.
    if until < rows.len() {
        page["NextToken"] = until.to_string().into();
    }
    Said::json(200, &page)
}

/// Answers to one operation are changed, from the `from`th on and so often.
fn fault(
    operation: &'static str,
    (from, times): (usize, usize),
    mut change: impl FnMut(Said) -> Said + Send + 'static,
) -> Fault {
    let mut seen = 0;
    Fault::new("", move |asked, said| {
        if !asked.header("x-amz-target").ends_with(operation) {
            return said;
        }
        seen += 1;
        let is_due = (from..from.saturating_add(times)).contains(&seen);
        if is_due { change(said) } else { said }
    })
}

const ALWAYS: (usize, usize) = (1, usize::MAX);

fn instead(operation: &'static str, when: (usize, usize), said: Said) -> Fault {
    fault(operation, when, move |_| said.clone())
}

fn rewritten(
    operation: &'static str,
    when: (usize, usize),
    mut change: impl FnMut(&mut Value) + Send + 'static,
) -> Fault {
    fault(operation, when, move |mut said| {
        let mut body = serde_json::from_str(&said.body).expect("JSON");
        change(&mut body);
        said.body = body.to_string();
        said
    })
}

fn config(url: &str) -> Value {
    json!({"region": "eu-central-1", "identity_store_id": "d-1234567890",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": SECRET,
        "endpoint_url": url, "allow_private_network": true})
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn reader<'a>(app: &'a TestApp, url: &str) -> Source<'a> {
    Source::new(app, "pull.aws", config(url), json!({"schedule": "off"}))
}

#[test]
fn store_that_fails_takes_nothing_away() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    let run = source.sync();
    assert_eq!(run["counts"]["memberships"]["added"], 4, "{run}");
    let ada = source.user("u2");
    let boss = source.user("u1")["id"].clone();
    assert_eq!(ada["raw_attributes"][ENTERPRISE]["department"], "R&D");
    assert_eq!(ada["raw_attributes"][ENTERPRISE]["manager"]["value"], boss);
    assert_eq!(source.user("u1")["state"], "active");
    let asked = fake.asked();
    assert_eq!(asked[0].json()["Extensions"], json!(["aws:identitystore:enterprise"]));

    let (told, users) = (source.events(), source.users());
    let busy = json!({"Message": "Rate exceeded", "RetryAfterSeconds": 0});
    let long = json!({"RetryAfterSeconds": 86_400});
    let denied = json!({"Message": format!("{SECRET} is not authorized\nthe canonical request")});
    let kms = json!({"ResourceType": "GROUP", "Reason": "KMS_KEY_NOT_FOUND"});
    let skewed = json!({"message": "Signature expired: 20261121T200000Z is now earlier than …"});
    let none = json!({});
    let users_once = (2, 1);
    for (fault, state, words) in [
        (
            instead("ListUsers", ALWAYS, error("ThrottlingException", &busy)),
            "error",
            "Rate exceeded",
        ),
        (instead("ListGroups", ALWAYS, error("ThrottlingException", &long)), "error", "Throttling"),
        (
            instead("ListUsers", users_once, error("AccessDeniedException", &denied)),
            "invalid_credentials",
            "AccessDeniedException: [secret] is not authorized",
        ),
        (
            instead("ListUsers", ALWAYS, error("UnrecognizedClientException", &none)),
            "invalid_credentials",
            "400: UnrecognizedClientException",
        ),
        (
            instead("ListGroups", ALWAYS, error("InvalidSignatureException", &skewed)),
            "error",
            "the clock of this machine is wrong",
        ),
        (
            instead("ListGroupMemberships", users_once, error("ResourceNotFoundException", &kms)),
            "error",
            "400: ResourceNotFoundException",
        ),
        (
            instead("ListUsers", users_once, error("ValidationException", &none)),
            "error",
            "400: ValidationException",
        ),
        (
            rewritten("ListUsers", users_once, |page| page["Users"] = Value::Null),
            "error",
            "the answer to ListUsers has no list \"Users\"",
        ),
        (
            rewritten("ListGroups", ALWAYS, |page| page["NextToken"] = "2".into()),
            "error",
            "ListGroups gives the same NextToken twice",
        ),
        (
            rewritten("ListUsers", ALWAYS, |page| page["NextToken"] = 2.into()),
            "error",
            "a NextToken that is no text",
        ),
        (
            fault("ListUsers", users_once, |mut said| {
                said.body.truncate(said.body.len() / 2);
                said
            }),
            "error",
            "the answer to ListUsers is no JSON object",
        ),
        (Fault::cut(""), "error", ""),
    ] {
        fake.fault(fault);
        let run = source.run(json!({}));
        let error = run["error"].as_str().unwrap_or_default();
        assert_eq!(
            (&run["status"], &source.view()["state"]),
            (&json!("failed"), &json!(state)),
            "{run}"
        );
        assert!(error.contains(words) && !error.contains(SECRET), "{error}");
        assert!(!error.contains("canonical"), "{error}");
        assert_eq!((source.events(), source.users()), (told, users.clone()), "{error}");
        fake.heal();
    }
    // Nobody any more is a good answer, and takes nobody away by itself.
    fake.fault(rewritten("ListUsers", ALWAYS, |page| {
        *page = json!({"Users": [], "NextToken": null});
    }));
    assert_eq!(source.run(json!({}))["status"], "held");
    assert_eq!((source.events(), source.users()), (told, users));
}

#[test]
fn user_whom_the_list_leaves_out_is_looked_for_before_being_gone() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let told = source.events();
    let without = |page: &mut Value| {
        let users = page["Users"].as_array_mut().expect("a list");
        users.retain(|user| user["UserId"] != "u3");
    };
    // Of the pages of one list.
    fake.fault(rewritten("ListUsers", (1, 3), without));
    let run = source.run(json!({}));
    assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
    assert_eq!(run["counts"]["users"]["unchanged"], 5, "{run}");
    fake.heal();
    fake.fault(rewritten("ListUsers", ALWAYS, without));
    source.run(json!({}));
    assert!(source.told(told).contains(&"user.deleted u3".to_owned()));
}

#[test]
fn store_that_is_busy_is_waited_for_and_odd_objects_spare_the_others() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    let wait = error("ThrottlingException", &json!({"RetryAfterSeconds": 0}));
    fake.fault(instead("ListUsers", (2, 2), wait.clone()));
    fake.fault(instead("ListGroupMemberships", (1, 1), wait));
    fake.fault(instead("ListGroups", (1, 1), Said::json(503, &json!({}))));
    let run = source.sync();
    assert_eq!(run["counts"]["users"]["created"], 5, "{run}");
    fake.heal();

    // A group that was deleted since it was listed is gone; a member that is no user is listed.
    let gone = json!({"ResourceType": "GROUP", "Message": "GROUP not found."});
    fake.fault(Fault::new("", move |asked, said| match asked.json()["GroupId"] == "g2" {
        true => error("ResourceNotFoundException", &gone),
        false => said,
    }));
    let told = source.events();
    source.sync();
    assert_eq!(source.told(told), ["group.deleted g2"]);
    fake.heal();
    fake.data(|data| {
        data.groups.remove(1);
        data.users.remove(3);
    });
    fake.fault(rewritten("ListGroupMemberships", (1, 1), |page| {
        page["GroupMemberships"][0]["MemberId"] = json!({});
    }));
    let told = source.events();
    let run = source.run(json!({}));
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(source.diff(&run), ["skip membership g1-1 failed"]);
    assert_eq!(source.told(told), [""; 0], "who is not listed stays as long as anything failed");
    fake.heal();
    source.sync();
    assert_eq!(source.told(told), ["user.deleted u4"]);
    // Without groups none are asked for.
    fake.asked();
    let off = json!({"settings": {"schedule": "off", "disable_group_sync": true, "guard": "off"}});
    app.api.patch(&source.path, off).expect(200);
    source.sync();
    let targets = fake.asked().into_iter().map(|asked| asked.header("x-amz-target").to_owned());
    assert!(targets.into_iter().all(|target| target.ends_with("ListUsers")));
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let app = &TestApp::start(Database::sqlite());
    let url = "http://127.0.0.1:9";
    for (name, value) in [
        ("region", json!("Europe")),
        ("role_arn", json!("Rollbook")),
        ("external_id", json!("x1")),
        ("endpoint_url", json!("http://198.51.100.1/")),
        ("allow_private_network", json!(false)),
        ("secret_access_key", Value::Null),
    ] {
        let mut config = config(url);
        config[name] = value;
        let body = json!({"organization_id": app.directory.organization_id, "name": "S",
            "kind": "pull.aws", "config": config});
        let field = if name == "allow_private_network" { "endpoint_url" } else { name };
        assert_invalid(&app.api.post("/api/v1/directories", body), &format!("config.{field}"));
    }
}
