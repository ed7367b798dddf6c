//! Groups of a directory and who is in them: names of entries, names of log-ins, searches. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use url::Url;

use crate::pull::ldap::{Entry, Scope, Search};

/// Attributes that are asked for of a group, beside that of its id.
pub(super) const ATTRIBUTES: [&str; 11] = [
    "objectClass",
    "cn",
    "description",
    "member",
    "uniqueMember",
    "memberUid",
    "memberURL",
    "modifyTimestamp",
    "entryUUID",
    "nsUniqueId",
    "ipaUniqueID",
];

/// Who is in a group, as the group says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Member {
    /// By the source's id.
    Known(Arc<str>),
    /// By the name of the entry.
    Named(Box<str>),
    /// By `uid` (RFC 2307).
    Uid(Box<str>),
}

/// A group that was read.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) members: Vec<Member>,
    /// Searches whose entries are members (`groupOfURLs`).
    pub(super) urls: Vec<String>,
}

impl Member {
    /// The text that it keeps for itself, in bytes; an id is kept once for all.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Known(_) => 0,
            Self::Named(name) | Self::Uid(name) => name.len(),
        }
    }
}

impl Group {
    pub(super) fn of(id: String, entry: &Entry) -> Self {
        let named = entry.texts("member").map(|dn| Member::Named(dn.into()));
        let unique = entry.texts("uniqueMember").map(|dn| Member::Named(without_uid(dn).into()));
        let uids = entry.texts("memberUid").map(|uid| Member::Uid(uid.into()));
        let urls = entry.texts("memberURL").map(str::to_owned).collect();
        Self { id, members: named.chain(unique).chain(uids).collect(), urls }
    }
}

/// A name with an optional unique id is a name, `#` and bits (RFC 4517 §3.3.21).
fn without_uid(value: &str) -> &str {
    match value.rsplit_once('#') {
        Some((dn, bits)) if bits.starts_with('\'') && bits.ends_with("'B") => dn,
        _ => value,
    }
}

/// A filter for the entries with that `uid` (RFC 4515 §3).
pub(super) fn of_uid(filter: &str, uid: &str) -> String {
    let escaped: String = uid.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    both(filter, &format!("(uid={escaped})"))
}

/// A filter for what meets both. A single comparison may come without parentheses.
pub(super) fn both(filter: &str, other: &str) -> String {
    match filter.starts_with('(') {
        true => format!("(&{filter}{other})"),
        false => format!("(&({filter}){other})"),
    }
}

/// Whether a filter, or the name of an attribute, asks in which groups an entry is (`memberOf`, `isMemberOf`): it
/// changes with the groups, and the entry itself does not.
pub(super) fn asks_for_groups(text: &str) -> bool {
    text.to_ascii_lowercase().contains("memberof")
}

/// The search of a URL (RFC 4516 §2), on the server that is read; a sentence where it is none.
pub(super) fn search_of(url: &str, attributes: &[&str]) -> Result<Search, String> {
    let wrong = || format!("its memberURL \"{url}\" is no search of this server.");
    let parsed = Url::parse(url).map_err(|_| wrong())?;
    if !matches!(parsed.scheme(), "ldap" | "ldaps") {
        return Err(wrong());
    }
    let decoded = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|_| wrong())
    };
    let base = decoded(parsed.path().trim_start_matches('/'))?;
    let mut parts = parsed.query().unwrap_or_default().split('?').skip(1);
    let scope = match parts.next().unwrap_or_default() {
        "" | "base" => Scope::Base,
        "one" => Scope::One,
        "sub" => Scope::Subtree,
        _ => return Err(wrong()),
    };
    let filter = decoded(parts.next().unwrap_or_default())?;
    let filter = if filter.is_empty() { "(objectClass=*)" } else { &filter };
    Ok(Search::new(&base, scope, filter, attributes))
}

/// Everybody in a group and in the groups within it, by the members of each group. Who is no group is
/// everybody else; groups may go round.
pub(super) fn expanded<'g>(
    group: &'g str,
    groups: &'g HashMap<String, Vec<String>>,
) -> BTreeSet<&'g str> {
    let (mut all, mut seen, mut waiting) = (BTreeSet::new(), HashSet::new(), vec![group]);
    while let Some(group) = waiting.pop() {
        if !seen.insert(group) {
            continue;
        }
        for member in groups.get(group).into_iter().flatten() {
            match groups.contains_key(member) {
                true => waiting.push(member),
                false => {
                    all.insert(member.as_str());
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::ldap::entry::tests::entry;

    #[test]
    fn members_are_names_and_log_ins() {
        let group = entry(
            "cn=g,dc=x",
            &[
                ("member", &[b"uid=a,dc=x"]),
                ("uniqueMember", &[b"uid=b,dc=x#'0101'B", b"cn=c#1,dc=x"]),
                ("memberUid", &[b"d"]),
            ],
        );
        let group = Group::of("g".into(), &group);
        let named = |dn: &str| Member::Named(dn.into());
        let expected = [
            named("uid=a,dc=x"),
            named("uid=b,dc=x"),
            named("cn=c#1,dc=x"),
            Member::Uid("d".into()),
        ];
        assert_eq!(group.members, expected);
    }

    #[test]
    fn groups_are_asked_for_by_several_names() {
        let filter = "(&(objectClass=person)(!(isMemberOf=cn=a,dc=x)))";
        assert!(["memberOf", "memberof", filter].into_iter().all(asks_for_groups));
        assert!(!["member", "(&(objectClass=person)(ou=a))"].into_iter().any(asks_for_groups));
    }

    #[test]
    fn urls_are_searches() {
        let search = search_of("ldap:///ou=People,dc=x??one?(employeeType=contractor)", &["cn"]);
        let search = search.expect("a search");
        assert_eq!((search.base.as_str(), search.scope), ("ou=People,dc=x", Scope::One));
        assert_eq!(search.filter, "(employeeType=contractor)");
        let search = search_of("ldap:///ou=A%20B,dc=x", &[]).expect("a search");
        assert_eq!((search.base.as_str(), search.scope), ("ou=A B,dc=x", Scope::Base));
        for wrong in ["people", "https://x/dc=x??sub", "ldap:///dc=x??all?(a=b)"] {
            assert!(search_of(wrong, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn groups_within_groups_go_round_and_name_themselves() {
        let groups: HashMap<String, Vec<String>> = [
            ("top", vec!["mid", "ada"]),
            ("mid", vec!["x", "bob"]),
            ("x", vec!["y", "eve"]),
            ("y", vec!["x", "y", "ada"]),
            ("none", vec![]),
        ]
        .into_iter()
        .map(|(group, members)| (group.into(), members.into_iter().map(str::to_owned).collect()))
        .collect();
        let all = |group: &str| expanded(group, &groups).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(all("top"), "ada bob eve");
        assert_eq!(all("y"), "ada eve");
        assert_eq!(all("none"), "");
    }
}
