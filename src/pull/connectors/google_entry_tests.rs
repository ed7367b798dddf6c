use super::*;

fn object(value: Value) -> Object {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

fn ada() -> Object {
    object(json!({
        "kind": "admin#directory#user",
        "id": "101",
        "etag": "\"x\"",
        "primaryEmail": "Ada@example.com",
        "name": {"givenName": "Ada", "familyName": "Lane", "fullName": "Ada Lane"},
        "suspended": false,
        "archived": false,
        "orgUnitPath": "/Staff/Research",
        "isAdmin": false,
        "aliases": ["a.lane@example.com", "ada@example.com"],
        "nonEditableAliases": ["ada@example.test"],
        "emails": [
            {"address": "ada@example.com", "primary": true},
            {"address": "ada@home.example", "type": "home"},
            {"address": "a.lane@example.com"},
        ],
        "phones": [
            {"value": "+1 555 1", "type": "work", "primary": true},
            {"value": "+1 555 1", "type": "work"},
            {"value": "+1 555 2", "type": "work_mobile", "primary": true},
            {"value": "+1 555 3", "type": "custom", "customType": "boat"},
        ],
        "addresses": [
            {"type": "work", "streetAddress": "1 Main", "country": "France", "countryCode": "FR"},
            {"type": "custom", "customType": "x"},
        ],
        "organizations": [
            {"title": "Old", "department": "Sales"},
            {"title": "Engineer", "department": "R&D", "costCenter": "7", "name": "Example",
             "primary": true},
        ],
        "externalIds": [{"value": "x", "type": "login_id"}, {"value": "E7", "type": "organization"}],
        "relations": [{"value": "x@example.com", "type": "spouse"},
                      {"value": "Boss@example.com", "type": "manager"}],
        "languages": [{"languageCode": "en"}, {"languageCode": "fr", "preference": "preferred"}],
        "customSchemas": {"Badge": {"number": "9"}, "Pay": {"grade": "3"}},
        "lastLoginTime": "2026-11-21T20:00:00.000Z",
    }))
}

#[test]
fn user_is_what_google_says() {
    let wanted = Wanted { custom_schemas: vec!["Badge".into()], ..Wanted::default() };
    let seen = account(&ada(), Some("100"), &wanted);
    assert_eq!(
        Value::Object(seen),
        json!({
            "userName": "Ada@example.com",
            "name": {"givenName": "Ada", "familyName": "Lane", "formatted": "Ada Lane"},
            "displayName": "Ada Lane",
            "title": "Engineer",
            "preferredLanguage": "fr",
            "emails": [
                {"value": "Ada@example.com", "type": "work", "primary": true},
                {"value": "ada@home.example", "type": "home"},
                {"value": "a.lane@example.com", "type": "other"},
            ],
            "phoneNumbers": [
                {"value": "+1 555 1", "type": "work", "primary": true},
                {"value": "+1 555 2", "type": "mobile"},
                {"value": "+1 555 3", "type": "other"},
            ],
            "addresses": [{"streetAddress": "1 Main", "country": "FR", "type": "work"}],
            urn::ENTERPRISE_USER: {
                "employeeNumber": "E7", "costCenter": "7", "organization": "Example",
                "department": "R&D", "manager": {"value": "100"},
            },
            "orgUnitPath": "/Staff/Research",
            "isAdmin": false,
            "customSchemas": {"Badge": {"number": "9"}},
        })
    );
    let all = Wanted { custom_schemas: vec!["*".into()], ..Wanted::default() };
    assert!(account(&ada(), None, &all)["customSchemas"]["Pay"].is_object());
    assert!(account(&ada(), None, &Wanted::default()).get("customSchemas").is_none());
    assert_eq!(manager_address(&ada()), "boss@example.com");
    let addresses: Vec<String> = addresses(&ada()).collect();
    assert_eq!(addresses[..2], ["ada@example.com", "a.lane@example.com"]);
    assert_eq!(addresses.len(), 4);
}

#[test]
fn user_of_whom_little_is_known_has_little() {
    let user = object(json!({"id": "1", "primaryEmail": "a@example.com"}));
    let seen = account(&user, None, &Wanted::default());
    let names: Vec<&String> = seen.keys().collect();
    assert_eq!(names, ["userName", "emails"]);
    // Other shapes than the documented ones are as good as nothing.
    let odd = object(json!({"primaryEmail": "a@example.com", "name": 7, "phones": {"value": "1"},
        "emails": ["x"], "organizations": [], "externalIds": null, "addresses": [{}]}));
    assert_eq!(account(&odd, None, &Wanted::default()), seen);
    assert_eq!(manager_address(&odd), "");
}

#[test]
fn states_follow_from_suspension_and_archive() {
    for (suspended, archived, reason, active_before_login, expected) in [
        (false, false, "", false, AccountState::Active),
        (false, true, "", false, AccountState::Inactive),
        (true, false, "ADMIN", false, AccountState::Suspended),
        (true, true, "ADMIN", true, AccountState::Suspended),
        (true, false, "WEB_LOGIN_REQUIRED", false, AccountState::Suspended),
        (true, false, "WEB_LOGIN_REQUIRED", true, AccountState::Active),
        (true, true, "WEB_LOGIN_REQUIRED", true, AccountState::Inactive),
        (true, false, "ADMIN", true, AccountState::Suspended),
    ] {
        let user = object(json!({"suspended": suspended, "archived": archived,
            "suspensionReason": reason}));
        let wanted = Wanted { web_login_is_active: active_before_login, ..Wanted::default() };
        assert_eq!(state(&user, &wanted), expected, "{user:?}");
    }
    assert_eq!(state(&Object::new(), &Wanted::default()), AccountState::Active);
}

#[test]
fn organizational_units_hold_what_is_below_them() {
    for (path, unit, is_in) in [
        ("/Staff", "/Staff", true),
        ("/Staff/Research", "/staff", true),
        ("/Staff/Research", "/Staff/", true),
        ("/Staffing", "/Staff", false),
        ("/", "/Staff", false),
        ("/", "/", true),
        ("/Staff", "/", true),
        ("", "/Staff", false),
    ] {
        let user = object(json!({"orgUnitPath": path}));
        assert_eq!(is_below(&user, unit), is_in, "{path} in {unit}");
    }
}

#[test]
fn group_has_a_name_and_keeps_its_address() {
    let seen = group(&object(json!({"id": "g", "name": "Eng", "email": "eng@example.com",
        "description": "", "directMembersCount": "3"})));
    assert_eq!(
        Value::Object(seen),
        json!({"displayName": "Eng", "email": "eng@example.com", "description": null})
    );
    let nameless = group(&object(json!({"id": "g", "name": "", "email": "eng@example.com"})));
    assert_eq!(nameless["displayName"], "eng@example.com");
}
