//! Reads every directory back, page by page, and compares it with what its writers know.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use serde_json::Value;

use super::model::{Model, Person, Team};
use super::report::{Report, Row};
use super::wire::{Wire, expect, version};
use super::{Options, Outcome, Tenant, groups, joined, users};

/// Resources in one page, so that a directory takes several.
const PAGE: usize = 20;

/// Ids of another directory, and of deleted resources, that each directory is asked for.
const SAMPLE: usize = 10;

/// Compares every directory, and ids across directories.
pub(super) fn all(tenants: &[Tenant], outcomes: Vec<Outcome>, options: Options) -> Report {
    let mut differences = strays(tenants, &outcomes);
    let checked = thread::scope(|scope| {
        let neighbours = outcomes.iter().cycle().skip(1);
        let checking: Vec<_> = tenants
            .iter()
            .zip(&outcomes)
            .zip(neighbours)
            .map(|((tenant, outcome), next)| scope.spawn(|| one(tenant, outcome, next)))
            .collect();
        checking.into_iter().map(joined).collect::<Vec<_>>()
    });
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut resources = 0;
    for ((tenant, outcome), (wire, result)) in tenants.iter().zip(outcomes).zip(checked) {
        let row = rows.entry(tenant.manner.provider).or_default();
        row.clients += 1;
        resources += outcome.models.iter().map(|m| m.people.len() + m.teams.len()).sum::<usize>();
        let is_whole = outcome.failures.is_empty();
        failures.extend(outcome.failures);
        row.tally.absorb(outcome.tally);
        row.tally.absorb(wire.tally);
        let named = |what| format!("{} ({}): {what}", tenant.manner.name, tenant.marker);
        match result {
            // A writer that stopped no longer knows what must be there.
            Ok(found) if is_whole => differences.extend(found.into_iter().map(named)),
            Ok(_) => {}
            Err(failure) => failures.push(named(failure)),
        }
    }
    Report { options, rows, resources, failures, differences, left: None }
}

/// Ids that belong to two directories, or were shown where nobody made them.
fn strays(tenants: &[Tenant], outcomes: &[Outcome]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, (tenant, outcome)) in tenants.iter().zip(outcomes).enumerate() {
        let own = outcome.models.iter().flat_map(Model::ids);
        for id in own.chain(tenant.shared.iter().map(|team| team.id.as_str())) {
            if owners.insert(id, number).is_some() {
                differences.push(format!("the id {id} was given out twice"));
            }
        }
    }
    for (number, (tenant, outcome)) in tenants.iter().zip(outcomes).enumerate() {
        // A writer that stopped may have made one that it does not know.
        for id in outcome.tally.seen.iter().filter(|_| outcome.failures.is_empty()) {
            if owners.get(id.as_str()) != Some(&number) {
                differences.push(format!("{} was shown {id}, which it never made", tenant.marker));
            }
        }
    }
    differences
}

/// Everything in one directory.
fn one(tenant: &Tenant, outcome: &Outcome, next: &Outcome) -> (Wire, Result<Vec<String>, String>) {
    let mut wire = Wire::new(tenant);
    let result = compare(&mut wire, tenant, outcome, next);
    (wire, result)
}

