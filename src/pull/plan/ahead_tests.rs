//! Who is sent ahead, and what a plan makes of those who were written and of those who were not.

use super::super::tests::{record, removed, rules};
use super::super::{Plan, Stored, Why, plan};
use super::*;

fn account(source_id: &str, name: &str) -> Record {
    record(Kind::Account, source_id, name)
}

fn below(manager: &str, record: Record) -> Record {
    Record { manager: Some(manager.into()), ..record }
}

fn listed(records: impl IntoIterator<Item = Record>) -> Source {
    let mut source = Source::default();
    for record in records {
        source.listed += 1;
        source.put(record);
    }
    source
}

/// Sends whoever can be sent, from a place on; their ids here are `new-1`, `new-2` and so on.
fn sent(source: &mut Source, from: usize) -> Vec<Record> {
    let mut numbers = 1..;
    source.send_ahead(from, || format!("new-{}", numbers.next().unwrap_or(0)).into())
}

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.source_id.as_str()).collect()
}

/// As they are stored when they were written.
fn written(records: Vec<Record>) -> Stored {
    let mut stored = Stored::default();
    let known = (1..).zip(records).filter_map(|(key, record)| record.stored_as(key));
    known.for_each(|known| stored.add(known));
    stored
}

fn updated(plan: &Plan) -> Vec<(&str, &str)> {
    plan.updates.iter().map(|update| (&*update.known.id, &*update.record.name)).collect()
}

#[test]
fn who_was_written_is_unchanged_and_holds_no_attributes() {
    let mut source = listed([account("a", "ada"), account("b", "ben"), account("c", "cy")]);
    let first = sent(&mut source, 0);
    assert_eq!(ids(&first), ["a", "b", "c"]);
    assert!(first.iter().all(|record| record.attributes.is_some() && record.manager_id.is_none()));
    assert!(source.of_kind(Kind::Account).all(|record| record.attributes.is_none()));
    source.put(account("d", "dee"));
    let second = sent(&mut source, 3);
    assert_eq!((ids(&second), source.ahead()), (vec!["d"], 4));
    assert!(sent(&mut source, 0).is_empty(), "nobody is sent twice");
    let stored = written(first.into_iter().chain(second).collect());
    let plan = plan(source, &stored, &rules());
    assert_eq!((plan.unchanged_users, plan.creates.len(), plan.updates.len()), (4, 0, 0));
    assert!(removed(&plan).is_empty() && plan.faults.is_empty());
}

#[test]
fn manager_goes_first_or_both_wait() {
    let named = Record { usual_name: Some("eve@example.com".into()), ..account("e", "eve") };
    let mut source = listed([
        below("b", account("a", "ada")),
        account("b", "ben"),
        below("b", account("c", "cy")),
        below("c", account("d", "dee")),
        below("nobody", account("f", "fay")),
        below("g", account("g", "gus")),
        below("e", account("h", "hal")),
        named,
        record(Kind::Group, "staff", "Staff"),
    ]);
    let sent = sent(&mut source, 0);
    let managers: Vec<(&str, Option<&str>)> =
        sent.iter().map(|sent| (sent.source_id.as_str(), sent.manager_id.as_deref())).collect();
    assert_eq!(managers, [("b", None), ("c", Some("new-1")), ("d", Some("new-2"))]);
    let plan = plan(source, &written(sent), &rules());
    assert_eq!(ids(&plan.creates), ["a", "f", "g", "h", "e", "staff"]);
    assert!(plan.creates.iter().all(|new| new.id.is_none() && new.attributes.is_some()));
}

#[test]
fn who_could_not_be_written_is_planned_under_the_same_id() {
    let mut source = listed([account("a", "ada"), below("a", account("b", "ben"))]);
    let mut sent = sent(&mut source, 0);
    let left = sent.split_off(1);
    assert_eq!(left[0].manager_id.as_deref(), Some("new-1"));
    left.into_iter().for_each(|record| source.take_back(record));
    assert_eq!(source.ahead(), 1);
    let plan = plan(source, &written(sent), &rules());
    let [new] = plan.creates.as_slice() else { panic!("{:?}", plan.creates) };
    assert_eq!((new.source_id.as_str(), new.id.as_deref()), ("b", Some("new-2")));
    // Whom its manager is here is looked up again.
    assert_eq!((new.attributes.as_deref(), new.manager_id.as_deref()), (Some("{}"), None));
}

