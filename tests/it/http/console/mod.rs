//! The operator's console: pages for people who signed in.

mod administrators;
mod audit;
mod branding;
mod directories;
mod events;
mod identities;
mod live;
mod openid;
mod organizations;
mod overview;
mod people;
mod sign_in;
mod webhooks;

use crate::support::Answer;

/// Fails the test unless this is a page with that status, which loads nothing from elsewhere and has nothing
/// inline; gives its text.
#[track_caller]
fn page(answer: Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let files = answer.text.matches("<script src=\"/assets/").count();
    assert_eq!(answer.text.matches("<script").count(), files, "{}", answer.text);
    assert!(
        !answer.text.contains("style=\"") && !answer.text.contains("<style"),
        "{}",
        answer.text
    );
    answer.text
}
