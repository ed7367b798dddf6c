//! The steps of each provider, from the section "Set up" of its page in `docs/providers`.
//!
//! The pages are part of the program. Their Markdown is taken apart into plain text with marks, so that
//! whoever shows it escapes it like any other text. Links lead elsewhere in the documentation, which a
//! visitor does not have: their words stay.

use std::sync::LazyLock;

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

macro_rules! pages {
    ($($provider:literal),* $(,)?) => {
        [$(($provider, include_str!(concat!("../../../docs/providers/", $provider, ".md")))),*]
    };
}

/// In the order in which they are offered.
const PAGES: [(&str, &str); 13] = pages![
    "okta",
    "entra",
    "google",
    "onelogin",
    "jumpcloud",
    "pingone",
    "pingfederate",
    "rippling",
    "cyberark",
    "oracle",
    "keycloak",
    "authentik",
    "generic",
];

/// The page for kinds that have none of their own.
const OTHERS: &str = "generic";

/// What an administrator does in the console of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guide {
    /// `okta` of the kind `scim.okta`.
    pub provider: &'static str,
    pub title: String,
    pub steps: Vec<Vec<Span>>,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub mark: Mark,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Plain,
    /// What stands on the screen of the provider.
    Strong,
    /// What is typed.
    Code,
}

static GUIDES: LazyLock<Vec<Guide>> =
    LazyLock::new(|| PAGES.iter().map(|(provider, page)| Guide::parse(provider, page)).collect());

impl Guide {
    /// The guides of all providers that a visitor may choose.
    pub fn offered() -> impl Iterator<Item = &'static Self> {
        GUIDES.iter()
    }

    /// The guide for directories of that kind, `scim.okta`.
    pub fn of_kind(kind: &str) -> Option<&'static Self> {
        let provider = kind.strip_prefix("scim.").unwrap_or_default();
        let named = |name: &str| GUIDES.iter().find(|guide| guide.provider == name);
        named(provider).or_else(|| named(OTHERS))
    }

    fn parse(provider: &'static str, page: &str) -> Self {
        let mut reader = Reader::default();
        for event in Parser::new(page) {
            reader.read(event);
        }
        Self { provider, title: reader.title, steps: reader.steps }
    }
}

/// Where in the page a text stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Elsewhere,
    Title,
    Heading,
    /// An item of the list, or a paragraph behind the command that makes the directory.
    Step,
}

#[derive(Default)]
struct Reader {
    title: String,
    heading: String,
    steps: Vec<Vec<Span>>,
    place: Place,
    is_strong: bool,
    /// The command that makes the directory was read: a visitor does not run it.
    is_behind_command: bool,
    in_item: bool,
}

impl Reader {
    fn read(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => self.place = Place::Title,
            Event::Start(Tag::Heading { .. }) => {
                self.heading.clear();
                self.place = Place::Heading;
            }
            Event::Start(Tag::Item) if self.is_set_up() => {
                self.in_item = true;
                self.begin_step();
            }
            Event::Start(Tag::Paragraph)
                if self.is_set_up() && self.is_behind_command && !self.in_item =>
            {
                self.begin_step();
            }
            Event::Start(Tag::CodeBlock(_)) if self.is_set_up() => self.is_behind_command = true,
            Event::End(TagEnd::Item) => {
                self.in_item = false;
                self.place = Place::Elsewhere;
            }
            Event::End(TagEnd::Paragraph) if !self.in_item => self.place = Place::Elsewhere,
            Event::End(TagEnd::Heading(_)) => self.place = Place::Elsewhere,
            Event::Start(Tag::Strong) => self.is_strong = true,
            Event::End(TagEnd::Strong) => self.is_strong = false,
            Event::Text(text) => self.add(self.mark(), &text),
            Event::Code(text) => self.add(Mark::Code, &text),
            Event::SoftBreak | Event::HardBreak => self.add(self.mark(), " "),
            _ => {}
        }
    }

    fn is_set_up(&self) -> bool {
        self.heading == "Set up"
    }

    fn mark(&self) -> Mark {
        if self.is_strong { Mark::Strong } else { Mark::Plain }
    }

    fn begin_step(&mut self) {
        self.place = Place::Step;
        self.steps.push(Vec::new());
    }

    fn add(&mut self, mark: Mark, text: &str) {
        match self.place {
            Place::Elsewhere => {}
            Place::Title => self.title.push_str(text),
            Place::Heading => self.heading.push_str(text),
            Place::Step => {
                let Some(step) = self.steps.last_mut() else { return };
                match step.last_mut().filter(|span| span.mark == mark) {
                    Some(span) => span.text.push_str(text),
                    None => step.push(Span { mark, text: text.to_owned() }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::PROVIDERS;

    /// Kinds that are no identity provider, for tests and for the operator.
    const OWN: [&str; 3] = ["rfc", "strict", "default"];

    #[test]
    fn each_provider_is_offered_with_its_steps() {
        let mut offered: Vec<&str> = Guide::offered().map(|guide| guide.provider).collect();
        let mut known: Vec<&str> =
            PROVIDERS.into_iter().filter(|name| !OWN.contains(name)).collect();
        offered.sort_unstable();
        known.sort_unstable();
        assert_eq!(offered, known);
        for guide in Guide::offered() {
            let name = guide.provider;
            assert!(!guide.title.is_empty() && !guide.steps.is_empty(), "{name}");
            let text: String =
                guide.steps.iter().flatten().map(|span| span.text.as_str()).collect();
            for rest in ["**", "](", "```", "rollbook ", "Make the directory"] {
                assert!(!text.contains(rest), "{name}: {rest} in {text}");
            }
            // What a visitor cannot follow, or would type as it stands.
            let (_, page) = PAGES.iter().find(|(provider, _)| *provider == name).expect("its page");
            let set_up = page.split("\n## ").find(|text| text.starts_with("Set up\n"));
            let steps = set_up.and_then(|text| text.rsplit("```\n").next()).expect("steps");
            for operators in ["](", "example.com", "01…"] {
                assert!(!steps.contains(operators), "{name}: {operators} in {steps}");
            }
            assert!(text.to_lowercase().contains("token"), "{name}: {text}");
            assert!(guide.steps.iter().all(|step| !step.is_empty()), "{name}");
        }
    }

    #[test]
    fn step_keeps_its_marks_and_order() {
        let page = "# A <b>\n\nAbout.\n\n## Set up\n\nMake it:\n\n```sh\nrun it\n```\n\n\
                    1. Open **All\n   apps**, then\n   `x & y`.\n2. See [the page](../p.md#a) <b>.\n\n\
                    After it.\n\n## Limits\n\n- None.\n";
        let guide = Guide::parse("test", page);
        let span = |mark, text: &str| Span { mark, text: text.to_owned() };
        let expected = [
            vec![
                span(Mark::Plain, "Open "),
                span(Mark::Strong, "All apps"),
                span(Mark::Plain, ", then "),
                span(Mark::Code, "x & y"),
                span(Mark::Plain, "."),
            ],
            // Raw HTML is not taken over.
            vec![span(Mark::Plain, "See the page .")],
            vec![span(Mark::Plain, "After it.")],
        ];
        assert_eq!(guide.steps, expected);
        assert_eq!(guide.title, "A ");
    }

    #[test]
    fn kinds_without_a_page_have_the_general_one() {
        for (kind, provider) in [
            ("scim.okta", "okta"),
            ("scim.generic", "generic"),
            ("scim.rfc", "generic"),
            ("else", "generic"),
        ] {
            assert_eq!(Guide::of_kind(kind).map(|guide| guide.provider), Some(provider), "{kind}");
        }
    }
}
