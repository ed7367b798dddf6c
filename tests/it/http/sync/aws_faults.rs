//! `pull.aws` and an identity store that is busy, breaks off, or says what nobody can use.

use serde_json::{Value, json};

use super::Source;
use crate::http::assert_invalid;
use crate::support::fake::{Asked, Fake, Fault, Said};
use crate::support::{Database, ENTERPRISE, TestApp};

/// Users, groups, and who is in them by their positions.
pub(super) struct Data {
    users: Vec<Value>,
    groups: Vec<(&'static str, Vec<usize>)>,
    /// How often the role was assumed: only the keys of the last time are good then.
    assumed: usize,
}

/// Rows on a page.
const PAGE: usize = 2;

pub(super) fn data(_: &str) -> Data {
    let user = |n: usize| {
        json!({"UserId": format!("u{n}"), "UserName": format!("user{n}"), "UserStatus": "ENABLED",
            "Extensions": {"aws:identitystore:enterprise":
                {"department": "R&D", "manager": {"value": "u1"}}}})
    };
    Data {
        users: (1..=5).map(user).collect(),
        groups: vec![("g1", vec![1, 2, 3]), ("g2", vec![5]), ("g3", vec![])],
        assumed: 0,
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

/// The id of the key that has signed.
fn signer(asked: &Asked) -> &str {
    let signed = asked.header("authorization").strip_prefix("AWS4-HMAC-SHA256 Credential=");
    signed.and_then(|signed| signed.split('/').next()).expect("a signature")
}

/// The answer to AssumeRole, which any user of the account may ask for here.
fn assumed(data: &mut Data, asked: &Asked) -> Said {
    let form = asked.form();
    assert!(form.contains(&("Action".to_owned(), "AssumeRole".to_owned())), "{form:?}");
    assert_eq!(signer(asked), KEY);
    data.assumed += 1;
    let number = data.assumed;
    let body = format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAKEY{number}</AccessKeyId>\
         <SecretAccessKey>of-the-role</SecretAccessKey><SessionToken>session-{number}</SessionToken>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    Said { body, ..Said::json(200, &Value::Null) }
}

pub(super) fn answer(data: &mut Data, asked: &Asked) -> Said {
    let body = asked.json();
    let good = match data.assumed {
        0 => KEY.to_owned(),
        number => format!("ASIAKEY{number}"),
    };
    let (list, rows) = match asked.header("x-amz-target") {
        "" => return assumed(data, asked),
        _ if signer(asked) != good => return error("UnrecognizedClientException", &json!({})),
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
    let from = from.min(rows.len());
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
        "access_key_id": KEY, "secret_access_key": SECRET,
        "endpoint_url": url, "allow_private_network": true})
}

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

pub(super) fn reader<'a>(app: &'a TestApp, url: &str) -> Source<'a> {
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
            "ListGroups: the source gives the same page again",
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
fn group_that_the_list_leaves_out_is_looked_for_before_being_gone() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let told = source.events();
    let without = |page: &mut Value| rows(page).retain(|group| group["GroupId"] != "g2");
    // Of the pages of one list.
    fake.fault(rewritten("ListGroups", (1, 2), without));
    let run = source.run(json!({}));
    assert_eq!((&run["status"], source.told(told)), (&json!("completed"), vec![]), "{run}");
    assert_eq!(run["counts"]["groups"]["unchanged"], 3, "{run}");
    fake.heal();
    fake.fault(rewritten("ListGroups", ALWAYS, without));
    source.run(json!({}));
    assert_eq!(source.told(told), ["group.deleted g2"]);
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

/// The rows of a list.
fn rows(page: &mut Value) -> &mut Vec<Value> {
    let mut lists = page.as_object_mut().expect("an object").values_mut();
    lists.find_map(Value::as_array_mut).expect("a list")
}

#[test]
fn rows_that_come_twice_are_one() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let (told, users) = (source.events(), source.users());
    for list in ["ListUsers", "ListGroups", "ListGroupMemberships"] {
        fake.fault(rewritten(list, ALWAYS, |page| {
            let rows = rows(page);
            rows.extend(rows.clone());
        }));
        let run = source.sync();
        assert_eq!((source.told(told), source.users()), (Vec::new(), users.clone()), "{list}");
        assert_eq!(run["counts"]["users"]["failed"], 0, "{list}: {run}");
        fake.heal();
    }
}

#[test]
fn list_that_says_the_same_under_ever_new_tokens_is_a_failure() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let (told, users) = (source.events(), source.users());
    for (list, is_empty) in [("ListUsers", false), ("ListGroups", false), ("ListUsers", true)] {
        let (mut first, mut number) = (None::<Value>, 0);
        fake.fault(rewritten(list, ALWAYS, move |page| {
            *page = first.get_or_insert(page.take()).clone();
            number += 1;
            page["NextToken"] = number.to_string().into();
            if is_empty {
                rows(page).clear();
            }
        }));
        let run = source.run(json!({}));
        assert_eq!(run["status"], "failed", "{list}: {run}");
        let words = format!("{list}: the source gives more than 200 pages without anything new");
        assert_eq!(run["error"], words, "{run}");
        assert_eq!((source.told(told), source.users()), (Vec::new(), users.clone()), "{list}");
        fake.heal();
    }
}

