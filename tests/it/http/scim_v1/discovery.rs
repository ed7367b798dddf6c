//! `/ServiceProviderConfigs` and `/Schemas`.

use serde_json::json;

use super::{CORE, assert_older, base_of, client, refused};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    configuration_tells_what_is_served,
    schemas_have_the_shape_of_1_1,
    discovery_is_read_only,
    directory_names_its_address_for_1_1,
    requests_are_counted_under_their_own_names,
];

fn configuration_tells_what_is_served(app: &TestApp) {
    let scim = client(app);
    let config = scim.get("/ServiceProviderConfigs").expect(200);
    assert_older(&config);
    let body = &config.body;
    assert_eq!(body["schemas"], json!([CORE]));
    for (feature, supported) in [
        ("patch", true),
        ("bulk", false),
        ("filter", true),
        ("changePassword", false),
        ("sort", true),
        ("etag", true),
        ("xmlDataFormat", false),
    ] {
        assert_eq!(body[feature]["supported"], supported, "{feature}");
    }
    assert_eq!(body["filter"]["maxResults"], 1_000);
    assert_eq!(body["bulk"]["maxOperations"], 0);
    let scheme = &body["authenticationSchemes"][0];
    assert!(scheme["specUrl"].is_string() && scheme.get("specUri").is_none(), "{}", config.text);
    let location = format!("{}/ServiceProviderConfigs", base_of(&app.directory));
    assert_eq!(body["meta"], json!({"location": location}));
    // The name of SCIM 2.0, the suffix, and no token at all.
    for path in ["/ServiceProviderConfig", "/ServiceProviderConfigs.json"] {
        assert_eq!(scim.get(path).expect(200).body, *body, "{path}");
    }
    let anonymous = scim.with_bearer(None).get("/ServiceProviderConfigs").expect(200);
    assert_older(&anonymous);
    assert_eq!(anonymous.body["patch"], json!({"supported": true}));
    refused(&scim.with_bearer(Some("rbd_wrong")).get("/ServiceProviderConfigs"), 401);

    let (strict, _) = app.directory("scim.strict");
    let config = super::client_of(&strict).get("/ServiceProviderConfigs").expect(200);
    assert_eq!(config.body["etag"]["supported"], false);
}

fn schemas_have_the_shape_of_1_1(app: &TestApp) {
    let scim = client(app);
    let all = scim.get("/Schemas").expect(200);
    assert_older(&all);
    assert_eq!((all.total(), &all.body["schemas"]), (2, &json!([CORE])));
    let ids = all.ids();
    assert_eq!(ids, ["urn:scim:schemas:core:1.0:User", "urn:scim:schemas:core:1.0:Group"]);
    for (index, id) in ids.iter().enumerate() {
        let one = scim.get(&format!("/Schemas/{id}")).expect(200);
        assert_older(&one);
        assert_eq!(one.body, all.body["Resources"][index]);
        let location = format!("{}/Schemas/{id}", base_of(&app.directory));
        assert_eq!(one.body["meta"]["location"], location);
        for attribute in one.body["attributes"].as_array().expect("a list") {
            for name in ["name", "type", "description", "schema"] {
                assert!(attribute[name].is_string(), "{name} of {attribute}");
            }
            for name in ["multiValued", "readOnly", "required", "caseExact"] {
                assert!(attribute[name].is_boolean(), "{name} of {attribute}");
            }
        }
    }
    let description = refused(&scim.get("/Schemas/urn:scim:schemas:core:1.0:Car"), 404);
    assert!(description.contains("urn:scim:schemas:core:1.0:User"), "{description}");
}

fn discovery_is_read_only(app: &TestApp) {
    let scim = client(app);
    for path in ["/ServiceProviderConfigs", "/Schemas", "/Schemas/urn:scim:schemas:core:1.0:User"] {
        for answer in [scim.post(path, json!({})), scim.delete(path)] {
            refused(&answer, 405);
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
        refused(&scim.filter(path, "id pr"), 403);
        assert_eq!(scim.send("HEAD", path, &[], None).expect(200).text, "");
    }
}

fn directory_names_its_address_for_1_1(app: &TestApp) {
    let path = format!("/api/v1/directories/{}", app.directory.id);
    let directory = app.api.get(&path).expect(200);
    assert_eq!(directory.body["scim"]["v1_base_url"], base_of(&app.directory));
}

fn requests_are_counted_under_their_own_names(app: &TestApp) {
    let scim = client(app);
    scim.get("/Users").expect(200);
    scim.get("/Groups/secret-id").expect(404);
    scim.get("/ServiceProviderConfigs").expect(200);
    scim.get("/Cars").expect(404);
    let metrics = app.api.with_bearer(None).get("/metrics").expect(200);
    for (route, status) in [
        ("scim1_users", 200),
        ("scim1_group", 404),
        ("scim1_service_provider_configs", 200),
        ("scim1_unknown", 404),
    ] {
        let labels = format!("{{route=\"{route}\",method=\"GET\",status=\"{status}\"}} 1");
        let line = format!("rollbook_http_requests_total{labels}");
        assert!(metrics.text.lines().any(|known| known == line), "{line}\n{}", metrics.text);
    }
    assert!(!metrics.text.contains("secret-id"));
}
