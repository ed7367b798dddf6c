//! What a directory adds to the built-in types, for tests of what holds for every type: `/Devices`,
//! and a badge on users.

use serde_json::{Value, json};

use crate::support::TestApp;

pub(super) const DEVICE: &str = "urn:example:params:scim:schemas:Device";
pub(super) const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge:User";

/// Loads the schemas into the directory of the test.
#[track_caller]
pub(super) fn add_devices(app: &TestApp) {
    let schemas = json!({
        "schemas": [
            {
                "id": DEVICE,
                "name": "Device",
                "attributes": [
                    {"name": "serial", "required": true, "uniqueness": "server"},
                    {"name": "floor", "type": "integer", "indexed": true},
                    {"name": "weight", "type": "decimal"},
                    {"name": "displayName"},
                    {"name": "tags", "type": "complex", "multiValued": true, "subAttributes": [
                        {"name": "value"}, {"name": "type"},
                    ]},
                ],
            },
            {
                "id": BADGE,
                "name": "Badge",
                "attributes": [{"name": "color", "indexed": true}],
            },
        ],
        "resource_types": [
            {"name": "Device", "endpoint": "/Devices", "schema": DEVICE},
            {"name": "User", "schemaExtensions": [{"schema": BADGE}]},
        ],
    });
    app.api.put(&format!("/api/v1/directories/{}/schemas", app.directory.id), schemas).expect(200);
}

pub(super) fn device(serial: &str, floor: i64) -> Value {
    json!({"schemas": [DEVICE], "serial": serial, "floor": floor, "displayName": serial})
}
