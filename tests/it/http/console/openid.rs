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

    fn invite(&self, email: &str, role: &str) {
        let body = json!({"email": email, "name": "Ada", "role": role});
        self.app.api.post("/api/v1/admins", body).expect(201);
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
