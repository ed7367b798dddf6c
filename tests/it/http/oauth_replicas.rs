//! Two processes on one PostgreSQL: an assertion counts once, an access token counts everywhere, and
//! a client that is gone is gone for both.

use std::time::Duration;

use serde_json::json;

use super::{ask_token, invalid_token, oauth_error};
use crate::support::{Answer, Client, Database, SigningKey, TestApp};

const PUBLIC_URL: &str = "https://scim.example.com";

const SECRET_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Two servers with one database, one secret key and one public URL.
fn two_processes() -> (TestApp, TestApp) {
    let database = Database::postgres();
    let url = database.url();
    let first = TestApp::start_with(database, |config| {
        config.public_url = Some(PUBLIC_URL.into());
        config.secret_key = Some(SECRET_KEY.into());
    });
    // Its own folder, the other's database.
    let second = TestApp::start_with(Database::sqlite(), |config| {
        config.database_url = Some(url);
        config.public_url = Some(PUBLIC_URL.into());
        config.secret_key = Some(SECRET_KEY.into());
    });
    (first, second)
}

/// SCIM on the first one's directory, through that process.
fn scim(through: &TestApp, app: &TestApp, token: &str) -> Client {
    let base = format!("{}/scim/v2/{}", through.url, app.directory.external_key);
    Client::new(&base, token, "application/scim+json")
}

fn ask(through: &TestApp, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    ask_token(&through.url, &[], &form)
}

mod assertion_counts_once_across_processes {
    use super::*;

    #[test]
    fn postgres() {
        let (first, second) = two_processes();
        let key = SigningKey::ec();
        let body = json!({"auth_method": "private_key_jwt", "jwks": key.jwks("e")});
        let (id, _) = super::super::oauth_client(&first, body);
        let assertion = |jti: &str| {
            let claims = json!({
                "iss": id, "sub": id, "aud": PUBLIC_URL, "exp": 1_750_000_300, "jti": jti,
            });
            key.sign(&json!({"alg": "ES256"}), &claims)
        };
        let once = assertion("1");
        ask(&first, &once).expect(200);
        let description = oauth_error(&ask(&second, &once), 401, "invalid_client");
        assert!(description.contains("jti"), "{description}");
        for n in 0..10 {
            let racing = assertion(&format!("race {n}"));
            let granted: usize = std::thread::scope(|scope| {
                let racing = &racing;
                let asking: Vec<_> = [&first, &second, &first, &second]
                    .map(|app| scope.spawn(move || usize::from(ask(app, racing).status == 200)))
                    .into();
                asking.into_iter().map(|thread| thread.join().expect("asked")).sum()
            });
            assert_eq!(granted, 1, "{n}");
        }
    }
}

mod access_token_counts_everywhere_until_its_client_is_gone {
    use super::*;

    #[test]
    fn postgres() {
        let (first, second) = two_processes();
        let (id, secret) = super::super::client_with_secret(&first, json!({}));
        let token = super::super::access_token(&first, &id, &secret);
        let (here, there) = (scim(&first, &first, &token), scim(&second, &first, &token));
        here.get("/Users").expect(200);
        there.get("/Users").expect(200);
        let path = format!("/api/v1/directories/{}/oauth_clients/{id}", first.directory.id);
        first.api.delete(&path).expect(204);
        invalid_token(here.get("/Users"));
        second.clock.advance(Duration::from_secs(5));
        invalid_token(there.get("/Users"));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        oauth_error(&ask_token(&second.url, &[], &form), 401, "invalid_client");
    }
}
