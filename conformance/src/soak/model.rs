//! What a directory must contain, as one writer knows it. Writers of one directory change different
//! users, so each knows its own exactly.

use std::collections::BTreeSet;

use super::chance::Chance;
use super::manner::Emails;

/// A user.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) user_name: String,
    pub(super) external_id: String,
    pub(super) given: String,
    pub(super) family: String,
    pub(super) title: Option<String>,
    pub(super) department: Option<String>,
    pub(super) email: String,
    pub(super) active: bool,
    /// The newest version that an answer showed.
    pub(super) version: u64,
}

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Team {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) members: BTreeSet<String>,
    pub(super) version: u64,
}

/// What one writer did to its directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) people: Vec<Person>,
    pub(super) teams: Vec<Team>,
    /// Its users in the group that all writers change.
    pub(super) shared: BTreeSet<String>,
    /// The newest version of that group that it saw.
    pub(super) shared_version: u64,
    /// Users that it deleted.
    pub(super) gone: Vec<String>,
    pub(super) gone_teams: Vec<String>,
}

/// One change of a user.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Title(Option<String>),
    Department(Option<String>),
    Email(String),
    Name { given: String, family: String },
    UserName(String),
    Active(bool),
}

impl Person {
    pub(super) fn display(&self) -> String {
        format!("{} {}", self.given, self.family)
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Title(title) => self.title = title,
            Change::Department(department) => self.department = department,
            Change::Email(email) => self.email = email,
            Change::Name { given, family } => (self.given, self.family) = (given, family),
            Change::UserName(user_name) => self.user_name = user_name,
            Change::Active(active) => self.active = active,
        }
    }
}

impl Model {
    /// Users that are there or were.
    pub(super) fn is_mine(&self, id: &str) -> bool {
        self.people.iter().any(|person| person.id == id) || self.gone.iter().any(|gone| gone == id)
    }

    /// Every id that it was given for a resource.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        let people = self.people.iter().map(|person| &person.id);
        let teams = self.teams.iter().map(|team| &team.id);
        people.chain(teams).chain(&self.gone).chain(&self.gone_teams).map(String::as_str)
    }
}

/// Makes values that are never the same and carry the directory's marker.
#[derive(Debug)]
pub(super) struct Names {
    marker: String,
    writer: usize,
    count: usize,
}

impl Names {
    pub(super) fn new(marker: &str, writer: usize) -> Self {
        Self { marker: marker.to_owned(), writer, count: 0 }
    }

    /// Text like `Ada w1-17 mark…kram`.
    pub(super) fn text(&mut self, word: &str) -> String {
        self.count += 1;
        format!("{word} w{}-{} {}", self.writer, self.count, self.marker)
    }

    /// What the userName of each user of this writer begins with.
    pub(super) fn prefix(&self) -> String {
        format!("w{}-", self.writer)
    }

    pub(super) fn address(&mut self) -> String {
        self.count += 1;
        format!("{}{}@{}.example.com", self.prefix(), self.count, self.marker)
    }

    pub(super) fn person(&mut self, chance: &mut Chance) -> Person {
        Person {
            id: String::new(),
            user_name: self.address(),
            external_id: self.text("ext").replace(' ', "-"),
            given: self.text("Ada"),
            family: self.text("Lane"),
            title: chance.one_in(2).then(|| self.text("Engineer")),
            department: chance.one_in(2).then(|| self.text("Tools")),
            email: self.address(),
            active: !chance.one_in(10),
            version: 0,
        }
    }

    /// A change that changes something.
    pub(super) fn change(
        &mut self,
        chance: &mut Chance,
        person: &Person,
        emails: Emails,
    ) -> Change {
        match chance.below(9) {
            0 | 1 if person.title.is_some() && chance.one_in(3) => Change::Title(None),
            0 | 1 => Change::Title(Some(self.text("Engineer"))),
            2 | 3 if person.department.is_some() && chance.one_in(3) => Change::Department(None),
            2 | 3 => Change::Department(Some(self.text("Tools"))),
            4 if emails != Emails::None => Change::Email(self.address()),
            5 => Change::Name { given: self.text("Ada"), family: self.text("Lane") },
            6 => Change::UserName(self.address()),
            _ => Change::Active(!person.active),
        }
    }
}
