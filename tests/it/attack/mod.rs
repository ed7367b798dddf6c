//! Directory A attacks directory B on every route: requests with A's token, or with an API key of A's
//! organization, that name ids, cursors, keys and values of B.
//!
//! Four things hold for each request:
//! - it has the expected status, never a 5xx;
//! - the answer shows nothing of B. Every value in B carries a mark of its own, so that a value that the
//!   request itself names hides no other; what it names may come back in the sentence of an error, and
//!   in what A has stored with it;
//! - the answer is the same for a name that nobody has: A cannot even learn that B has it;
//! - every row of B in the database is, byte for byte, what it was.
//!
//! - [`names`]: the names of B, and those that nobody has
//! - [`world`]: A and B, full of values
//! - [`dump`]: the rows of B
//! - [`scim`], [`older`], [`management`], [`read`], [`oauth`], [`setup`], [`ssf`]: the requests
//! - [`routes`]: that there is a request for every route of the source

mod dump;
mod management;
mod names;
mod oauth;
mod older;
mod read;
mod routes;
mod scim;
mod setup;
mod ssf;
mod world;

use std::time::Duration;

use serde_json::Value;

use crate::on_both_databases;
use crate::support::{Answer, Client, TestApp};
use names::Names;
use world::World;

on_both_databases![
    nothing_is_learnt_by_asking,
    nothing_is_learnt_or_changed_by_writing,
    nothing_is_there_behind_wrong_doors,
    nothing_is_learnt_or_changed_over_scim_1_1,
    nothing_is_learnt_or_changed_by_an_operator_of_another_organization,
    nothing_is_learnt_or_changed_over_the_read_api,
    nothing_is_given_by_the_token_endpoint,
    nothing_is_learnt_or_changed_in_a_set_up_session_of_another_organization,
    nothing_is_learnt_or_changed_by_a_receiver_of_another_organization,
];

/// Requests between two looks at the rows of B.
const ROUND: usize = 25;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A's token with A's key in the path and without, and an access token of A's OAuth client.
    A,
    /// A's token with B's key in the path.
    Trespasser,
    /// An access token of A's OAuth client with B's key in the path, and the other way round.
    Stranger,
    /// No token, B's key in the path.
    Nobody,
    /// The token of a user of A.
    Me,
    /// A directory of A's organization that lets unknown members wait.
    Holding,
    /// B's own tokens with A's key in the path.
    Lost,
    /// As [`Who::A`], [`Who::Trespasser`] and [`Who::Nobody`], over SCIM 1.1.
    Older,
    OlderTrespasser,
    OlderNobody,
    /// An API key of A's organization.
    Operator,
    /// Outside every API, without a token.
    Passer,
}

/// One request. `{user}` in path, headers and body stands for a name of B, `{a_user}` for one of A.
#[derive(Clone, Debug)]
struct Attack {
    who: Who,
    /// What the source calls the route: a variant of `Target`, or the path in the route table.
    route: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    /// JSON; a text is a form.
    body: Option<Value>,
    status: u16,
    /// A stores what it sends; the answer may show that.
    stores: bool,
}

impl Attack {
    fn new(
        who: Who,
        route: &'static str,
        method: &'static str,
        path: impl Into<String>,
        status: u16,
    ) -> Self {
        let (path, headers) = (path.into(), Vec::new());
        Self { who, route, method, path, headers, body: None, status, stores: false }
    }

    fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn stores(self) -> Self {
        Self { stores: true, ..self }
    }

    /// The same request to be done later.
    fn later(self) -> Self {
        let status = if self.status == 404 || self.status < 300 { 202 } else { self.status };
        Self { status, ..self }.header("Prefer", "respond-async")
    }
}

/// A request as it went out, and what came back.
struct Exchange {
    sent: String,
    answer: Answer,
}

fn all() -> Vec<Attack> {
    [
        scim::reads(),
        scim::writes(),
        scim::wrong_doors(),
        older::attacks(),
        management::attacks(),
        read::attacks(),
        oauth::attacks(),
        setup::attacks(),
        ssf::attacks(),
    ]
    .concat()
}

fn nothing_is_learnt_by_asking(app: &TestApp) {
    hold(app, scim::reads());
}

fn nothing_is_learnt_or_changed_by_writing(app: &TestApp) {
    hold(app, scim::writes());
}

fn nothing_is_there_behind_wrong_doors(app: &TestApp) {
    hold(app, scim::wrong_doors());
}

fn nothing_is_learnt_or_changed_over_scim_1_1(app: &TestApp) {
    hold(app, older::attacks());
}

fn nothing_is_learnt_or_changed_by_an_operator_of_another_organization(app: &TestApp) {
    hold(app, management::attacks());
}

