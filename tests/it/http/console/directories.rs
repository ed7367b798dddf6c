//! The pages of directories: the list, and one of each kind.

mod disconnect;
mod list;
mod pushed;
mod read;
mod rights;
mod settings;

use crate::support::{Answer, Browser, TestApp};

/// Path of the pages of the test's directory.
fn path(app: &TestApp) -> String {
    format!("/console/directories/{}", app.directory.id)
}

/// Fails the test unless the page has all these texts.
#[track_caller]
fn shows(page: &Answer, texts: &[&str]) {
    for text in texts {
        assert!(page.text.contains(text), "{text:?} is not in {}", page.text);
    }
}

#[track_caller]
fn hides(page: &Answer, texts: &[&str]) {
    for text in texts {
        assert!(!page.text.contains(text), "{text:?} is in {}", page.text);
    }
}

/// Sends a form and opens the page that it leads to.
#[track_caller]
fn done(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let answer = browser.submit(path, fields).expect(303);
    browser.get(answer.header("location").expect("a place")).expect(200)
}

/// The text of the first `code` behind a heading.
#[track_caller]
fn code_after<'p>(page: &'p Answer, heading: &str) -> &'p str {
    let (_, rest) = page.text.split_once(heading).expect("the heading");
    let (_, rest) = rest.split_once("<code tabindex=\"0\">").expect("a code");
    rest.split('<').next().expect("its end")
}