#[test]
fn who_is_listed_again_counts_as_listed_last() {
    let all = ["a", "b", "c"].map(|id| account(id, id));
    let mut source = listed(all.clone());
    let mut sent = sent(&mut source, 0);
    let left = sent.pop().expect("c");
    all.into_iter().for_each(|record| source.put(record));
    assert_eq!(source.ahead(), 3, "what is listed as before was sent");
    source.put(account("b", "bea"));
    source.put(account("c", "cid"));
    source.take_back(left);
    assert_eq!(source.ahead(), 1);
    let plan = plan(source, &written(sent), &rules());
    assert_eq!((plan.unchanged_users, updated(&plan)), (1, vec![("new-2", "bea")]));
    let [new] = plan.creates.as_slice() else { panic!("{:?}", plan.creates) };
    assert_eq!((new.name.as_str(), new.id.as_deref()), ("cid", Some("new-3")));
}

#[test]
fn who_is_taken_out_of_the_list_goes_by_what_was_said() {
    let mut source = listed(["a", "b", "c", "d"].map(|id| account(id, id)));
    let sent = sent(&mut source, 0);
    source.delete(Kind::Account, "a".to_owned());
    source.exclude(Kind::Account, "b".to_owned());
    source.forget(Kind::Account, "c");
    // Who could not be written comes back no more than anybody else.
    source.take_back(sent[0].clone());
    let stored = written(sent);
    let plan = plan(source.clone(), &stored, &rules());
    let gone = [("a", Why::Deleted), ("b", Why::Excluded), ("c", Why::Missing)];
    assert_eq!((removed(&plan), plan.unchanged_users), (gone.to_vec(), 1));
    // Of one who is doubtful there is a fault: that proves nothing.
    let (kind, place) = (Kind::Account, "c".to_owned());
    source.faults.push(crate::pull::Fault { kind, place, message: "twice".to_owned() });
    let plan = super::super::plan(source, &stored, &rules());
    assert_eq!((removed(&plan).len(), plan.spared), (2, 1));
}

#[test]
fn who_comes_back_after_that_is_not_sent_twice() {
    let mut source = listed([account("a", "ada"), account("b", "ben")]);
    let first = sent(&mut source, 0);
    source.delete(Kind::Account, "a".to_owned());
    source.put(account("a", "ava"));
    source.put(account("c", "cy"));
    assert_eq!(ids(&sent(&mut source, 1)), ["c"]);
    let plan = plan(source, &written(first), &rules());
    assert_eq!(updated(&plan), [("new-1", "ava")]);
    assert!(removed(&plan).is_empty());
}

#[test]
fn first_of_two_with_one_name_stays() {
    let mut source = listed([account("a", "ada")]);
    let first = sent(&mut source, 0);
    source.put(account("b", "ada"));
    let second = sent(&mut source, 1);
    second.into_iter().for_each(|record| source.take_back(record));
    let plan = plan(source, &written(first), &rules());
    assert_eq!((plan.unchanged_users, plan.creates.len()), (1, 0));
    let faults: Vec<&str> = plan.faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!((faults, removed(&plan).len()), (vec!["b"], 0));
}

#[test]
fn text_is_counted_as_long_as_it_is_here() {
    let text = |id: &str| account(id, id).bytes();
    let mut source = listed(["a", "b", "b"].map(|id| account(id, id)));
    assert_eq!(source.bytes(), text("a") + text("b"));
    source.put(account("b", "bartholomew"));
    assert_eq!(source.bytes(), text("a") + account("b", "bartholomew").bytes());
    let _ = sent(&mut source, 0);
    source.put(account("c", "c"));
    assert_eq!(source.bytes(), text("c"));
}