fn nothing_is_learnt_or_changed_over_the_read_api(app: &TestApp) {
    hold(app, read::attacks());
}

fn nothing_is_given_by_the_token_endpoint(app: &TestApp) {
    hold(app, oauth::attacks());
}

fn nothing_is_learnt_or_changed_in_a_set_up_session_of_another_organization(app: &TestApp) {
    hold(app, setup::attacks());
}

fn nothing_is_learnt_or_changed_by_a_receiver_of_another_organization(app: &TestApp) {
    hold(app, ssf::attacks());
}

/// Makes the attacks; B stands.
fn hold(app: &TestApp, attacks: Vec<Attack>) {
    let world = World::build(app);
    // What is measured now and then is in the metrics from the beginning.
    let service = app.service().clone();
    app.wait(async move { service.measure_consumers().await }).expect("measured");
    let before = dump::of(app, &world.b);
    assert!(before.len() > 50, "B has something to lose: {} rows", before.len());
    let mut wrong = Vec::new();
    let mut sent = 0;
    for (number, attack) in attacks.into_iter().enumerate() {
        if attack.path.starts_with("/setup") {
            // The limits of a visitor are not what is tried here.
            app.clock.advance(Duration::from_millis(500));
        }
        for (door, client) in world.clients(attack.who).iter().enumerate() {
            sent += 1;
            let name = format!("{:?} {} {}{}", attack.who, attack.method, client.base, attack.path);
            wrong.extend(faults(&world, door, &attack).iter().map(|f| format!("{name}: {f}")));
        }
        if number % ROUND == 0
            && let Some(difference) = dump::difference(&before, &dump::of(app, &world.b))
        {
            wrong.push(format!("one of the last {ROUND} up to {attack:?} changed B: {difference}"));
            break;
        }
    }
    assert_eq!(dump::difference(&before, &dump::of(app, &world.b)), None);
    world.assert_b_is_served();
    assert!(sent >= 10, "{sent} requests");
    assert!(wrong.is_empty(), "{} of {sent}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Sends the request twice, with B's names and with names that nobody has.
fn faults(world: &World, door: usize, attack: &Attack) -> Vec<String> {
    let [theirs, nobodys] = [&world.b, &world.ghost].map(|names| {
        let clients = world.clients(attack.who);
        let exchange = send(&clients[door], attack, &world.a.borrow(), names);
        if attack.method != "GET" && exchange.answer.status < 300 {
            world.fresh(attack.who);
        }
        exchange
    });
    let mut faults = Vec::new();
    let answer = &theirs.answer;
    if answer.status != attack.status {
        faults.push(format!("{} instead of {}: {}", answer.status, attack.status, answer.text));
    }
    let shown = names::shown(&world.b, &theirs.sent, answer, attack.stores);
    faults.extend(shown.iter().map(|mark| format!("shows {mark}: {}", answer.text)));
    let [found, twin] = [(&world.b, answer), (&world.ghost, &nobodys.answer)]
        .map(|(names, answer)| (answer.status, names::anonymous(names, answer)));
    // What names nothing of B has no twin.
    if found != twin && theirs.sent != nobodys.sent {
        faults.push(format!("tells that B has it: {found:?}, for a name that nobody has {twin:?}"));
    }
    faults
}

fn send(client: &Client, attack: &Attack, a: &Names, names: &Names) -> Exchange {
    let fill = |text: &str| names.fill(&a.fill(text));
    let body = attack.body.as_ref().map(|body| match body {
        Value::String(form) => fill(form),
        json => names.fill_json(&a.fill_json(&json.to_string())),
    });
    let path = fill(&attack.path);
    let headers: Vec<(&str, String)> =
        attack.headers.iter().map(|(name, value)| (*name, fill(value))).collect();
    let borrowed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let sent = format!("{}{path} {headers:?} {}", client.base, body.as_deref().unwrap_or_default());
    assert!(!sent.contains("{a_") && !sent.contains("{user"), "a name is missing in {sent}");
    let mut answer = client.send(attack.method, &path, &borrowed, body);
    // What was accepted tells its outcome in the end.
    let later = answer.header("preference-applied").is_some();
    if let Some(at) = answer.header("set-txn").filter(|_| later && answer.status == 202) {
        let path = format!("/Async/{at}");
        let outcome = loop {
            let outcome = client.get(&path);
            if outcome.status != 202 {
                break outcome;
            }
            std::thread::yield_now();
        };
        answer.text = outcome.expect(200).text;
        answer.body = serde_json::from_str(&answer.text).expect("JSON");
    }
    Exchange { sent, answer }
}
