//! Two organizations: A, which attacks, and B, where every value carries a mark of its own.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::{Value, json};

use super::Who;
use super::names::Names;
use crate::support::{
    Browser, Client, ENTERPRISE, TestApp, form_field, group, link_secret, patch, user,
};

const WIDGET: &str = "urn:example:params:scim:schemas:Widget";
const SCIM_JSON: &str = "application/scim+json";

pub(super) struct World {
    url: String,
    /// The operator of everything.
    root: Client,
    /// A's names; some change when A starts afresh.
    pub(super) a: RefCell<Names>,
    pub(super) b: Names,
    /// Names of the form of B's that nobody has.
    pub(super) ghost: Names,
}

/// Marks that are never the same.
struct Marks(u16);

impl Marks {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("zq0{:03}qz", self.0)
    }
}

impl World {
    pub(super) fn build(app: &TestApp) -> Self {
        let mut world = Self {
            url: app.url.clone(),
            root: app.api.clone(),
            a: RefCell::default(),
            b: Names::default(),
            ghost: Names::default(),
        };
        world.build_b();
        world.note_record(app);
        world.ghost = world.b.ghosts();
        // Every id of A is greater than B's and the ghosts', so lists by id treat both alike.
        app.clock.advance(Duration::from_secs(1));
        world.build_a();
        world
    }

    /// The clients of one sort, with the base URLs that they use.
    pub(super) fn clients(&self, who: Who) -> Vec<Client> {
        let a = self.a.borrow();
        let v1 = |key: &str| format!("{}/scim/v1/{key}", self.url);
        let v2 = |key: &str| format!("{}/scim/v2/{key}", self.url);
        let [a_key, b_key] = ["a_external_key", "external_key"];
        let client = |base: String, token: &str| Client::new(&base, token, SCIM_JSON);
        match who {
            Who::A => vec![
                client(v2(a.get(a_key)), a.get("a_secret")),
                client(format!("{}/scim/v2", self.url), a.get("a_secret")),
                client(v2(a.get(a_key)), a.get("a_access_token")),
            ],
            Who::Trespasser => vec![client(v2(self.b.get(b_key)), a.get("a_secret"))],
            Who::Stranger => vec![
                client(v2(self.b.get(b_key)), a.get("a_access_token")),
                client(v2(a.get(a_key)), self.b.get("access_token")),
            ],
            Who::Nobody => vec![client(v2(self.b.get(b_key)), "").with_bearer(None)],
            Who::Older => vec![
                client(v1(a.get(a_key)), a.get("a_secret")),
                client(format!("{}/scim/v1", self.url), a.get("a_secret")),
            ],
            Who::OlderTrespasser => vec![client(v1(self.b.get(b_key)), a.get("a_secret"))],
            Who::OlderNobody => vec![client(v1(self.b.get(b_key)), "").with_bearer(None)],
            Who::Me => vec![client(v2(a.get(a_key)), &self.me_secret(&a))],
            Who::Holding => {
                vec![client(v2(a.get("a_holding_external_key")), a.get("a_holding_secret"))]
            }
            Who::Lost => ["secret", "me_secret"]
                .map(|secret| client(v2(a.get(a_key)), self.b.get(secret)))
                .to_vec(),
            Who::Operator => {
                vec![Client::new(&self.url, a.get("a_api_secret"), "application/json")]
            }
            Who::Passer => {
                vec![Client::new(&self.url, "", "application/json").with_bearer(None)]
            }
        }
    }

    fn b_client(&self) -> Client {
        let base = format!("{}/scim/v2/{}", self.url, self.b.get("external_key"));
        Client::new(&base, self.b.get("secret"), SCIM_JSON)
    }

    /// B answers its own client as ever.
    pub(super) fn assert_b_is_served(&self) {
        let scim = self.b_client();
        assert_eq!(scim.get("/Users").total(), 3);
        assert_eq!(scim.get("/Groups").total(), 2);
        scim.get(&format!("/Users/{}", self.b.get("user"))).expect(200);
    }

