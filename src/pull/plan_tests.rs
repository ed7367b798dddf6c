//! Plans over small sources, and the law that a plan makes the store equal the source.

use proptest::prelude::*;

use super::super::guard::{Guard, Reason};
use super::*;

fn known(key: i64, kind: Kind, source_id: &str, name: &str) -> Known {
    Known {
        key,
        id: format!("id-{source_id}"),
        kind,
        source_id: source_id.to_owned(),
        name: name.to_owned(),
        active: true,
        version: 1,
        digest: Some(format!("{name}-true")),
    }
}

pub(super) fn record(kind: Kind, source_id: &str, name: &str) -> Record {
    Record {
        kind,
        source_id: source_id.to_owned(),
        name: name.to_owned(),
        active: true,
        digest: format!("{name}-true"),
        attributes: Some("{}".into()),
        members: Members::All,
        place: String::new(),
        manager: None,
        usual_name: None,
        is_partial: false,
        id: None,
        manager_id: None,
    }
}

pub(super) fn rules() -> Rules {
    Rules {
        extent: Extent::Everything,
        absence: Absence::IsRemoval,
        group_scope: None,
        groups: Groups::Synced,
    }
}

/// a and b are users, g is a group with both; the source has them unchanged.
fn both() -> (Stored, Source) {
    let mut stored = Stored::default();
    stored.add(known(1, Kind::Account, "a", "ada"));
    stored.add(known(2, Kind::Account, "b", "ben"));
    stored.add(known(3, Kind::Group, "g", "Staff"));
    stored.add_member(3, 1);
    stored.add_member(3, 2);
    let mut source = Source { listed: 2, ..Source::default() };
    for (kind, id, name) in
        [(Kind::Account, "a", "ada"), (Kind::Account, "b", "ben"), (Kind::Group, "g", "Staff")]
    {
        source.put(Record { attributes: None, ..record(kind, id, name) });
    }
    source.put_member("g".into(), "a".into());
    source.put_member("g".into(), "b".into());
    (stored, source)
}

pub(super) fn removed(plan: &Plan) -> Vec<(&str, Why)> {
    plan.removals.iter().map(|r| (r.known.source_id.as_str(), r.why)).collect()
}

#[test]
fn nothing_changes_when_nothing_has() {
    let (stored, source) = both();
    let plan = plan(source, &stored, &rules());
    assert_eq!((plan.unchanged_users, plan.unchanged_groups), (2, 1));
    assert!(plan.creates.is_empty() && plan.updates.is_empty() && plan.members.is_empty());
    assert_eq!((removed(&plan), plan.faults.len()), (vec![], 0));
}

#[test]
fn member_who_is_inactive_and_not_listed_stays_where_only_active_ones_are() {
    for (members, active, leaves) in [
        (Members::All, true, true),
        (Members::All, false, true),
        (Members::Active, true, true),
        (Members::Active, false, false),
        (Members::Changes, true, false),
    ] {
        let (stored, mut source) = both();
        source.put(Record { attributes: None, active, ..record(Kind::Account, "b", "ben") });
        source.put(Record { attributes: None, members, ..record(Kind::Group, "g", "Staff") });
        source.remove_member("g".into(), "b".into());
        source.left.clear();
        let plan = plan(source, &stored, &rules());
        assert_eq!(!plan.members.is_empty(), leaves, "{members:?} {active}");
    }
    // What the source says itself counts for everybody.
    let (stored, mut source) = both();
    source.put(Record { active: false, ..record(Kind::Account, "b", "ben") });
    let members = Members::Active;
    source.put(Record { attributes: None, members, ..record(Kind::Group, "g", "Staff") });
    source.remove_member("g".into(), "b".into());
    let change = plan(source, &stored, &rules()).members.remove(0);
    assert_eq!(change.remove[0].source_id, "b");
    assert_eq!(change.told, HashSet::from([2]));
}

