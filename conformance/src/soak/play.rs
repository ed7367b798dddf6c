//! The random mix of one writer. What it does depends on its seed and on its own users alone, so the
//! same seed does the same things, however fast the server is.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Tenant;
use super::chance::Chance;
use super::groups::{self, Delta};
use super::manner::Leave;
use super::model::{Model, Names, Team};
use super::users;
use super::wire::{Tally, Wire, expect};
use crate::scim::encode;

/// A writer keeps about so many users.
const PEOPLE: usize = 40;
const TEAMS: usize = 8;

#[derive(Clone, Copy)]
enum Action {
    Create,
    Update,
    Leave,
    Read,
    LookUp,
    Duplicate,
    Inactive,
    Unknown,
    Page,
    TeamCreate,
    TeamMembers,
    TeamRename,
    TeamRead,
    TeamDelete,
    SharedMembers,
    SharedRead,
}

/// How often each happens.
const MIX: [(Action, usize); 16] = [
    (Action::Create, 14),
    (Action::Update, 24),
    (Action::Leave, 6),
    (Action::Read, 8),
    (Action::LookUp, 10),
    (Action::Duplicate, 4),
    (Action::Inactive, 2),
    (Action::Unknown, 2),
    (Action::Page, 3),
    (Action::TeamCreate, 3),
    (Action::TeamMembers, 10),
    (Action::TeamRename, 2),
    (Action::TeamRead, 3),
    (Action::TeamDelete, 1),
    (Action::SharedMembers, 10),
    (Action::SharedRead, 2),
];

pub(super) struct Player {
    wire: Wire,
    shared: Option<Team>,
    chance: Chance,
    names: Names,
    model: Model,
}

impl Player {
    pub(super) fn new(tenant: &Tenant, writer: usize, chance: Chance) -> Self {
        Self {
            wire: Wire::new(tenant),
            shared: tenant.shared.clone(),
            chance,
            names: Names::new(&tenant.marker, writer),
            model: Model::default(),
        }
    }

    pub(super) fn into_parts(self) -> (Model, Tally) {
        (self.model, self.wire.tally)
    }

    /// Plays until then, or until something is wrong: after that the model says nothing any more.
    pub(super) fn play(&mut self, until: Instant) -> Result<(), String> {
        while Instant::now() < until {
            let action = self.action();
            self.perform(action)?;
        }
        Ok(())
    }

