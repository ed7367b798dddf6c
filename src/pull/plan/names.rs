//! Names of accounts that stand in each other's way.

use std::collections::{HashMap, HashSet};

use super::scope::Scope;
use super::{Known, Plan, Record, Source, Stored};
use crate::pull::{Fault, Kind};

/// Accounts that have the name of another one. Who has it in the directory keeps it; of others nobody can
/// tell whose it is. Answers the source's id and the fault of each.
pub(super) fn ambiguous(source: &Source, stored: &Stored, scope: &Scope) -> Vec<(String, Fault)> {
    let accounts = || source.records.iter().filter(|record| record.kind == Kind::Account);
    // Those who are as they are stored have names of their own.
    let changed = accounts().filter(|record| record.attributes.is_some());
    let wanted: HashSet<&str> = changed.map(|record| record.name.as_str()).collect();
    let mut by_name: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in accounts().filter(|record| wanted.contains(record.name.as_str())) {
        if scope.holds(record) {
            by_name.entry(&record.name).or_default().push(record);
        }
    }
    let mut faults = Vec::new();
    for (name, records) in by_name.into_iter().filter(|(_, records)| records.len() > 1) {
        let holds = |record: &&&Record| {
            stored.get(Kind::Account, &record.source_id).is_some_and(|known| known.name == name)
        };
        let holder = records.iter().find(holds).map(|record| record.source_id.as_str());
        for record in records.iter().filter(|record| Some(record.source_id.as_str()) != holder) {
            let other = records.iter().find(|other| other.source_id != record.source_id);
            let other = other.map_or("", |other| other.source_id.as_str());
            let place = match record.place.is_empty() {
                true => &record.source_id,
                false => &record.place,
            };
            let message = format!(
                "the userName \"{name}\" is also that of {other}; it must be unique, ignoring letter case."
            );
            let fault = Fault { kind: Kind::Account, place: place.clone(), message };
            faults.push((record.source_id.clone(), fault));
        }
    }
    faults.sort_by(|(a, _), (b, _)| a.cmp(b));
    faults
}

/// Whose name is held by somebody who goes, or who waits for that in turn.
pub(super) fn late(plan: &Plan, stored: &Stored, gone: &HashSet<i64>) -> HashSet<String> {
    let is_account = |record: &&Record| record.kind == Kind::Account;
    let records = plan.creates.iter().chain(plan.updates.iter().map(|update| &update.record));
    let wanted: HashMap<&str, &Record> =
        records.filter(is_account).map(|record| (record.name.as_str(), record)).collect();
    let leaving = stored.of_kind(Kind::Account).filter(|known| gone.contains(&known.key));
    let mut late = HashSet::new();
    let mut freed: Vec<&Known> = leaving.collect();
    while let Some(holder) = freed.pop() {
        let Some(next) = wanted.get(holder.name.as_str()) else { continue };
        if next.source_id != holder.source_id && late.insert(next.source_id.clone()) {
            freed.extend(stored.get(Kind::Account, &next.source_id));
        }
    }
    late
}