#[test]
fn who_is_not_listed_goes_only_by_a_read_without_faults() {
    for (fault, absence, extent, expected) in [
        (false, Absence::IsRemoval, Extent::Everything, vec![("b", Why::Missing)]),
        (true, Absence::IsRemoval, Extent::Everything, vec![]),
        (false, Absence::IsNothing, Extent::Everything, vec![]),
        (false, Absence::IsRemoval, Extent::Changes, vec![]),
    ] {
        let (stored, mut source) = both();
        source.forget(Kind::Account, "b");
        source.remove_member("g".into(), "b".into());
        source.left.clear();
        if fault {
            let (place, message) = ("x".to_owned(), "cannot be read.".to_owned());
            source.faults.push(Fault { kind: Kind::Account, place, message });
        }
        let plan = plan(source, &stored, &Rules { absence, extent, ..rules() });
        assert_eq!(removed(&plan), expected);
        assert_eq!(plan.spared, usize::from(fault));
        // The membership of who goes ends by itself; only changes name the whole group here.
        let left: Vec<&Known> = plan.members.iter().flat_map(|change| &change.remove).collect();
        assert_eq!(left.len(), usize::from(extent == Extent::Changes));
    }
}

#[test]
fn membership_that_is_not_listed_is_counted_where_it_stays() {
    for (absence, extent, members, spared) in [
        (Absence::IsRemoval, Extent::Everything, Members::All, 1),
        (Absence::IsRemoval, Extent::Everything, Members::Active, 1),
        (Absence::IsRemoval, Extent::Everything, Members::Changes, 0),
        (Absence::IsRemoval, Extent::Changes, Members::All, 1),
        (Absence::IsNothing, Extent::Everything, Members::All, 0),
    ] {
        let (stored, mut source) = both();
        source.put(Record { attributes: None, members, ..record(Kind::Group, "g", "Staff") });
        source.remove_member("g".into(), "b".into());
        source.left.clear();
        let (place, message) = ("x".to_owned(), "cannot be read.".to_owned());
        source.faults.push(Fault { kind: Kind::Account, place, message });
        let plan = plan(source, &stored, &Rules { absence, extent, ..rules() });
        assert_eq!(
            (plan.members.len(), plan.spared),
            (0, spared),
            "{absence:?} {extent:?} {members:?}"
        );
    }
    // Who is listed and cannot be told from another one is not missing from the group.
    let (stored, mut source) = both();
    source.put(record(Kind::Account, "c", "ada"));
    source.put(record(Kind::Account, "d", "ada"));
    let plan = plan(source, &stored, &rules());
    assert_eq!((plan.fault_count() > 0, plan.spared), (true, 0));
}

#[test]
fn tombstone_and_filter_need_no_complete_read() {
    let (stored, mut source) = both();
    source.delete(Kind::Account, "a".into());
    source.exclude(Kind::Account, "b".into());
    let fault = Fault { kind: Kind::Account, place: "x".into(), message: "no".into() };
    source.faults.push(fault);
    let plan = plan(source, &stored, &Rules { extent: Extent::Changes, ..rules() });
    assert_eq!(removed(&plan), [("a", Why::Deleted), ("b", Why::Excluded)]);
    // They come back when the source lists them again.
    let (_, mut source) = both();
    source.delete(Kind::Account, "a".into());
    source.put(record(Kind::Account, "a", "ada"));
    assert!(source.deleted.is_empty());
}

#[test]
fn rename_is_an_update_and_another_id_is_somebody_else() {
    let (stored, mut source) = both();
    source.put(record(Kind::Account, "a", "ada.king"));
    source.forget(Kind::Account, "b");
    source.put(record(Kind::Account, "b2", "ben"));
    let plan = plan(source, &stored, &rules());
    let [update] = &plan.updates[..] else { panic!("one update: {plan:?}") };
    assert_eq!((update.known.source_id.as_str(), update.record.name.as_str()), ("a", "ada.king"));
    assert_eq!(plan.creates.iter().map(|r| r.source_id.as_str()).collect::<Vec<_>>(), ["b2"]);
    assert_eq!(removed(&plan), [("b", Why::Missing)]);
    // The name is free only when the one before is gone.
    assert_eq!(plan.late, HashSet::from(["b2".to_owned()]));
}

