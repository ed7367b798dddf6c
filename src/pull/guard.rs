//! Whether a run takes too much away at once. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::{Limit, Limits};

/// The setting `guard` of a directory: limits, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Guard {
    Off,
    At(Limits),
}

impl Default for Guard {
    fn default() -> Self {
        Self::At(Limits::default())
    }
}

impl TryFrom<Value> for Guard {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if value.as_str() == Some("off") {
            return Ok(Self::Off);
        }
        if !value.is_object() {
            return Err(format!(
                "it is {value}; allowed is \"off\" or an object with \"users\", \"memberships\" and \
                 \"role_groups\""
            ));
        }
        let limits: Limits = serde_json::from_value(value).map_err(|error| error.to_string())?;
        limits.check()?;
        Ok(Self::At(limits))
    }
}

impl From<Guard> for Value {
    fn from(guard: Guard) -> Self {
        match guard {
            Guard::Off => "off".into(),
            Guard::At(limits) => serde_json::to_value(limits).unwrap_or_default(),
        }
    }
}

/// What a run takes away, and what was there before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// Users who go, become inactive or lose a membership.
    pub users: usize,
    pub memberships: usize,
    pub role_groups: usize,
    pub active_users: usize,
    pub all_memberships: usize,
    /// The source lists nobody, and was not empty before.
    pub emptied: bool,
    /// The source lists no groups any more, of several.
    pub groups_emptied: bool,
}

/// Why a run is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    SourceEmpty,
    GroupsEmpty,
    Users,
    Memberships,
}

impl Guard {
    /// Whether so many of the active users are more than may lose something at once.
    pub fn is_too_much(&self, users: usize, active_users: usize) -> bool {
        let Self::At(limits) = self else { return false };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (users, active_users) = (number(users), number(active_users));
        users >= limits.users.at_least && limits.users.is_passed_by(users, active_users)
    }

    /// What holds a run that takes this away; `None` when it goes on.
    pub fn holds(&self, toll: &Toll) -> Option<Reason> {
        let Self::At(limits) = self else { return None };
        if toll.emptied {
            return Some(Reason::SourceEmpty);
        }
        if toll.groups_emptied {
            return Some(Reason::GroupsEmpty);
        }
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let has_role = number(toll.role_groups) >= limits.role_groups;
        let is_passed = |limit: &Limit, taken: usize, before: usize| {
            let (taken, before) = (number(taken), number(before));
            (has_role || taken >= limit.at_least) && limit.is_passed_by(taken, before)
        };
        if is_passed(&limits.users, toll.users, toll.active_users) {
            return Some(Reason::Users);
        }
        let memberships = (toll.memberships, toll.all_memberships);
        is_passed(&limits.memberships, memberships.0, memberships.1).then_some(Reason::Memberships)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_are_held_by_number_or_by_share() {
        let guard = Guard::default();
        let users = |users, active_users| Toll { users, active_users, ..Toll::default() };
        let members = |memberships, all_memberships, role_groups| Toll {
            memberships,
            all_memberships,
            role_groups,
            ..Toll::default()
        };
        for (toll, held) in [
            (Toll::default(), None),
            // Two of three are few.
            (users(2, 3), None),
            (users(3, 30), None),
            (users(3, 29), Some(Reason::Users)),
            (users(20, 1_000), None),
            (users(21, 100_000), Some(Reason::Users)),
            (members(9, 9, 0), None),
            (members(10, 100, 0), None),
            (members(10, 99, 0), Some(Reason::Memberships)),
            (members(21, 1_000, 0), Some(Reason::Memberships)),
            // A group that gives a role makes few enough.
            (members(2, 19, 1), Some(Reason::Memberships)),
            (members(2, 21, 1), None),
            (Toll { emptied: true, ..users(1, 1) }, Some(Reason::SourceEmpty)),
            (Toll { groups_emptied: true, ..users(0, 1) }, Some(Reason::GroupsEmpty)),
        ] {
            assert_eq!(guard.holds(&toll), held, "{toll:?}");
            assert_eq!(Guard::Off.holds(&toll), None);
        }
    }

    #[test]
    fn setting_is_read_and_written() {
        let guard = |value: Value| serde_json::from_value::<Guard>(value);
        assert_eq!(guard(json!("off")).expect("off"), Guard::Off);
        assert_eq!(guard(json!({})).expect("limits"), Guard::default());
        let few = json!({"users": {"at_least": 1, "more_than": 5, "percent": 50}});
        let Guard::At(limits) = guard(few).expect("limits") else { panic!("limits") };
        assert_eq!(limits.users.more_than, 5);
        assert_eq!(limits.memberships, Limits::default().memberships);
        for guard in [Guard::Off, Guard::At(limits)] {
            let written = serde_json::to_value(guard).expect("JSON");
            assert_eq!(serde_json::from_value::<Guard>(written).expect("readable"), guard);
        }
        for (value, message) in [
            (json!("on"), "\"off\" or an object"),
            (
                json!({"users": {"at_least": 0, "more_than": 5, "percent": 50}}),
                "users.at_least is 0",
            ),
            (json!({"people": 1}), "people"),
        ] {
            let error = guard(value).expect_err("refused").to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
