//! What several events about one thing come to: none, or one that tells the difference.

use serde_json::Value;

use crate::event::{name, previous_attributes, stable};
use crate::store::brake::HeldRow;

/// Where an event stands among those of an undo: memberships end before their users and groups do, which
/// come before new memberships.
pub(super) mod rank {
    pub(in crate::service::brake) const MEMBER_LEFT: i32 = 1;
    pub(in crate::service::brake) const USER_GONE: i32 = 2;
    pub(in crate::service::brake) const GROUP_GONE: i32 = 3;
    pub(in crate::service::brake) const GROUP: i32 = 4;
    pub(in crate::service::brake) const USER: i32 = 5;
    pub(in crate::service::brake) const MEMBER_CAME: i32 = 6;
    /// What is about neither: tokens.
    pub(in crate::service::brake) const OTHER: i32 = 7;
}

/// What is left of the events about one subject.
#[derive(Debug)]
pub(super) enum Folded {
    /// The app knows already what there is.
    Nothing,
    /// All of them, in their order.
    All,
    One(Box<HeldRow>, i32),
}

fn is_about(event: &str, names: &[&str]) -> bool {
    names.contains(&event)
}

const USERS: [&str; 3] = [name::USER_CREATED, name::USER_UPDATED, name::USER_DELETED];
const GROUPS: [&str; 3] = [name::GROUP_CREATED, name::GROUP_UPDATED, name::GROUP_DELETED];
const MEMBERS: [&str; 2] = [name::GROUP_USER_ADDED, name::GROUP_USER_REMOVED];

/// Folds the events about one subject, which stand in their order.
pub(super) fn fold(rows: &[HeldRow]) -> Folded {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Folded::Nothing };
    if is_about(&last.event, &MEMBERS) {
        return member(first, last);
    }
    if is_about(&last.event, &USERS) {
        return resource(first, last, USERS, [rank::USER, rank::USER_GONE]);
    }
    if is_about(&last.event, &GROUPS) {
        return resource(first, last, GROUPS, [rank::GROUP, rank::GROUP_GONE]);
    }
    Folded::All
}

/// `words` are created, updated and deleted; `ranks` those of what is there and what is gone.
fn resource(first: &HeldRow, last: &HeldRow, words: [&str; 3], ranks: [i32; 2]) -> Folded {
    let [created, updated, deleted] = words;
    let [here, gone] = ranks;
    let before = first.before.as_deref().map(parsed);
    if last.event == deleted {
        return match before {
            Some(_) => {
                let row = HeldRow { before: first.before.clone(), ..last.clone() };
                Folded::One(Box::new(row), gone)
            }
            None => Folded::Nothing,
        };
    }
    let mut now = parsed(&last.data);
    if let Some(members) = now.as_object_mut() {
        members.shift_remove("previous_attributes");
    }
    let Some(before) = before else {
        let row = HeldRow {
            event: created.to_owned(),
            data: now.to_string(),
            reason: None,
            before: None,
            ..last.clone()
        };
        return Folded::One(Box::new(row), here);
    };
    let Some(mut previous) = previous_attributes(&before, &now) else { return Folded::Nothing };
    stable::stabilise(&mut previous);
    let ends = previous.get("state").is_some()
        && now.get("state").and_then(Value::as_str) == Some("inactive");
    let reason = last.reason.clone().filter(|_| ends);
    if let Some(members) = now.as_object_mut() {
        members.insert("previous_attributes".to_owned(), previous);
    }
    let row = HeldRow {
        event: updated.to_owned(),
        data: now.to_string(),
        before: first.before.clone(),
        reason,
        ..last.clone()
    };
    Folded::One(Box::new(row), here)
}

