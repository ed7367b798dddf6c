//! Members of groups of the Directory API, and who is below a group through others. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::google_entry::text;
use crate::scim::Object;

/// What becomes of groups that are members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    /// They are members.
    Keep,
    /// They are, and whoever is below them is a member as well.
    Expand,
    /// Only whoever is below them is.
    Flatten,
}

impl Nested {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "expand" => Self::Expand,
            "flatten" => Self::Flatten,
            _ => Self::Keep,
        }
    }
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    User,
    Group,
    /// Somebody of another organization.
    External,
    /// Every user of the organization.
    Everyone,
    /// Nothing that this version knows.
    Other,
}

/// A member of type `USER` may be of another organization: then it is not among the users, who are all
/// listed.
pub(super) fn kind_of(member: &Object, users: &HashSet<String>) -> MemberKind {
    match text(member, "type") {
        "USER" if users.contains(text(member, "id")) => MemberKind::User,
        "USER" | "EXTERNAL" => MemberKind::External,
        "GROUP" => MemberKind::Group,
        "CUSTOMER" => MemberKind::Everyone,
        _ => MemberKind::Other,
    }
}

/// The id of a member; whoever is of another organization may have an address alone.
pub(super) fn id_of(member: &Object) -> &str {
    let names = ["id", "email"].into_iter().map(|name| text(member, name));
    names.into_iter().find(|id| !id.is_empty()).unwrap_or_default()
}

/// Direct members of a group, by ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Direct {
    pub(super) people: Vec<String>,
    pub(super) groups: Vec<String>,
}

/// Who is below a group through other groups; without its direct members. Groups may go round in a circle.
pub(super) fn below<'d>(group: &str, direct: &'d HashMap<String, Direct>) -> BTreeSet<&'d str> {
    let mut seen = HashSet::from([group]);
    let mut found = BTreeSet::new();
    let of = |group: &str| direct.get(group).map_or(&[][..], |direct| direct.groups.as_slice());
    let mut waiting: Vec<&str> = of(group).iter().map(String::as_str).collect();
    while let Some(inner) = waiting.pop() {
        if seen.insert(inner) {
            found.extend(direct.get(inner).into_iter().flat_map(|d| &d.people).map(String::as_str));
            waiting.extend(of(inner).iter().map(String::as_str));
        }
    }
    found
}

/// What tells whether a group has changed, as far as Google shows it.
pub(super) fn mark(group: &Object) -> String {
    let mut digest = Sha256::new();
    for name in ["etag", "directMembersCount"] {
        digest.update(text(group, name));
        digest.update([0]);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether an address is one that a pattern means; `*` stands for anything, letter case does not count.
pub(super) fn is_like(address: &str, pattern: &str) -> bool {
    let (address, pattern) = (address.to_lowercase(), pattern.to_lowercase());
    let Some((head, rest)) = pattern.split_once('*') else { return address == pattern };
    let Some(mut left) = address.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is as good as any: what is left is longest there.
        let Some((_, behind)) = left.split_once(part) else { return false };
        left = behind;
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn members_are_told_apart() {
        let users = HashSet::from(["1".to_owned()]);
        for (member, kind, id) in [
            (json!({"type": "USER", "id": "1"}), MemberKind::User, "1"),
            (json!({"type": "USER", "id": "9", "email": "x@y"}), MemberKind::External, "9"),
            (json!({"type": "USER", "email": "x@y"}), MemberKind::External, "x@y"),
            (json!({"type": "EXTERNAL", "email": "x@y"}), MemberKind::External, "x@y"),
            (json!({"type": "GROUP", "id": "g"}), MemberKind::Group, "g"),
            (json!({"type": "CUSTOMER", "id": "C1"}), MemberKind::Everyone, "C1"),
            (json!({"type": "ROBOT"}), MemberKind::Other, ""),
            (json!({}), MemberKind::Other, ""),
        ] {
            let member = object(member);
            assert_eq!((kind_of(&member, &users), id_of(&member)), (kind, id), "{member:?}");
        }
    }

    #[test]
    fn groups_in_circles_have_everybody_below_them() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let direct: HashMap<String, Direct> = [
            ("a", &["1"][..], &["b", "a"][..]),
            ("b", &["2"], &["c", "gone"]),
            ("c", &["3", "1"], &["a"]),
            ("d", &["4"], &[]),
        ]
        .into_iter()
        .map(|(group, people, groups)| {
            (group.to_owned(), Direct { people: texts(people), groups: texts(groups) })
        })
        .collect();
        for (group, expected) in [
            ("a", vec!["1", "2", "3"]),
            ("b", vec!["1", "3"]),
            ("c", vec!["1", "2"]),
            ("d", vec![]),
            ("e", vec![]),
        ] {
            let found: Vec<&str> = below(group, &direct).into_iter().collect();
            assert_eq!(found, expected, "{group}");
        }
    }

    #[test]
    fn marks_follow_the_etag_and_the_number_of_members() {
        let group = |etag: &str, count: &str| {
            mark(&object(json!({"etag": etag, "directMembersCount": count})))
        };
        assert_eq!(group("x", "1"), group("x", "1"));
        assert_ne!(group("x", "1"), group("y", "1"));
        assert_ne!(group("x", "1"), group("x", "2"));
        assert_ne!(group("x1", ""), group("x", "1"));
    }

    #[test]
    fn patterns_mean_addresses() {
        for (pattern, is_meant) in [
            ("Eng-core@example.com", true),
            ("eng-*@example.com", true),
            ("*", true),
            ("*@EXAMPLE.com", true),
            ("*core*", true),
            ("e*-*@*.com", true),
            ("eng-core@example.com*", true),
            ("eng-core*core@example.com", false),
            ("*.org", false),
            ("eng", false),
            ("", false),
        ] {
            assert_eq!(is_like("eng-core@example.com", pattern), is_meant, "{pattern}");
        }
    }
}
