//! What writers know: of everything that they wrote, what it may look like now. After an acknowledged
//! write that is one thing. After a write without an answer it is two, before and after, and the writer
//! leaves the resource alone from then on.

use std::collections::BTreeMap;

/// What a user looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub title: String,
    pub active: bool,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub user_name: String,
    /// Known from the answer to the create.
    pub id: Option<String>,
    /// `None` stands for: not there.
    pub may_be: Vec<Option<Facts>>,
    /// Of the last acknowledged write.
    pub version: u64,
    /// True when the outcome of some write of it is not known.
    pub is_unsure: bool,
}

#[derive(Clone, Debug)]
pub struct Team {
    pub name: String,
    pub id: Option<String>,
    /// Whether it is there.
    pub may_be: Vec<bool>,
    /// Acknowledged changes of it, and those without an answer.
    pub changes: u64,
    pub maybe: u64,
    pub is_unsure: bool,
}

/// What one writer wrote. The first team is the one that all writers change; the others are its own.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub people: Vec<Person>,
    pub teams: Vec<Team>,
    /// (team, person) and whether the person is a member; nobody else ever was one.
    pub members: BTreeMap<(usize, usize), Vec<bool>>,
}

impl Person {
    /// The facts of a user about whom nothing is unsure and who is there.
    pub fn sure(&self) -> Option<(&str, &Facts)> {
        match (&self.id, &self.may_be[..]) {
            (Some(id), [Some(facts)]) if !self.is_unsure => Some((id, facts)),
            _ => None,
        }
    }
}

impl Team {
    pub fn sure(&self) -> Option<&str> {
        match (&self.id, &self.may_be[..]) {
            (Some(id), [true]) if !self.is_unsure => Some(id),
            _ => None,
        }
    }
}

impl Model {
    pub fn of(shared: &Team) -> Self {
        Self { teams: vec![shared.clone()], ..Self::default() }
    }

    /// The n-th person of those about whom nothing is unsure and whom `wanted` takes, round and round.
    pub fn person(&self, n: usize, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let sure: Vec<usize> = (0..self.people.len())
            .filter(|p| self.people[*p].sure().is_some() && wanted(*p))
            .collect();
        (!sure.is_empty()).then(|| sure[n % sure.len()])
    }

    /// The last team of its own about which nothing is unsure.
    pub fn own_team(&self) -> Option<usize> {
        (1..self.teams.len()).rev().find(|t| self.teams[*t].sure().is_some())
    }

    pub fn is_member(&self, team: usize, person: usize) -> bool {
        self.members.get(&(team, person)).is_some_and(|may_be| may_be == &[true])
    }

    /// The teams that a person is in.
    pub fn teams_of(&self, person: usize) -> Vec<usize> {
        (0..self.teams.len()).filter(|team| self.is_member(*team, person)).collect()
    }
}
