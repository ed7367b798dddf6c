//! A source over HTTP that answers as it is told.

use serde_json::Value;

use super::fake::{Fake, Fault, Said, Wire};

/// What a source answers.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    /// Lines, each with its end.
    pub headers: String,
    pub body: String,
    /// The connection breaks off before the end of the body.
    pub cut: bool,
}

impl Told {
    pub fn json(body: &Value) -> Self {
        Self { status: 200, headers: String::new(), body: body.to_string(), cut: false }
    }

    pub fn status(status: u16, headers: &str, body: &str) -> Self {
        Self { status, headers: headers.to_owned(), body: body.to_owned(), cut: false }
    }

    pub fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    fn said(self) -> Said {
        let own = self.headers.lines().filter_map(|line| line.split_once(": "));
        let content_type = ("Content-Type", "application/scim+json");
        let headers = std::iter::once(content_type).chain(own);
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let wire = if self.cut { Wire::Cut } else { Wire::Whole };
        Said { status: self.status, headers, body: self.body, wire, gate: None }
    }
}

type Script = Box<dyn FnMut(&str) -> Told + Send>;

/// A running source. What it answers is a function of path and query.
pub struct FakeSource {
    pub url: String,
    fake: Fake<Script>,
}

impl FakeSource {
    pub fn start(script: impl FnMut(&str) -> Told + Send + 'static) -> Self {
        let script: Script = Box::new(script);
        let fake = Fake::start(|_| script, |script, asked| script(&asked.target).said());
        Self { url: fake.url.clone(), fake }
    }

    pub fn answer(&self, script: impl FnMut(&str) -> Told + Send + 'static) {
        self.fake.data(|told| *told = Box::new(script));
    }

    /// Adds a fault to whatever is answered; see [`Fake::fault`].
    pub fn fault(&self, fault: Fault) {
        self.fake.fault(fault);
    }

    /// From now on there are no faults but those of the script.
    pub fn heal(&self) {
        self.fake.heal();
    }

    /// Paths with queries, in the order in which they came, since the last look.
    pub fn asked(&self) -> Vec<String> {
        self.fake.asked().into_iter().map(|asked| asked.target).collect()
    }
}