    fn build_b(&mut self) {
        let mut marks = Marks(0);
        let mut mark = |b: &mut Names, label: &str, form: &str| {
            let name = form.replace('*', &marks.next());
            b.insert(label, name.clone());
            name
        };
        let b = &mut self.b;
        let organization = json!({
            "name": mark(b, "organization_name", "Organization *"),
            "external_id": mark(b, "organization_external_id", "customer-*"),
        });
        let organization = self.root.post("/api/v1/organizations", organization).expect(201).id();
        b.insert("organization", &*organization);
        let made = self.root.post(
            "/api/v1/directories",
            json!({
                "organization_id": organization,
                "name": mark(b, "directory_name", "Directory *"),
                "kind": "scim.generic",
                "settings": {"profile":
                    {"hold_unknown_members": true, "group_display_name_unique": true}},
            }),
        );
        let made = made.expect(201);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        b.insert("directory", made.id());
        b.insert("external_key", text(&made.body["external_key"]));
        b.insert("secret", text(&made.body["token"]["secret"]));
        b.insert("token", text(&made.body["token"]["id"]));
        let directory = format!("/api/v1/directories/{}", made.id());

        let badge = mark(b, "badge_urn", "urn:example:params:scim:schemas:extension:*:Badge");
        let gadget = mark(b, "gadget_urn", "urn:example:params:scim:schemas:*:Gadget");
        let endpoint = mark(b, "gadgets", "Gadgets*");
        let gadget_type = mark(b, "gadget_type", "Gadget*");
        let number = mark(b, "badge_attribute", "number*");
        let mut schemas = widgets();
        let more = json!([
            {"id": badge, "name": "Badge", "attributes": [{"name": number, "indexed": true}]},
            {"id": gadget, "name": "Gadget", "attributes": [{"name": "serial"}]},
        ]);
        push_all(&mut schemas["schemas"], more);
        let more = json!([
            {"name": gadget_type, "endpoint": format!("/{endpoint}"), "schema": gadget},
            {"name": "User", "schemaExtensions": [{"schema": badge, "required": false}]},
        ]);
        push_all(&mut schemas["resource_types"], more);
        self.root.put(&format!("{directory}/schemas"), schemas).expect(200);
        for (list, label) in [("roles", "role"), ("entitlements", "entitlement")] {
            let value = mark(b, &format!("{label}_value"), "*");
            let display = mark(b, &format!("{label}_display"), "Display *");
            let values = json!({"data": [{"value": value, "display": display}]});
            let put = self.root.put(&format!("{directory}/{list}"), values).expect(200);
            b.insert(label, text(&put.body["data"][0]["id"]));
        }

        let scim = {
            let base = format!("{}/scim/v2/{}", self.url, b.get("external_key"));
            Client::new(&base, b.get("secret"), SCIM_JSON)
        };
        let mut person = |b: &mut Names, label: &str, manager: Option<&str>| {
            let mut body = json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE, badge],
                "userName": mark(b, &format!("{label}_name"), "*@example.com"),
                "externalId": mark(b, &format!("{label}_external_id"), "ext-*"),
                "displayName": mark(b, &format!("{label}_display"), "Display *"),
                "name": {"givenName": mark(b, &format!("{label}_given"), "Given *"),
                    "familyName": mark(b, &format!("{label}_family"), "Family *")},
                "title": mark(b, &format!("{label}_title"), "Title *"),
                "password": mark(b, &format!("{label}_password"), "Secret-*"),
                "emails": [{"value": mark(b, &format!("{label}_email"), "mail-*@example.com"),
                    "type": "work", "primary": true}],
                "unknown": mark(b, &format!("{label}_unknown"), "Unknown *"),
                badge.as_str(): {number.as_str(): mark(b, &format!("{label}_badge"), "badge-*")},
            });
            if let Some(manager) = manager {
                body[ENTERPRISE] = json!({"manager": {"value": manager}});
            }
            let made = scim.post("/Users", body).expect(201);
            b.insert(label, made.id());
            b.insert(&format!("{label}_etag"), made.header("etag").expect("a tag"));
            made.id()
        };
        let boss = person(b, "boss", None);
        let ada = person(b, "user", Some(&boss));
        person(b, "reader", Some(&boss));
        let pending = mark(b, "pending", "waiting-*");
        let team = group(&mark(b, "group_name", "Group *"), &[&ada, &pending]);
        let team = scim.post("/Groups", team).expect(201).id();
        b.insert("group", &*team);
        let outer = group(&mark(b, "outer_name", "Outer *"), &[&team, &boss]);
        b.insert("outer", scim.post("/Groups", outer).expect(201).id());
        let widget = json!({"serial": mark(b, "widget_serial", "serial-*")});
        b.insert("widget", scim.post("/Widgets", widget).expect(201).id());
        let gadget = json!({"serial": mark(b, "gadget_serial", "serial-*")});
        b.insert("gadget", scim.post(&format!("/{endpoint}"), gadget).expect(201).id());

        let page = scim.get("/Users?cursor=&count=1").expect(200);
        b.insert("cursor", text(&page.body["nextCursor"]));
        let change = patch(json!([{"op": "replace", "path": "nickName",
            "value": mark(b, "nick", "Nick *")}]));
        let prefer = [("Prefer", "respond-async")];
        let path = format!("/Users/{ada}");
        let accepted = scim.send("PATCH", &path, &prefer, Some(change.to_string())).expect(202);
        let txn = accepted.header("set-txn").expect("a transaction").to_owned();
        while scim.get(&format!("/Async/{txn}")).status == 202 {
            std::thread::yield_now();
        }
        b.insert("txn", txn);
        b.insert("request", accepted.header("x-request-id").expect("an id"));
        let token = self.root.post(&format!("{directory}/tokens"), json!({"user_id": ada}));
        let token = token.expect(201);
        b.insert("me_token", token.id());
        b.insert("me_secret", text(&token.body["secret"]));
        let name = mark(b, "oauth_client_name", "Client *");
        let made = oauth_client(&self.root, &directory, &name);
        for (label, value) in ["oauth_client", "oauth_secret", "access_token"].iter().zip(made) {
            b.insert(label, value);
        }
        let persons = format!("/api/v1/organizations/{organization}");
        keep_identities(&self.root, &persons, &json!(b.get("directory")));
        let found = self.root.get(&format!("{persons}/identities?user_id={ada}")).expect(200);
        let identity = text(&found.body["data"][0]["id"]);
        // An address of somebody else makes a suggestion.
        let alias = json!({"email": b.get("boss_email")});
        self.root.post(&format!("{persons}/identities/{identity}/aliases"), alias).expect(201);
        let found = self.root.get(&format!("{persons}/identity_suggestions")).expect(200);
        b.insert("suggestion", text(&found.body["data"][0]["id"]));
        b.insert("identity", identity);
        let key = json!({"name": mark(b, "api_key_name", "Key *"),
            "scopes": ["manage", "ssf.manage"],
            "organization_ids": [organization]});
        let key = self.root.post("/api/v1/api_keys", key).expect(201);
        b.insert("api_key", key.id());
        let secret = text(&key.body["secret"]);
        let consumer = mark(b, "consumer", "app-*");
        let own = Client::new(&self.url, &secret, "application/json");
        let place = json!({"position": "oldest"});
        own.put(&format!("/api/v1/consumers/{consumer}"), place).expect(200);
        let events = own.get("/api/v1/events?limit=1").expect(200);
        b.insert("event", text(&events.body["data"][0]["id"]));
        let hook = json!({"endpoint_url": mark(b, "hook_url", "https://*.example.com/hooks"),
            "events": ["dsync.user.created"], "state": "paused"});
        let hook = own.post("/api/v1/webhook_endpoints", hook).expect(201);
        b.insert("hook", hook.id());
        b.insert("hook_secret", text(&hook.body["secret"]));
        let replays = format!("/api/v1/webhook_endpoints/{}/replay", hook.id());
        b.insert("replay", own.post(&replays, json!({"after": "oldest"})).expect(202).id());
        let stream = json!({"description": mark(b, "stream_text", "Stream *")});
        let stream = own.post("/ssf/streams", stream).expect(201);
        b.insert("stream", text(&stream.body["stream_id"]));
        b.insert("api_secret", secret);
        b.insert(
            "setup_proof",
            Browser::entered(&self.url, &setup_link(&self.root, &organization)).proof(),
        );
    }

    /// The id of what is kept of a request of B's.
    fn note_record(&mut self, app: &TestApp) {
        let service = app.service().clone();
        app.wait(async move { service.flush_records().await });
        let path = format!("/api/v1/directories/{}/requests", self.b.get("directory"));
        let kept = self.root.get(&path).expect(200);
        let newest = kept.body["data"][0]["id"].as_str().expect("a record");
        self.b.insert("record", newest);
    }

    fn build_a(&self) {
        let mut a = Names::default();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let organization = json!({"name": "A"});
        let organization = self.root.post("/api/v1/organizations", organization).expect(201).id();
        a.insert("a_organization", &*organization);
        // The last one never sends anything: its records hold nothing that A has sent.
        for (label, holds) in [("a", false), ("a_holding", true), ("a_quiet", false)] {
            let settings = json!({"profile":
                {"hold_unknown_members": holds, "group_display_name_unique": true}});
            let body = json!({"organization_id": organization, "name": label,
                "kind": "scim.generic", "settings": settings});
            let made = self.root.post("/api/v1/directories", body).expect(201);
            let directory = format!("/api/v1/directories/{}", made.id());
            a.insert(&format!("{label}_directory"), made.id());
            a.insert(&format!("{label}_external_key"), text(&made.body["external_key"]));
            a.insert(&format!("{label}_secret"), text(&made.body["token"]["secret"]));
            self.root.put(&format!("{directory}/schemas"), widgets()).expect(200);
            for list in ["roles", "entitlements"] {
                let values = json!({"data": [{"value": "mine"}]});
                self.root.put(&format!("{directory}/{list}"), values).expect(200);
            }
        }
        let persons = format!("/api/v1/organizations/{organization}");
        keep_identities(&self.root, &persons, &Value::Null);
        let directory = format!("/api/v1/directories/{}", a.get("a_directory"));
        let made = oauth_client(&self.root, &directory, "A");
        for (label, value) in
            ["a_oauth_client", "a_oauth_secret", "a_access_token"].iter().zip(made)
        {
            a.insert(label, value);
        }
        let key = json!({"name": "A", "scopes": ["manage", "admins", "read", "webhooks", "ssf.manage"],
            "organization_ids": [organization]});
        let key = self.root.post("/api/v1/api_keys", key).expect(201);
        a.insert("a_api_secret", text(&key.body["secret"]));
        let browser = Browser::entered(&self.url, &setup_link(&self.root, &organization));
        a.insert("a_setup_proof", browser.proof());
        // The page of a link that nobody uses.
        let link = setup_link(&self.root, &organization);
        let page = browser.get(link.strip_prefix(&self.url).expect("a link")).expect(200);
        a.insert("a_start_proof", form_field(&page, "proof"));
        a.insert("a_setup_link", link_secret(&link));
        a.insert("a_setup_cookie", browser.cookie_header());
        let own = Client::new(&self.url, a.get("a_api_secret"), "application/json");
        let hook = json!({"endpoint_url": "https://a.example.com/hooks", "state": "paused",
            "events": ["dsync.user.created"]});
        a.insert("a_hook", own.post("/api/v1/webhook_endpoints", hook).expect(201).id());
        let stream = own.post("/ssf/streams", json!({})).expect(201);
        a.insert("a_stream", text(&stream.body["stream_id"]));
        *self.a.borrow_mut() = a;
        for who in [Who::A, Who::Holding] {
            self.fresh(who);
        }
    }

    /// Empties the directory that these clients write into and fills it again, without anything of B's
    /// that A has stored.
    pub(super) fn fresh(&self, who: Who) {
        let label = match who {
            Who::A | Who::Older | Who::Me => "a",
            Who::Holding => "a_holding",
            _ => return,
        };
        let mut a = self.a.borrow_mut();
        let key = a.get(&format!("{label}_external_key")).to_owned();
        let base = format!("{}/scim/v2/{key}", self.url);
        let scim = Client::new(&base, a.get(&format!("{label}_secret")), SCIM_JSON);
        for endpoint in ["/Groups", "/Users", "/Widgets"] {
            for id in scim.get(&format!("{endpoint}?attributes=id&count=200")).ids() {
                scim.delete(&format!("{endpoint}/{id}")).expect(204);
            }
        }
        let ada = scim.post("/Users", user("ada@example.com")).expect(201).id();
        let team = scim.post("/Groups", group("Team", &[&ada])).expect(201).id();
        let widget = scim.post("/Widgets", json!({"serial": "1"})).expect(201).id();
        a.insert(&format!("{label}_user"), ada);
        a.insert(&format!("{label}_group"), team);
        a.insert(&format!("{label}_widget"), widget);
    }

    /// A token for A's user.
    fn me_secret(&self, a: &Names) -> String {
        let path = format!("/api/v1/directories/{}/tokens", a.get("a_directory"));
        let token = self.root.post(&path, json!({"user_id": a.get("a_user")})).expect(201);
        token.body["secret"].as_str().expect("a secret").to_owned()
    }
}

