//! Lists: filters with the names of SCIM 1.1, order, pages.

use serde_json::{Value, json};

use super::{CORE, ENTERPRISE_1, assert_older, client, group, refused, user};
use crate::http::{create, texts};
use crate::on_both_databases;
use crate::support::{Client, TestApp};

on_both_databases![
    list_is_a_page_of_1_1,
    filters_use_the_names_of_1_1,
    lists_are_sorted_and_projected,
    wrong_queries_are_400,
];

fn people(scim: &Client) {
    for (name, department) in [("ada", "A"), ("ben", "B"), ("eve", "A")] {
        let mut body = user(&format!("{name}@example.com"));
        body[ENTERPRISE_1] = json!({"department": department, "manager": {"managerId": name}});
        create(scim, "/Users", body);
    }
}

fn list_is_a_page_of_1_1(app: &TestApp) {
    let scim = client(app);
    let empty = scim.get("/Users?startIndex=1&count=2").expect(200);
    assert_older(&empty);
    assert_eq!(
        empty.body,
        json!({
            "schemas": [CORE], "totalResults": 0, "itemsPerPage": 0, "startIndex": 1, "Resources": []
        })
    );
    people(&scim);
    let page = scim.get("/Users?startIndex=2&count=1").expect(200);
    assert_older(&page);
    assert_eq!(texts(&page, "userName"), ["ben@example.com"]);
    let numbers =
        ["totalResults", "itemsPerPage", "startIndex"].map(|name| page.body[name].clone());
    assert_eq!(numbers, [json!(3), json!(1), json!(2)]);
    let totals = scim.get("/Users.json?startIndex=0&count=0").expect(200);
    assert_eq!(totals.body["Resources"], json!([]));
    assert_eq!((totals.total(), &totals.body["startIndex"]), (3, &json!(1)));
    let beyond = scim.get("/Users?startIndex=9").expect(200);
    assert_eq!((beyond.total(), beyond.ids().len()), (3, 0));
    // There are no cursors in SCIM 1.1.
    let walked = scim.get("/Users?cursor=&count=1").expect(200);
    assert_eq!((walked.body.get("nextCursor"), &walked.body["startIndex"]), (None, &json!(1)));
}

fn filters_use_the_names_of_1_1(app: &TestApp) {
    let scim = client(app);
    people(&scim);
    create(&scim, "/Groups", group("Staff", &[]));
    for (filter, expected) in [
        ("userName eq \"ADA@example.com\"", vec!["ada"]),
        ("urn:scim:schemas:core:1.0:userName sw \"e\"", vec!["eve"]),
        ("urn:scim:schemas:extension:enterprise:1.0:department eq \"A\"", vec!["ada", "eve"]),
        ("urn:scim:schemas:extension:enterprise:1.0:manager.managerId eq \"ben\"", vec!["ben"]),
        ("manager.managerId eq \"ada\" or department eq \"B\"", vec!["ada", "ben"]),
        ("emails co \"eve\" and (active eq true)", vec!["eve"]),
        ("emails.type eq \"home\"", vec![]),
        ("title pr", vec![]),
        ("meta.lastModified gt \"2011-05-13T04:42:34Z\"", vec!["ada", "ben", "eve"]),
        ("schemas eq \"urn:scim:schemas:extension:enterprise:1.0\"", vec!["ada", "ben", "eve"]),
    ] {
        let found = scim.filter("/Users", filter).expect(200);
        let names: Vec<String> =
            texts(&found, "userName").iter().map(|name| name.replace("@example.com", "")).collect();
        assert_eq!(names, expected, "{filter}");
    }
    assert_eq!(scim.filter("/Groups", "displayName eq \"staff\"").total(), 1);
    let location =
        scim.get("/Users?count=1").expect(200).body["Resources"][0]["meta"]["location"].clone();
    let by_location = format!("meta.location eq \"{}\"", location.as_str().expect("text"));
    assert_eq!(scim.filter("/Users", &by_location).total(), 1);
    // As OneLogin and Entra ID write them.
    assert_eq!(scim.get("/Users?filter=userName+eq+%22ada%40example.com%22&").total(), 1);
}

fn lists_are_sorted_and_projected(app: &TestApp) {
    let scim = client(app);
    people(&scim);
    let sorted = scim
        .get("/Users?sortBy=urn:scim:schemas:core:1.0:userName&sortOrder=descending")
        .expect(200);
    assert_eq!(
        texts(&sorted, "userName"),
        ["eve@example.com", "ben@example.com", "ada@example.com"]
    );
    let by_manager = "sortBy=urn:scim:schemas:extension:enterprise:1.0:manager.managerId";
    let sorted = scim.get(&format!("/Users?{by_manager}&attributes=userName")).expect(200);
    let first: &Value = &sorted.body["Resources"][0];
    let members: Vec<&String> = first.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["schemas", "id", "userName"]);
    assert_eq!(first["userName"], "ada@example.com");
}

fn wrong_queries_are_400(app: &TestApp) {
    let scim = client(app);
    for (query, named) in [
        ("filter=userName%20eq", "filter"),
        ("filter=nothing%20eq%20%22x%22", "nothing"),
        ("filter=urn:scim:schemas:core:1.0:nothing%20pr", "urn:scim:schemas:core:1.0"),
        ("filter=userName%20eq%20%FF", "UTF-8"),
        ("startIndex=x", "startIndex"),
        ("count=many", "count"),
        ("sortOrder=sideways", "sortOrder"),
        ("attributes=a!", "attributes"),
    ] {
        let description = refused(&scim.get(&format!("/Users?{query}")), 400);
        assert!(description.contains(named), "{query}: {description}");
    }
}