#[test]
fn one_name_for_two_is_a_fault_of_who_does_not_hold_it() {
    let (stored, mut source) = both();
    source.put(record(Kind::Account, "c", "ada"));
    let plan = plan(source, &stored, &rules());
    assert_eq!(plan.faults.iter().map(|f| f.place.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!((plan.unchanged_users, plan.creates.len()), (2, 0));
    let mut source = Source::default();
    source.put(record(Kind::Account, "c", "cy"));
    source.put(record(Kind::Account, "d", "cy"));
    let plan = super::plan(source, &Stored::default(), &rules());
    assert_eq!((plan.faults.len(), plan.creates.len()), (2, 0));
    assert!(plan.faults[0].message.contains("also that of d"), "{:?}", plan.faults);
}

#[test]
fn scope_holds_groups_below_and_their_members_and_cycles_end() {
    let (stored, mut source) = both();
    source.put(record(Kind::Account, "c", "cy"));
    source.put(record(Kind::Group, "h", "Inner"));
    for (group, member) in [("g", "g"), ("g", "h"), ("h", "g"), ("h", "c"), ("h", "nobody")] {
        source.put_member(group.into(), member.into());
    }
    source.put(record(Kind::Account, "out", "out"));
    source.put(record(Kind::Group, "o", "Other"));
    source.put_member("o".into(), "out".into());
    let scope = Some(vec!["Staff".to_owned()]);
    let scoped = plan(source.clone(), &stored, &Rules { group_scope: scope, ..rules() });
    let mut created: Vec<&str> = scoped.creates.iter().map(|r| r.source_id.as_str()).collect();
    created.sort_unstable();
    assert_eq!(created, ["c", "h"]);
    assert_eq!(scoped.unknown.count, 1);
    let joins = |group: &str| {
        let change = scoped.members.iter().find(|change| change.group == group).expect("a change");
        change.add.iter().map(|(_, member)| member.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((joins("g"), joins("h")), (vec!["h"], vec!["c", "g"]));
    // Another scope: who was in the one before goes.
    let scope = Some(vec!["o".to_owned()]);
    let moved = plan(source.clone(), &stored, &Rules { group_scope: scope, ..rules() });
    let gone: Vec<_> = removed(&moved).into_iter().map(|(id, _)| id).collect();
    assert_eq!(gone, ["g", "a", "b"]);
    assert!(moved.removals.iter().all(|removal| removal.why == Why::OutOfScope));
    // Without groups the users stay.
    let alone = plan(source, &stored, &Rules { groups: Groups::LeftOut, ..rules() });
    assert_eq!(removed(&alone), [("g", Why::OutOfScope)]);
    assert!(alone.members.is_empty() && alone.creates.iter().all(|r| r.kind == Kind::Account));
}

#[test]
fn toll_counts_each_user_once_and_an_empty_source_is_held() {
    let mut stored = Stored::default();
    for key in 1..=40 {
        stored.add(known(key, Kind::Account, &format!("u{key}"), &format!("n{key}")));
    }
    stored.add(known(100, Kind::Group, "g", "Staff"));
    (1..=10).for_each(|key| stored.add_member(100, key));
    stored.role_groups.insert(100);
    let empty = plan(Source::default(), &stored, &rules());
    assert_eq!(empty.removals.len(), 41);
    let expected = Toll {
        users: 40,
        memberships: 0,
        role_groups: 1,
        active_users: 40,
        all_users: 40,
        all_memberships: 10,
        emptied: true,
        ..Toll::default()
    };
    assert_eq!(empty.toll, expected);
    assert_eq!(Guard::default().holds(&empty.toll), Some(Reason::SourceEmpty));
    // One leaves, one is locked out, one leaves the group: three of forty are not more than a tenth.
    let mut source = Source { listed: 39, ..Source::default() };
    for key in 1..=39_i64 {
        let active = key != 2;
        let (id, name) = (format!("u{key}"), format!("n{key}"));
        source.put(Record { active, ..record(Kind::Account, &id, &name) });
    }
    source.put(record(Kind::Group, "g", "Staff"));
    (2..=10).for_each(|key| source.put_member("g".into(), format!("u{key}")));
    let few = plan(source, &stored, &rules());
    assert_eq!((few.toll.users, few.toll.memberships, few.toll.role_groups), (3, 1, 0));
    assert_eq!(Guard::default().holds(&few.toll), None);
}

/// An outer group of an inner one, with forty users who are in the inner one alone.
fn nested() -> (Stored, Source) {
    let (mut stored, mut source) = (Stored::default(), Source { listed: 40, ..Source::default() });
    for key in 1..=40 {
        stored.add(known(key, Kind::Account, &format!("u{key}"), &format!("n{key}")));
        stored.add_member(101, key);
        source.put(record(Kind::Account, &format!("u{key}"), &format!("n{key}")));
        source.put_member("inner".into(), format!("u{key}"));
    }
    for (key, id) in [(100, "outer"), (101, "inner")] {
        stored.add(known(key, Kind::Group, id, id));
        source.put(record(Kind::Group, id, id));
        source.listed_groups += 1;
    }
    stored.add_member(100, 101);
    (stored, source)
}

#[test]
fn who_is_in_a_group_through_another_counts_for_the_guard() {
    let (stored, mut same) = nested();
    same.put_member("outer".into(), "inner".into());
    let toll = plan(same.clone(), &stored, &rules()).toll;
    assert_eq!((toll.users, toll.memberships), (0, 0));
    // The inner one leaves.
    let (_, left) = nested();
    let toll = plan(left.clone(), &stored, &rules()).toll;
    assert_eq!((toll.users, toll.memberships, toll.all_memberships), (40, 40, 80));
    assert_eq!(Guard::default().holds(&toll), Some(Reason::Users));
    // It is replaced by another one that has most of them, or they are members themselves.
    let mut replaced = left.clone();
    replaced.put(record(Kind::Group, "new", "new"));
    replaced.put_member("outer".into(), "new".into());
    (1..=38).for_each(|key| replaced.put_member("new".into(), format!("u{key}")));
    let toll = plan(replaced, &stored, &rules()).toll;
    assert_eq!((toll.users, toll.memberships), (2, 2));
    let mut direct = left;
    (1..=40).for_each(|key| direct.put_member("outer".into(), format!("u{key}")));
    assert_eq!(plan(direct, &stored, &rules()).toll.users, 0);
    // The inner one goes, and so does the outer one; groups that hold each other end.
    let (mut circle, _) = nested();
    circle.add_member(101, 100);
    same.delete(Kind::Group, "outer".into());
    let toll = plan(same.clone(), &circle, &rules()).toll;
    assert_eq!((toll.users, toll.memberships), (40, 40));
    same.delete(Kind::Group, "inner".into());
    assert_eq!(plan(same, &circle, &rules()).toll.users, 40);
}

#[test]
fn scope_takes_what_is_not_listed_from_what_is_stored() {
    let scoped = || Rules { group_scope: Some(vec!["Staff".to_owned()]), ..rules() };
    let (stored, source) = both();
    // A group that shows no members keeps those it has; of one that shows the active ones, the others.
    for (members, active, stays) in [
        (Members::All, true, false),
        (Members::Changes, true, true),
        (Members::Active, true, false),
        (Members::Active, false, true),
    ] {
        let mut silent = Source { listed: 2, ..Source::default() };
        silent.put(Record { members, ..record(Kind::Group, "g", "Staff") });
        silent.put(Record { active, ..record(Kind::Account, "a", "ada") });
        silent.put(record(Kind::Account, "b", "ben"));
        silent.put_member("g".into(), "b".into());
        let plan = plan(silent, &stored, &scoped());
        assert_eq!(removed(&plan).is_empty(), stays, "{members:?} {active}");
    }
    // Of a group that is not stored and shows no members nobody knows whom it has.
    let mut alone = Stored::default();
    alone.add(known(1, Kind::Account, "a", "ada"));
    let mut blind = Source { listed: 1, listed_groups: 1, ..Source::default() };
    blind.put(Record { members: Members::Changes, ..record(Kind::Group, "g", "Staff") });
    blind.put(record(Kind::Account, "a", "ada"));
    let unstored = Rules { groups: Groups::LeftOut, ..scoped() };
    assert_eq!(removed(&plan(blind, &alone, &unstored)), []);
    // Who is inactive at the source becomes so, whether the scope can be told or not.
    let mut faulty = source.clone();
    faulty.joined.clear();
    faulty.put(Record { active: false, ..record(Kind::Account, "a", "ada") });
    faulty.faults.push(Fault { kind: Kind::Group, place: "x".into(), message: String::new() });
    let mut partial = Source::default();
    partial.put(Record { active: false, ..record(Kind::Account, "a", "ada") });
    let silent = Rules { absence: Absence::IsNothing, ..scoped() };
    let elsewhere = Rules { group_scope: Some(vec!["Other".to_owned()]), ..silent.clone() };
    for (source, rules) in [(faulty, scoped()), (partial.clone(), silent), (partial, elsewhere)] {
        let plan = plan(source, &stored, &rules);
        let ended: Vec<_> = plan.updates.iter().filter(|update| update.deactivates()).collect();
        assert_eq!((ended.len(), removed(&plan)), (1, vec![]), "{rules:?}");
    }
    // No group of the scope is listed any more: somebody has to look.
    let mut renamed = source;
    renamed.put(record(Kind::Group, "g", "Crew"));
    let lost = plan(renamed, &stored, &scoped());
    assert_eq!(Guard::default().holds(&lost.toll), Some(Reason::GroupsEmpty));
}

/// Kind, id and name.
type Thing = (Kind, String, String);

/// Group and member.
type Edge = (String, String);

/// Applies a plan to a model of the store.
fn applied(plan: &Plan, stored: &Stored) -> (BTreeSet<Thing>, BTreeSet<Edge>) {
    let gone: HashSet<i64> = plan.removals.iter().map(|removal| removal.known.key).collect();
    let stays = |key: &i64| !gone.contains(key);
    let mut things = BTreeSet::new();
    for known in stored.things.iter().filter(|known| stays(&known.key)) {
        let update = plan.updates.iter().find(|update| update.known.key == known.key);
        let name = update.map_or(&known.name, |update| &update.record.name);
        things.insert((known.kind, known.source_id.clone(), name.clone()));
    }
    for record in &plan.creates {
        things.insert((record.kind, record.source_id.clone(), record.name.clone()));
    }
    let mut members = BTreeSet::new();
    for (group, keys) in &stored.members {
        let group = stored.by_key(*group).expect("a group");
        for member in keys.iter().filter(|key| stays(key) && stays(&group.key)) {
            let member = stored.by_key(*member).expect("a member");
            members.insert((group.source_id.clone(), member.source_id.clone()));
        }
    }
    for change in &plan.members {
        for known in &change.remove {
            assert!(members.remove(&(change.group.clone(), known.source_id.clone())));
        }
        for (_, member) in &change.add {
            assert!(members.insert((change.group.clone(), member.clone())));
        }
    }
    (things, members)
}

type Pairs = BTreeSet<(u8, u8)>;

type World = (Pairs, BTreeSet<u8>, Pairs);

/// Users with names, groups, memberships of users and groups.
fn worlds() -> impl Strategy<Value = World> {
    let users = prop::collection::btree_map(0..12_u8, 0..12_u8, 0..10).prop_map(|names| {
        let mut taken = HashSet::new();
        names.into_iter().filter(|(_, name)| taken.insert(*name)).collect()
    });
    let groups = prop::collection::btree_set(0..5_u8, 0..5);
    let members = prop::collection::btree_set((0..5_u8, 0..17_u8), 0..25);
    (users, groups, members)
}

/// What of the memberships there is for: both ends exist, and no group is in itself.
fn real_members((users, groups, members): &World) -> Vec<(u8, u8)> {
    let exists = |(group, member): &&(u8, u8)| {
        let is_member = match member.checked_sub(12) {
            Some(inner) => groups.contains(&inner) && inner != *group,
            None => users.iter().any(|(user, _)| user == member),
        };
        groups.contains(group) && is_member
    };
    members.iter().filter(exists).copied().collect()
}

fn member_id(member: u8) -> String {
    match member.checked_sub(12) {
        Some(group) => format!("g{group}"),
        None => format!("u{member}"),
    }
}

proptest! {
    #[test]
    fn plan_makes_the_store_equal_the_source(before in worlds(), after in worlds()) {
        let mut stored = Stored::default();
        for (user, name) in &before.0 {
            let (id, name) = (format!("u{user}"), format!("n{name}"));
            stored.add(known(i64::from(*user), Kind::Account, &id, &name));
        }
        for group in &before.1 {
            stored.add(known(100 + i64::from(*group), Kind::Group, &format!("g{group}"), "G"));
        }
        for (group, member) in real_members(&before) {
            let member = member.checked_sub(12).map_or(i64::from(member), |g| 100 + i64::from(g));
            stored.add_member(100 + i64::from(group), member);
        }
        let mut source = Source { listed: after.0.len(), ..Source::default() };
        let mut things = BTreeSet::new();
        for (user, name) in &after.0 {
            let (id, name) = (format!("u{user}"), format!("n{name}"));
            things.insert((Kind::Account, id.clone(), name.clone()));
            let same = stored.get(Kind::Account, &id).is_some_and(|known| known.name == name);
            let attributes = (!same).then(|| "{}".into());
            source.put(Record { attributes, ..record(Kind::Account, &id, &name) });
        }
        for group in &after.1 {
            let id = format!("g{group}");
            things.insert((Kind::Group, id.clone(), "G".to_owned()));
            let attributes = stored.get(Kind::Group, &id).is_none().then(|| "{}".into());
            source.put(Record { attributes, ..record(Kind::Group, &id, "G") });
        }
        for (group, member) in &after.2 {
            source.put_member(format!("g{group}"), member_id(*member));
        }
        let plan = plan(source, &stored, &rules());
        prop_assert_eq!(&plan.faults, &vec![]);
        let members = real_members(&after).into_iter();
        let members: BTreeSet<_> =
            members.map(|(group, member)| (format!("g{group}"), member_id(member))).collect();
        prop_assert_eq!(applied(&plan, &stored), (things, members));
    }
}

#[test]
fn read_that_proves_nothing_is_not_held() {
    let (mut stored, _) = both();
    ["h", "i"].iter().zip(4..).for_each(|(id, key)| stored.add(known(key, Kind::Group, id, id)));
    for is_faulty in [false, true] {
        let mut source = Source { listed: 1, ..Source::default() };
        source.put(Record { attributes: None, ..record(Kind::Account, "a", "ada") });
        if is_faulty {
            let (kind, place) = (Kind::Account, "b".to_owned());
            source.faults.push(Fault { kind, place, message: "it has no id.".to_owned() });
        }
        let plan = plan(source, &stored, &rules());
        let held = Guard::default().holds(&plan.toll);
        assert_eq!(held, (!is_faulty).then_some(Reason::GroupsEmpty));
        assert_eq!(plan.spared > 0, is_faulty);
    }
}

#[test]
fn read_of_which_no_account_can_be_used_is_useless() {
    let faulty = |kind| Fault { kind, place: "x".into(), message: "it has no id.".into() };
    let (stored, source) = both();
    assert!(!plan(source, &stored, &rules()).is_useless());
    let mut source = Source { listed: 2, unlisted_faults: 100, ..Source::default() };
    source.put(record(Kind::Group, "g", "Staff"));
    source.faults.push(faulty(Kind::Group));
    assert!(!plan(source.clone(), &stored, &rules()).is_useless(), "it lists nobody");
    source.faults.push(faulty(Kind::Account));
    let useless = plan(source.clone(), &stored, &rules());
    assert!(useless.is_useless());
    assert_eq!(useless.fault_count(), 2 + 99);
    source.delete(Kind::Account, "b".into());
    assert!(!plan(source, &stored, &rules()).is_useless(), "it says that somebody is gone");
}
