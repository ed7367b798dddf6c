//! Signing in with an OpenID provider.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::page;
use crate::support::{Answer, Browser, Database, FakeSource, PASSWORD, SigningKey, TestApp, Told};

/// Makes `name::sqlite` and `name::postgres` of each function.
macro_rules! with_a_provider {
    ($($name:ident $role:expr),* $(,)?) => {
        $(mod $name {
            #[test]
            fn sqlite() {
                super::$name(&super::World::start(crate::support::Database::sqlite(), $role));
            }

            #[test]
            fn postgres() {
                super::$name(&super::World::start(crate::support::Database::postgres(), $role));
            }
        })*
    };
}

with_a_provider![
    invited_one_is_named_by_the_provider None,
    tokens_that_do_not_fit_are_refused None,
    account_belongs_to_the_subject None,
    claim_gives_a_role Some("groups:owners=owner,staff=viewer"),
    sign_in_leaves_what_it_has_changed Some("groups:owners=owner,staff=viewer"),
    sign_in_ends_invitations None,
    provider_that_is_down_is_asked_once_in_a_while None,
    owners_who_are_demoted_at_once_leave_one Some("groups:owners=owner,staff=viewer"),
];

const NOW: i64 = 1_750_000_000;

struct World {
    app: TestApp,
    provider: FakeSource,
    key: SigningKey,
    /// What the token endpoint answers.
    token: Arc<Mutex<String>>,
}

impl World {
    fn start(database: Database, role: Option<&str>) -> Self {
        let provider = FakeSource::start(|_| Told::status(404, "", "{}"));
        let app = TestApp::start_with(database, |config| {
            config.outbound_networks = vec!["127.0.0.0/8".parse().expect("a network")];
            config.console_oidc_issuer = Some(provider.url.clone());
            config.console_oidc_client_id = Some("the console".into());
            config.console_oidc_client_secret = Some("a secret".into());
            config.console_oidc_role = role.map(|role| role.parse().expect("a claim"));
        });
        let (key, url) = (SigningKey::rsa(), provider.url.clone());
        let token: Arc<Mutex<String>> = Arc::default();
        let (keys, answered) = (json!({"keys": [key.jwk("one")]}), Arc::clone(&token));
        provider.answer(move |path| match path {
            "/.well-known/openid-configuration" => Told::json(&json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "jwks_uri": format!("{url}/keys"),
            })),
            "/keys" => Told::json(&keys),
            "/token" => Told::json(&json!({"id_token": *answered.lock().expect("not poisoned")})),
            _ => Told::status(404, "", "{}"),
        });
        Self { app, provider, key, token }
    }

    /// Invites somebody; gives the answer.
    fn invite(&self, email: &str, role: &str) -> Value {
        let body = json!({"email": email, "name": "Ada", "role": role});
        self.app.api.post("/api/v1/admins", body).expect(201).body
    }

    /// The rows of the audit log about administrators by themselves, oldest first.
    fn rows(&self) -> Vec<Value> {
        let page = self.app.api.get("/api/v1/audit?limit=500").expect(200).body;
        let rows = page["data"].as_array().expect("a list").iter().rev();
        rows.filter(|row| row["actor"]["type"] == "administrator").cloned().collect()
    }

    /// Goes to the provider, which answers with these claims, and comes back.
    #[track_caller]
    fn sign_in(&self, browser: &Browser, more: &Value) -> Answer {
        let answer = browser.get("/console/sign-in/openid?next=%2Fconsole%2Faccount").expect(303);
        let place = answer.header("location").expect("a place").to_owned();
        assert!(place.starts_with(&format!("{}/authorize?", self.provider.url)), "{place}");
        let parameter = |name: &str| {
            let (_, rest) = place.split_once(&format!("{name}=")).expect(name);
            rest.split('&').next().expect("its end").replace("%2D", "-").replace("%5F", "_")
        };
        assert_eq!(parameter("code_challenge_method"), "S256");
        let mut claims = json!({
            "iss": self.provider.url,
            "sub": "subject one",
            "aud": "the console",
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": parameter("nonce"),
            "email": "ada@example.com",
            "email_verified": true,
            "name": "Ada Lane",
        });
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let signed = self.key.sign(&json!({"alg": "RS256", "kid": "one"}), &claims);
        *self.token.lock().expect("not poisoned") = signed;
        let path = format!("/console/sign-in/openid/return?code=c&state={}", parameter("state"));
        browser.send("GET", &path, &[("Sec-Fetch-Site", "cross-site")], None)
    }
}