    fn action(&mut self) -> Action {
        let all: usize = MIX.iter().map(|(_, weight)| weight).sum();
        let mut left = self.chance.below(all);
        for (action, weight) in MIX {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return action,
            }
        }
        Action::Read
    }

    fn perform(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Create => self.create(),
            Action::Update => self.update(),
            Action::Leave => self.leave(),
            Action::Read => self.read(),
            Action::LookUp => self.look_up(),
            Action::Duplicate => self.duplicate(),
            Action::Inactive => self.inactive(),
            Action::Unknown => self.unknown(),
            Action::Page => self.page(),
            Action::TeamCreate => self.team_create(),
            Action::TeamMembers => self.team_members(),
            Action::TeamRename => self.team_rename(),
            Action::TeamRead => self.team_read(),
            Action::TeamDelete => self.team_delete(),
            Action::SharedMembers => self.shared_members(),
            Action::SharedRead => self.shared_read(),
        }
    }

    fn create(&mut self) -> Result<(), String> {
        if self.model.people.len() >= PEOPLE {
            return self.update();
        }
        let mut person = self.names.person(&mut self.chance);
        users::create(&mut self.wire, &mut person)?;
        self.model.people.push(person);
        Ok(())
    }

    fn update(&mut self) -> Result<(), String> {
        let at = self.chance.below(self.model.people.len());
        let Some(person) = self.model.people.get_mut(at) else { return Ok(()) };
        let change = self.names.change(&mut self.chance, person, self.wire.manner.emails);
        users::update(&mut self.wire, person, &change)
    }

    /// Somebody leaves, as the provider does it.
    fn leave(&mut self) -> Result<(), String> {
        let at = self.chance.below(self.model.people.len());
        let Some(person) = self.model.people.get_mut(at) else { return Ok(()) };
        if self.wire.manner.leave == Leave::Deactivate {
            let change = super::model::Change::Active(!person.active);
            return users::update(&mut self.wire, person, &change);
        }
        let id = self.model.people.swap_remove(at).id;
        // From here on it is nobody's member, whether or not the answer arrives.
        for team in &mut self.model.teams {
            team.members.remove(&id);
        }
        self.model.shared.remove(&id);
        self.model.gone.push(id.clone());
        users::delete(&mut self.wire, &id)
    }

    fn read(&mut self) -> Result<(), String> {
        let at = self.chance.below(self.model.people.len());
        let Some(person) = self.model.people.get_mut(at) else { return Ok(()) };
        users::read(&mut self.wire, person)
    }

    fn look_up(&mut self) -> Result<(), String> {
        if self.chance.one_in(4) {
            let Some(team) = self.chance.pick(&self.model.teams) else { return Ok(()) };
            return groups::look_up(&mut self.wire, team);
        }
        let Some(person) = self.chance.pick(&self.model.people) else { return Ok(()) };
        users::look_up(&mut self.wire, person)
    }

    /// What is there cannot be created again.
    fn duplicate(&mut self) -> Result<(), String> {
        if self.wire.manner.unique_groups && self.chance.one_in(3) {
            let Some(team) = self.chance.pick(&self.model.teams) else { return Ok(()) };
            return groups::create_twice(&mut self.wire, team);
        }
        let Some(person) = self.chance.pick(&self.model.people) else { return Ok(()) };
        let mut again = person.clone();
        if self.chance.one_in(2) {
            again.user_name = again.user_name.to_uppercase();
        }
        let body = users::document(self.wire.manner, &again);
        let answer = expect(self.wire.write("POST", "/Users", Some(&body))?, &[409])?;
        answer.expect_error(409, Some("uniqueness")).map(drop).map_err(|f| f.to_string())
    }

    /// A filter that finds this writer's inactive users, and no others.
    fn inactive(&mut self) -> Result<(), String> {
        let prefix = self.names.prefix();
        let filter = encode(&format!("active eq false and userName sw \"{prefix}\""));
        let answer = expect(self.wire.get(&format!("/Users?count=200&filter={filter}"))?, &[200])?;
        let inactive = self.model.people.iter().filter(|person| !person.active);
        let ids: Vec<&str> = inactive.map(|person| person.id.as_str()).collect();
        answer.expect_set(&ids).map(drop).map_err(|finding| finding.to_string())
    }

    /// What nobody has is an empty list.
    fn unknown(&mut self) -> Result<(), String> {
        let filter = encode(&format!("userName eq \"{}\"", self.names.address()));
        let answer = expect(self.wire.get(&format!("/Users?filter={filter}"))?, &[200])?;
        answer.expect_set(&[]).map(drop).map_err(|finding| finding.to_string())
    }

    /// A page of everything; whose it is, the connection looks at.
    fn page(&mut self) -> Result<(), String> {
        let start = 1 + self.chance.below(2 * PEOPLE);
        expect(self.wire.get(&format!("/Users?startIndex={start}&count=10"))?, &[200])?;
        expect(self.wire.get("/Groups?startIndex=1&count=10")?, &[200]).map(drop)
    }

    fn team_create(&mut self) -> Result<(), String> {
        if self.shared.is_none() || self.model.teams.len() >= TEAMS {
            return Ok(());
        }
        let name = self.names.text("Team");
        let team = groups::create(&mut self.wire, name)?;
        self.model.teams.push(team);
        Ok(())
    }

    /// Up to three of the writer's users join and up to two leave.
    fn delta(&mut self, members: &BTreeSet<String>) -> Delta {
        let mut delta = Delta::default();
        for _ in 0..=self.chance.below(3) {
            let id = self.chance.pick(&self.model.people).map(|person| person.id.clone());
            delta.join.extend(id.filter(|id| !delta.join.contains(id)));
        }
        let members: Vec<&String> = members.iter().collect();
        for _ in 0..self.chance.below(3) {
            let id = self.chance.pick(&members).map(|id| (*id).clone());
            delta.leave.extend(id.filter(|id| !delta.leave.contains(id)));
        }
        delta.join.retain(|id| !delta.leave.contains(id));
        delta
    }

    fn team_members(&mut self) -> Result<(), String> {
        let at = self.chance.below(self.model.teams.len());
        let Some(members) = self.model.teams.get(at).map(|team| team.members.clone()) else {
            return Ok(());
        };
        let delta = self.delta(&members);
        match self.model.teams.get_mut(at) {
            Some(team) => groups::change(&mut self.wire, team, &delta),
            None => Ok(()),
        }
    }

    fn team_rename(&mut self) -> Result<(), String> {
        let name = self.names.text("Team");
        let at = self.chance.below(self.model.teams.len());
        let Some(team) = self.model.teams.get_mut(at) else { return Ok(()) };
        groups::rename(&mut self.wire, team, name)
    }

    fn team_read(&mut self) -> Result<(), String> {
        let at = self.chance.below(self.model.teams.len());
        let Some(team) = self.model.teams.get_mut(at) else { return Ok(()) };
        groups::read(&mut self.wire, team)
    }

    fn team_delete(&mut self) -> Result<(), String> {
        let at = self.chance.below(self.model.teams.len());
        if at >= self.model.teams.len() {
            return Ok(());
        }
        let id = self.model.teams.swap_remove(at).id;
        self.model.gone_teams.push(id.clone());
        groups::delete(&mut self.wire, &id)
    }

    fn shared_members(&mut self) -> Result<(), String> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        let members = self.model.shared.clone();
        let delta = self.delta(&members);
        if delta.join.is_empty() && delta.leave.is_empty() {
            return Ok(());
        }
        groups::change_shared(&mut self.wire, &shared, &mut self.model, &delta)
    }

    fn shared_read(&mut self) -> Result<(), String> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        groups::read_shared(&mut self.wire, &shared, &mut self.model).map(drop)
    }
}
