//! The pages of organizations and of links to the set-up portal; the page of health.

use super::page;
use crate::on_both_databases;
use crate::support::{Browser, TestApp};

on_both_databases![
    organizations_are_found_made_changed_and_deleted,
    links_are_made_and_revoked,
    health_shows_no_secret,
];

fn organizations_are_found_made_changed_and_deleted(app: &TestApp) {
    let operator = app.signed_in("operator");
    let list = |query: &str| page(operator.get(&format!("/console/organizations{query}")), 200);
    assert!(list("").contains(">Example</a>"));
    let fields = [("name", "<i>Müller & Söhne</i>"), ("external_id", "m-1")];
    let answer = operator.submit("/console/organizations", &fields).expect(303);
    let made = answer.header("location").expect("a place").to_owned();
    let one = made.split('?').next().expect("a path").to_owned();
    let text = page(operator.get(&made), 200);
    assert!(text.contains("The organization was made.") && !text.contains("<i>"), "{text}");
    assert!(text.contains("No directory is connected."), "{text}");
    let text = list("?search=m%C3%BCller");
    assert!(text.contains("Söhne") && !text.contains(">Example</a>"), "{text}");
    assert!(list("?search=nobody").contains("No organization has that in its name."));
    // What is refused stands in the form again, with the reason.
    let text = page(operator.submit("/console/organizations", &fields), 422);
    assert!(text.contains("role=\"alert\"") && text.contains("Müller &#38; Söhne"), "{text}");
    assert!(text.contains("value=\"m-1\"") && !text.contains("<i>"), "{text}");
    let text = page(operator.submit(&format!("{one}/change"), &[("name", " ")]), 422);
    assert!(text.contains("role=\"alert\"") && text.contains("Directories</h2>"), "{text}");
    operator
        .submit(&format!("{one}/change"), &[("name", "Meier"), ("external_id", "")])
        .expect(303);
    assert!(page(operator.get(&one), 200).contains("<h1>Meier</h1>"));
    operator.submit(&format!("{one}/delete"), &[]).expect(303);
    page(operator.get(&one), 404);
    // One with directories stays.
    let one = format!("/console/organizations/{}", app.directory.organization_id);
    let text = page(operator.get(&one), 200);
    assert!(text.contains("cannot be deleted") && text.contains("badge-"), "{text}");
    page(operator.submit(&format!("{one}/delete"), &[]), 409);
}

fn links_are_made_and_revoked(app: &TestApp) {
    let operator = app.signed_in("operator");
    let one = format!("/console/organizations/{}", app.directory.organization_id);
    let link = || {
        let text = page(operator.submit(&format!("{one}/links"), &[]), 200);
        let (_, rest) = text.split_once("<code tabindex=\"0\">").expect("a link");
        rest.split('<').next().expect("its end").to_owned()
    };
    let (first, second) = (link(), link());
    let visitor = Browser::entered(&app.url, &first);
    visitor.get("/setup").expect(200);
    operator.submit(&format!("{one}/links/revoke"), &[]).expect(303);
    visitor.get("/setup").expect(403);
    let path = second.strip_prefix(&app.url).expect("a link of this server");
    Browser::new(&app.url).get(path).expect(404);
    page(app.signed_in("viewer").submit(&format!("{one}/links"), &[]), 403);
}

fn health_shows_no_secret(app: &TestApp) {
    let owner = app.signed_in("owner");
    let text = page(owner.get("/console/health"), 200);
    assert!(text.contains("answered in") && text.contains("<code>rate_limit</code>"), "{text}");
    assert!(!text.contains("sk_test_") && !text.contains("postgres://"), "{text}");
    // What is not known to be harmless only says whether it is set.
    for (name, value) in [("api_key", "set"), ("database_url", "set"), ("tls_key", "not set")] {
        let (_, row) = text.split_once(&format!("<code>{name}</code>")).expect(name);
        let row = row.split("</tr>").next().expect("its end");
        assert!(row.contains(&format!(">{value}<")), "{name}: {row}");
    }
    owner.submit("/console/health/secret-key/rotate", &[]).expect(303);
    page(owner.get("/console/health?said=rotating"), 200);
}