fn invited_one_is_named_by_the_provider(world: &World) {
    let browser = Browser::new(&world.app.url);
    assert!(page(browser.get("/console/sign-in"), 200).contains("id=\"openid\""));
    let text = page(world.sign_in(&browser, &json!({})), 403);
    assert!(text.contains("Ask an owner to invite you"), "{text}");
    world.invite("Ada@example.com", "operator");
    // An answer that nobody waits for in this browser is worth nothing.
    page(browser.get("/console/sign-in/openid/return?code=c&state=made-up"), 403);
    let text = page(world.sign_in(&browser, &json!({})), 200);
    assert!(text.contains("url=/console/account\""), "{text}");
    let text = page(browser.get("/console/account"), 200);
    assert!(text.contains("operator"), "{text}");
    // A sign-in that takes too long is begun again.
    let other = Browser::new(&world.app.url);
    let begun = other.get("/console/sign-in/openid").expect(303);
    let place = begun.header("location").expect("a place");
    let (_, state) = place.split_once("state=").expect("a state");
    let state = state.split('&').next().expect("its end").to_owned();
    world.app.clock.advance(Duration::from_secs(600));
    page(other.get(&format!("/console/sign-in/openid/return?code=c&state={state}")), 403);
}

fn tokens_that_do_not_fit_are_refused(world: &World) {
    world.invite("ada@example.com", "owner");
    for more in [
        json!({"nonce": "another"}),
        json!({"aud": "another"}),
        json!({"aud": ["the console", "another"]}),
        json!({"iss": "https://another.example.com"}),
        json!({"exp": NOW - 61}),
        json!({"email_verified": false}),
        json!({"email_verified": null}),
        json!({"email": null}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(256)}),
        json!({"sub": "subject\u{0}one"}),
    ] {
        let browser = Browser::new(&world.app.url);
        page(world.sign_in(&browser, &more), 403);
        browser.get("/console/account").expect(303);
    }
    // Another key, and no signature at all.
    for (key, alg) in [(SigningKey::other_rsa(), "RS256"), (SigningKey::rsa(), "none")] {
        let browser = Browser::new(&world.app.url);
        let begun = browser.get("/console/sign-in/openid").expect(303);
        let place = begun.header("location").expect("a place").to_owned();
        let state = place.split_once("state=").expect("a state").1;
        let state = state.split('&').next().expect("its end");
        let claims = json!({"iss": world.provider.url, "sub": "s", "aud": "the console",
            "exp": NOW + 300, "email": "ada@example.com"});
        let signed = key.sign(&json!({"alg": alg, "kid": "one"}), &claims);
        *world.token.lock().expect("not poisoned") = signed;
        page(browser.get(&format!("/console/sign-in/openid/return?code=c&state={state}")), 403);
    }
}

fn account_belongs_to_the_subject(world: &World) {
    world.invite("ada@example.com", "viewer");
    page(world.sign_in(&Browser::new(&world.app.url), &json!({})), 200);
    // The address was given to somebody else; the subject may have another one.
    page(world.sign_in(&Browser::new(&world.app.url), &json!({"sub": "subject two"})), 403);
    let renamed = json!({"email": "ada.lane@example.com"});
    page(world.sign_in(&Browser::new(&world.app.url), &renamed), 200);
    assert_eq!(world.app.api.get("/api/v1/admins").body["data"].as_array().map(Vec::len), Some(1));
}

fn claim_gives_a_role(world: &World) {
    let browser = Browser::new(&world.app.url);
    page(world.sign_in(&browser, &json!({"groups": ["others"]})), 403);
    page(world.sign_in(&browser, &json!({"groups": ["staff", "owners"]})), 200);
    page(browser.get("/console/administrators"), 200);
    // The last owner stays one; beside another the claim counts, and other browsers are signed out.
    page(world.sign_in(&Browser::new(&world.app.url), &json!({"groups": "staff"})), 200);
    page(browser.get("/console/administrators"), 200);
    let body =
        json!({"email": "b@example.com", "name": "B", "role": "owner", "password": PASSWORD});
    world.app.api.post("/api/v1/admins", body).expect(201);
    let other = Browser::new(&world.app.url);
    page(world.sign_in(&other, &json!({"groups": "staff"})), 200);
    browser.get("/console/administrators").expect(303);
    page(other.get("/console/administrators"), 403);
    // Whom the claim gives no role any more is not let in, account or not.
    let text =
        page(world.sign_in(&Browser::new(&world.app.url), &json!({"groups": "others"})), 403);
    assert!(text.contains("gives you no role"), "{text}");
}