#[test]
fn list_that_has_shrunk_holds_the_run() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let (told, users) = (source.events(), source.users());
    for (list, reason) in
        [("ListUsers", "users"), ("ListGroups", "groups_empty"), ("ListGroupMemberships", "users")]
    {
        // Of the users the first page is left, and of the others nothing.
        let mut pages = 0;
        fake.fault(rewritten(list, ALWAYS, move |page| {
            pages += 1;
            if list != "ListUsers" || pages % 3 != 1 {
                rows(page).clear();
            }
        }));
        let run = source.run(json!({}));
        assert_eq!((&run["status"], &run["held"]["reason"]), (&json!("held"), &json!(reason)));
        assert_eq!((source.told(told), source.users()), (Vec::new(), users.clone()), "{list}");
        fake.heal();
    }
    assert_eq!(source.sync()["counts"]["users"]["unchanged"], 5);
    assert_eq!(source.told(told), [""; 0]);
}

#[test]
fn store_is_left_alone_as_long_as_it_asks_for() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let (told, users) = (source.events(), source.users());
    let busy = |seconds: u32| Fault::busy("", seconds, &json!({}));
    let until = |seconds: u32| Fault::busy_until("", seconds, &json!({}));
    for fault in [busy(0), until(0)] {
        fake.fault(fault.after(1).times(2));
        source.sync();
        fake.heal();
    }
    let day = Said::json(503, &json!({}))
        .with("Date", "Sat, 21 Nov 2026 20:00:00 GMT")
        .with("Retry-After", "Sun, 22 Nov 2026 20:00:00 GMT");
    for (fault, words) in [(busy(86_400), "answers 429"), (Fault::instead("", day), "answers 503")]
    {
        fake.asked();
        fake.fault(fault.after(1));
        let run = source.run(json!({}));
        assert!(run["error"].as_str().is_some_and(|error| error.contains(words)), "{run}");
        assert_eq!(fake.asked().len(), 2, "who comes again before the time is refused again");
        fake.heal();
    }
    assert_eq!((source.told(told), source.users()), (Vec::new(), users));
}

#[test]
fn keys_of_a_role_that_end_in_the_middle_are_asked_for_again_once() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let mut config = config(&fake.url);
    config["role_arn"] = json!("arn:aws:iam::111122223333:role/Rollbook");
    config["sts_endpoint_url"] = json!(fake.url);
    let source = Source::new(app, "pull.aws", config, json!({"schedule": "off"}));
    assert_eq!(source.sync()["counts"]["users"]["created"], 5);
    let (told, users) = (source.events(), source.users());
    let signers = || -> Vec<String> {
        let mut ids: Vec<String> =
            fake.asked().iter().map(|asked| signer(asked).to_owned()).collect();
        ids.dedup();
        ids
    };
    assert_eq!(signers(), [KEY, "ASIAKEY1"], "one session is enough for a read");
    let ended = || error("ExpiredTokenException", &json!({"message": "The token has expired."}));
    for list in ["ListUsers", "ListGroupMemberships"] {
        let before = fake.data(|data| data.assumed);
        fake.fault(instead(list, (2, 1), ended()));
        let run = source.sync();
        assert_eq!(run["counts"]["users"]["unchanged"], 5, "{run}");
        let [first, second] = [1, 2].map(|n| format!("ASIAKEY{}", before + n));
        assert_eq!(signers(), [KEY, first.as_str(), KEY, second.as_str()], "{list}");
        fake.heal();
    }
    // New keys that are refused as well are not asked for a third time.
    fake.fault(instead("ListUsers", (2, usize::MAX), ended()));
    let run = source.run(json!({}));
    let error = run["error"].as_str().unwrap_or_default();
    assert_eq!(
        (&run["status"], error),
        (&json!("failed"), "the source answers 400: ExpiredTokenException: The token has expired.")
    );
    assert_eq!(source.view()["state"], "invalid_credentials");
    assert_eq!(signers().iter().filter(|id| *id == KEY).count(), 2);
    assert_eq!((source.told(told), source.users()), (Vec::new(), users));
    fake.heal();
    // A role that cannot be assumed again fails the run, and says so.
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not any more</Message>\
                  </Error></ErrorResponse>";
    let denied = Said { body: denied.to_owned(), ..Said::json(403, &Value::Null) };
    fake.fault(instead("ListUsers", (2, 1), ended()));
    let mut is_known = false;
    fake.fault(Fault::new("", move |asked, said| match asked.header("x-amz-target") {
        "" if std::mem::replace(&mut is_known, true) => denied.clone(),
        _ => said,
    }));
    let run = source.run(json!({}));
    let error = run["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("the role cannot be assumed: "), "{run}");
    assert!(error.ends_with("AccessDenied: not any more"), "{run}");
}

/// Keys of the configuration itself are all that there is.
#[test]
fn temporary_keys_that_have_ended_are_told() {
    let app = &TestApp::start(Database::sqlite());
    let fake = Fake::start(data, answer);
    let source = reader(app, &fake.url);
    source.sync();
    let (told, users) = (source.events(), source.users());
    fake.asked();
    fake.fault(instead("ListUsers", (2, 1), error("ExpiredTokenException", &json!({}))));
    let run = source.run(json!({}));
    assert_eq!(run["error"], "the source answers 400: ExpiredTokenException", "{run}");
    assert_eq!(source.view()["state"], "invalid_credentials");
    assert_eq!(fake.asked().len(), 2, "no other key is tried");
    assert_eq!((source.told(told), source.users()), (Vec::new(), users));
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
