//! A browser that keeps cookies and sends forms, without running anything.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::client::encode;
use super::{Answer, Client};

/// Cookies and the server that they are of.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(url: &str) -> Self {
        let client = Client::new(url, "", "application/json").with_bearer(None);
        Self { client, cookies: RefCell::default() }
    }

    /// A browser in which the link was exchanged for a session.
    #[track_caller]
    pub fn entered(url: &str, link: &str) -> Self {
        let browser = Self::new(url);
        browser.exchange(link).expect(303);
        browser
    }

    /// Opens the page of a link and sends its form.
    #[track_caller]
    pub fn exchange(&self, link: &str) -> Answer {
        let path = link.strip_prefix(&self.client.base).expect("a link of this server");
        let page = self.get(path).expect(200);
        self.post("/setup/session", &[("link", secret(link)), ("proof", &field(&page, "proof"))])
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    /// Sends a form with these fields.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, &[], fields)
    }

    #[track_caller]
    pub fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[&[kind], headers].concat(), Some(form))
    }

    /// Sends a form with these fields and a file of that name; an empty name for none that was chosen.
    #[track_caller]
    pub fn upload(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        (name, content): (&str, &str),
    ) -> Answer {
        let part = |name: &str, more: &str, value: &str| {
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n"
            )
        };
        let fields = fields.iter().map(|(name, value)| part(name, "", value)).collect::<String>();
        let file = part("file", &format!("; filename=\"{name}\""), content);
        let kind = [("Content-Type", "multipart/form-data; boundary=b")];
        self.send("POST", path, &kind, Some(format!("{fields}{file}--b--\r\n")))
    }

    /// Any request; what the answer sets is kept, and what it takes away goes.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let cookies = self.cookie_header();
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        let answer = self.client.send(method, path, &headers, body);
        for line in &answer.cookies {
            let (pair, attributes) = line.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a cookie");
            match attributes.contains("Max-Age=0") {
                true => self.cookies.borrow_mut().remove(name),
                false => self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// `Cookie` as it is sent.
    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.borrow();
        let pairs = cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// What forms of the session carry.
    #[track_caller]
    pub fn proof(&self) -> String {
        field(&self.get("/setup").expect(200), "proof")
    }
}

/// The secret in a link.
pub fn secret(link: &str) -> &str {
    link.rsplit('/').next().expect("a last part")
}

/// The value of the first field of that name on a page.
#[track_caller]
pub fn field(page: &Answer, name: &str) -> String {
    let (_, rest) = page
        .text
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no field {name} in {}", page.text));
    rest.split('"').next().expect("its end").to_owned()
}