/// Stored JSON; what is stored was made by this program.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn member(first: &HeldRow, last: &HeldRow) -> Folded {
    let was = first.event == name::GROUP_USER_REMOVED;
    let is = last.event == name::GROUP_USER_ADDED;
    let rank = if is { rank::MEMBER_CAME } else { rank::MEMBER_LEFT };
    match was == is {
        true => Folded::Nothing,
        false => Folded::One(Box::new(last.clone()), rank),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn row(key: i64, event: &str, before: Option<Value>, data: &Value) -> HeldRow {
        HeldRow {
            key,
            event: event.to_owned(),
            resource_id: "directory_user_1".to_owned(),
            member_id: String::new(),
            before: before.map(|before| before.to_string()),
            data: data.to_string(),
            reason: None,
        }
    }

    fn user(state: &str, title: &str) -> Value {
        json!({"id": "directory_user_1", "state": state, "job_title": title, "updated_at": "t"})
    }

    fn one(folded: Folded) -> (String, Value) {
        let Folded::One(row, _) = folded else { panic!("one event, not {folded:?}") };
        (row.event, serde_json::from_str(&row.data).expect("JSON"))
    }

    #[test]
    fn what_comes_back_as_it_was_is_not_told() {
        let (on, off) = (user("active", "a"), user("inactive", "a"));
        let rows = [
            row(1, name::USER_UPDATED, Some(on.clone()), &off),
            row(2, name::USER_UPDATED, Some(off.clone()), &on),
        ];
        assert!(matches!(fold(&rows), Folded::Nothing));
        let rows = [
            row(1, name::USER_DELETED, Some(on.clone()), &on),
            row(2, name::USER_CREATED, None, &on),
        ];
        assert!(matches!(fold(&rows), Folded::Nothing));
        let rows =
            [row(1, name::USER_CREATED, None, &on), row(2, name::USER_DELETED, Some(on), &off)];
        assert!(matches!(fold(&rows), Folded::Nothing));
    }

    #[test]
    fn what_else_has_changed_is_told_from_what_was_told_last() {
        let (on, off, new) = (user("active", "a"), user("inactive", "a"), user("active", "b"));
        let rows = [
            row(1, name::USER_UPDATED, Some(on), &off),
            row(2, name::USER_UPDATED, Some(off), &new),
        ];
        let (event, data) = one(fold(&rows));
        assert_eq!(event, name::USER_UPDATED);
        assert_eq!(data["previous_attributes"], json!({"job_title": "a"}));
        let rows = [
            row(1, name::USER_CREATED, None, &user("active", "a")),
            row(2, name::USER_UPDATED, Some(user("active", "a")), &new),
        ];
        let (event, data) = one(fold(&rows));
        assert_eq!((event.as_str(), data.get("previous_attributes")), (name::USER_CREATED, None));
    }

    #[test]
    fn memberships_count_by_first_and_last() {
        let data = json!({});
        let (came, left) = (name::GROUP_USER_ADDED, name::GROUP_USER_REMOVED);
        for (events, expected) in [
            (vec![left], Some(left)),
            (vec![came], Some(came)),
            (vec![left, came], None),
            (vec![came, left], None),
            (vec![left, came, left], Some(left)),
        ] {
            let rows: Vec<HeldRow> =
                events.iter().map(|event| row(1, event, None, &data)).collect();
            let found = match fold(&rows) {
                Folded::Nothing => None,
                Folded::One(row, _) => Some(row.event),
                Folded::All => panic!("a membership"),
            };
            assert_eq!(found.as_deref(), expected, "{events:?}");
        }
    }

    #[test]
    fn other_events_stay() {
        assert!(matches!(fold(&[row(1, name::TOKEN_CREATED, None, &json!({}))]), Folded::All));
    }

    /// One user as the app knows it.
    fn apply(known: &mut BTreeMap<String, Value>, event: &str, data: &Value) {
        let mut data = data.clone();
        if let Some(members) = data.as_object_mut() {
            members.shift_remove("previous_attributes");
        }
        match event {
            name::USER_DELETED => drop(known.remove("directory_user_1")),
            _ => drop(known.insert("directory_user_1".to_owned(), data)),
        }
    }

    proptest! {
        /// Whoever is told the fold knows what it would know from all events.
        #[test]
        fn fold_leads_to_the_same_state(
            starts in any::<bool>(),
            steps in prop::collection::vec(0_usize..5, 1..12),
        ) {
            let start = starts.then(|| user("active", "a"));
            let (mut now, mut rows) = (start.clone(), Vec::new());
            for (key, step) in (1..).zip(steps) {
                let next = [user("active", "a"), user("inactive", "a"), user("active", "b"),
                    user("inactive", "b")].get(step).cloned();
                let event = match (&now, &next) {
                    (None, None) => continue,
                    (None, Some(_)) => name::USER_CREATED,
                    (Some(_), None) => name::USER_DELETED,
                    (Some(old), Some(new)) if old == new => continue,
                    (Some(_), Some(_)) => name::USER_UPDATED,
                };
                let data = next.clone().or(now.clone()).expect("one of them");
                rows.push(row(key, event, now.clone(), &data));
                now = next;
            }
            let mut known = BTreeMap::new();
            known.extend(start.map(|start| ("directory_user_1".to_owned(), start)));
            if let Folded::One(row, _) = fold(&rows) {
                let data: Value = serde_json::from_str(&row.data).expect("JSON");
                apply(&mut known, &row.event, &data);
            }
            prop_assert_eq!(known.remove("directory_user_1"), now);
        }
    }
}