fn compare(
    wire: &mut Wire,
    tenant: &Tenant,
    outcome: &Outcome,
    next: &Outcome,
) -> Result<Vec<String>, String> {
    let mut differences = Vec::new();
    let teams = teams(tenant, outcome);
    let people: BTreeMap<&str, &Person> = outcome
        .models
        .iter()
        .flat_map(|model| &model.people)
        .map(|person| (person.id.as_str(), person))
        .collect();

    let stored = everything(wire, "/Users", &mut differences)?;
    same_ids("/Users", people.keys().copied(), &stored, &mut differences);
    for (id, person) in people {
        let Some(user) = stored.get(id) else { continue };
        let mut found = users::differences(tenant.manner, person, user);
        if version(user).is_none_or(|version| version < person.version) {
            found.push(format!("the version is behind {}", person.version));
        }
        let expected: BTreeSet<&str> = teams
            .values()
            .filter(|team| team.members.contains(id))
            .map(|team| team.id.as_str())
            .collect();
        let groups = user.get("groups").and_then(Value::as_array).into_iter().flatten();
        let groups: BTreeSet<&str> =
            groups.filter_map(|group| group.get("value").and_then(Value::as_str)).collect();
        if groups != expected {
            found.push(format!("groups are {groups:?}, expected {expected:?}"));
        }
        differences.extend(found.into_iter().map(|what| format!("/Users/{id}: {what}")));
    }

    let stored = everything(wire, "/Groups", &mut differences)?;
    same_ids("/Groups", teams.keys().map(String::as_str), &stored, &mut differences);
    for (id, team) in &teams {
        let Some(group) = stored.get(id) else { continue };
        let mut found = groups::differences(team, group);
        if version(group).is_none_or(|version| version < team.version) {
            found.push(format!("the version is behind {}", team.version));
        }
        differences.extend(found.into_iter().map(|what| format!("/Groups/{id}: {what}")));
    }

    let deleted = outcome.models.iter().flat_map(|model| model.gone.iter().take(SAMPLE));
    let foreign = next.models.iter().flat_map(|model| model.ids().take(SAMPLE));
    for id in deleted.map(String::as_str).chain(foreign) {
        if outcome.models.iter().any(|model| model.people.iter().any(|person| person.id == id)) {
            continue;
        }
        for endpoint in ["/Users", "/Groups"] {
            expect(wire.get(&format!("{endpoint}/{id}"))?, &[404])?;
        }
    }
    Ok(differences)
}

/// The groups of all writers; those that all change have the users of each.
fn teams(tenant: &Tenant, outcome: &Outcome) -> BTreeMap<String, Team> {
    let own = outcome.models.iter().flat_map(|model| &model.teams).cloned();
    let shared = tenant.shared.clone().map(|mut team| {
        team.members = outcome.models.iter().flat_map(|model| &model.shared).cloned().collect();
        let seen = outcome.models.iter().map(|model| model.shared_version).max();
        team.version = team.version.max(seen.unwrap_or_default());
        team
    });
    own.chain(shared).map(|team| (team.id.clone(), team)).collect()
}

/// Every resource of a type by id, read page by page.
fn everything(
    wire: &mut Wire,
    endpoint: &str,
    differences: &mut Vec<String>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut all = BTreeMap::new();
    let mut start = 1;
    loop {
        let path = format!("{endpoint}?startIndex={start}&count={PAGE}");
        let answer = expect(wire.get(&path)?, &[200])?;
        let resources = answer.resources().map_err(|finding| finding.to_string())?;
        for resource in resources {
            let id = resource.get("id").and_then(Value::as_str).unwrap_or_default();
            if all.insert(id.to_owned(), resource.clone()).is_some() {
                differences.push(format!("{endpoint} shows {id} twice"));
            }
        }
        start += resources.len();
        if resources.is_empty() {
            let total = answer.total().map_err(|finding| finding.to_string())?;
            if usize::try_from(total) != Ok(all.len()) {
                let found = all.len();
                differences.push(format!("{endpoint} has {found}, but totalResults is {total}"));
            }
            return Ok(all);
        }
    }
}

fn same_ids<'a>(
    endpoint: &str,
    expected: impl Iterator<Item = &'a str>,
    stored: &BTreeMap<String, Value>,
    differences: &mut Vec<String>,
) {
    let expected: BTreeSet<&str> = expected.collect();
    let stored: BTreeSet<&str> = stored.keys().map(String::as_str).collect();
    for lost in expected.difference(&stored) {
        differences.push(format!("{endpoint}/{lost} is lost"));
    }
    for surplus in stored.difference(&expected) {
        differences.push(format!("{endpoint}/{surplus} does not belong there"));
    }
}