fn sign_in_leaves_what_it_has_changed(world: &World) {
    page(world.sign_in(&Browser::new(&world.app.url), &json!({"groups": "owners"})), 200);
    let owner = json!({"email": "b@example.com", "name": "B", "role": "owner"});
    world.app.api.post("/api/v1/admins", owner).expect(201);
    for _ in 0..2 {
        page(world.sign_in(&Browser::new(&world.app.url), &json!({"groups": "staff"})), 200);
    }
    let rows = world.rows();
    let actions: Vec<&str> = rows.iter().filter_map(|row| row["action"].as_str()).collect();
    let signed_in = "administrator.signed_in";
    let expected =
        ["administrator.created", signed_in, "administrator.updated", signed_in, signed_in];
    assert_eq!(actions, expected);
    assert!(rows.iter().all(|row| row["actor"]["id"] == row["target"]["id"]), "{rows:?}");
    let subject = format!("{} subject one", world.provider.url);
    let made = json!({"email": "ada@example.com", "name": "Ada Lane", "role": "owner",
        "openid_subject": subject});
    assert_eq!((&rows[0]["before"], &rows[0]["after"]), (&Value::Null, &made));
    let roles = (json!({"role": "owner"}), json!({"role": "viewer"}));
    assert_eq!((&rows[2]["before"], &rows[2]["after"]), (&roles.0, &roles.1));
}

fn sign_in_ends_invitations(world: &World) {
    let link = |answer: &Value| answer["invitation_url"].as_str().expect("a link").to_owned();
    let opens = |link: &str, status: u16| {
        let path = link.strip_prefix(&world.app.url).expect("a link of this server");
        page(Browser::new(&world.app.url).get(path), status);
    };
    let invited = world.invite("ada@example.com", "viewer");
    let (first, id) = (link(&invited), invited["id"].as_str().expect("an id"));
    opens(&first, 200);
    page(world.sign_in(&Browser::new(&world.app.url), &json!({})), 200);
    opens(&first, 404);
    let claimed = world.rows();
    assert_eq!(claimed[0]["action"], "administrator.updated");
    assert_eq!(claimed[0]["before"], json!({"openid_subject": null}));
    // Made again afterwards, it ends with the next sign-in.
    let again = world.app.api.post(&format!("/api/v1/admins/{id}/invitation"), json!({}));
    let second = link(&again.expect(201).body);
    opens(&second, 200);
    page(world.sign_in(&Browser::new(&world.app.url), &json!({})), 200);
    opens(&second, 404);
}

fn provider_that_is_down_is_asked_once_in_a_while(world: &World) {
    world.provider.answer(|_| Told::status(503, "", "{}"));
    let begin = || page(Browser::new(&world.app.url).get("/console/sign-in/openid"), 503);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(begin);
        }
    });
    assert_eq!(world.provider.asked().len(), 1);
    world.app.clock.advance(Duration::from_secs(9));
    begin();
    assert_eq!(world.provider.asked().len(), 0);
    world.app.clock.advance(Duration::from_secs(1));
    begin();
    assert_eq!(world.provider.asked().len(), 1);
}

fn owners_who_are_demoted_at_once_leave_one(world: &World) {
    let named = |n: usize, groups: &str| {
        json!({"sub": format!("subject {n}"), "email": format!("owner{n}@example.com"),
            "groups": groups})
    };
    let owners = || {
        let list = world.app.api.get("/api/v1/admins").expect(200).body;
        let list = list["data"].as_array().expect("a list").iter();
        let owners = list.filter(|admin| admin["role"] == "owner");
        owners.map(|admin| admin["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    for round in 0..5 {
        for n in 0..2 {
            page(world.sign_in(&Browser::new(&world.app.url), &named(n, "owners")), 200);
        }
        let both = owners();
        assert_eq!(both.len(), 2, "round {round}");
        let demote = |id: &String| {
            let path = format!("/api/v1/admins/{id}");
            world.app.api.patch(&path, json!({"role": "viewer"})).status
        };
        // By the provider, one of them, and by the API, the other one.
        let mut statuses = std::thread::scope(|scope| {
            let by_provider = scope.spawn(|| {
                world.sign_in(&Browser::new(&world.app.url), &named(round % 2, "staff")).status
            });
            let by_hand: Vec<_> = both.iter().map(|id| scope.spawn(|| demote(id))).collect();
            let statuses = by_hand.into_iter().map(|one| one.join().expect("an answer"));
            let statuses = statuses.collect::<Vec<_>>();
            assert_eq!(by_provider.join().expect("an answer"), 200);
            statuses
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "round {round}");
        assert_eq!(owners().len(), 1, "round {round}");
    }
}