/// The organization at that path keeps identities, and everybody has one.
fn keep_identities(root: &Client, path: &str, primary: &Value) {
    let path = format!("{path}/primary_directory");
    root.put(&path, json!({"directory_id": primary})).expect(200);
    while root.get(&path).expect(200).body["identities"] != "on" {
        std::thread::yield_now();
    }
}

/// Makes an OAuth client of that directory; its id, its secret, and an access token.
fn oauth_client(root: &Client, directory: &str, name: &str) -> [String; 3] {
    let body = json!({"name": name, "auth_method": "client_secret"});
    let made = root.post(&format!("{directory}/oauth_clients"), body).expect(201).body;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (id, secret) = (text(&made["client_id"]), text(&made["client_secret"]));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let granted = root.with_bearer(None).send("POST", "/oauth/token", &headers, Some(form));
    [id, secret, text(&granted.expect(200).body["access_token"])]
}

/// A link to the set-up pages of that organization.
fn setup_link(root: &Client, organization: &str) -> String {
    let made = root.post("/portal/generate_link", json!({"organization": organization}));
    made.expect(201).body["link"].as_str().expect("a link").to_owned()
}

/// A type of its own with a unique attribute, in both organizations.
fn widgets() -> Value {
    let serial = json!([{"name": "serial", "uniqueness": "server", "indexed": true}]);
    json!({
        "schemas": [{"id": WIDGET, "name": "Widget", "attributes": serial}],
        "resource_types": [{"name": "Widget", "endpoint": "/Widgets", "schema": WIDGET}],
    })
}

fn push_all(list: &mut Value, more: Value) {
    let more = more.as_array().expect("a list").clone();
    list.as_array_mut().expect("a list").extend(more);
}
