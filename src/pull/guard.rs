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
    /// Active users who go, become inactive or lose a membership.
    pub users: usize,
    /// Users who go and are inactive already.
    pub inactive_users: usize,
    pub memberships: usize,
    pub role_groups: usize,
    pub active_users: usize,
    /// Active or not.
    pub all_users: usize,
    pub all_memberships: usize,
    /// What other runs have taken away within the hour before it.
    pub earlier: Earlier,
    /// The source lists nobody, and was not empty before.
    pub emptied: bool,
    /// The source lists no groups any more, of several.
    pub groups_emptied: bool,
}

/// What runs have taken away by themselves, without a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// Active users who have gone or become inactive.
    pub users: usize,
    pub memberships: usize,
    pub role_groups: usize,
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

    /// What holds a run that takes this away; `None` when it goes on. A source that shrinks a little with
    /// each run is held like one that shrinks at once: what earlier runs have taken counts, of what there was
    /// before them. A run that takes nothing is never held for what they took.
    pub fn holds(&self, toll: &Toll) -> Option<Reason> {
        let Self::At(limits) = self else { return None };
        if toll.emptied {
            return Some(Reason::SourceEmpty);
        }
        if toll.groups_emptied {
            return Some(Reason::GroupsEmpty);
        }
        let earlier = &toll.earlier;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let has_role = number(toll.role_groups + earlier.role_groups) >= limits.role_groups;
        let is_passed = |limit: &Limit, now: usize, earlier: usize, there: usize| {
            let (taken, before) = (number(now + earlier), number(there + earlier));
            now > 0 && (has_role || taken >= limit.at_least) && limit.is_passed_by(taken, before)
        };
        let going = toll.users + toll.inactive_users;
        if is_passed(&limits.users, toll.users, earlier.users, toll.active_users)
            || is_passed(&limits.users, going, 0, toll.all_users)
        {
            return Some(Reason::Users);
        }
        let (now, there) = (toll.memberships, toll.all_memberships);
        is_passed(&limits.memberships, now, earlier.memberships, there)
            .then_some(Reason::Memberships)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_are_held_by_number_or_by_share() {
        let guard = Guard::default();
        let users = |users, active_users| Toll {
            users,
            active_users,
            all_users: active_users,
            ..Toll::default()
        };
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
    fn what_runs_of_the_last_hour_have_taken_counts() {
        let guard = Guard::default();
        // So many of those who were there an hour ago; the others have gone since.
        let users = |users, earlier: usize, before: usize| Toll {
            users,
            active_users: before - earlier,
            all_users: before - earlier,
            earlier: Earlier { users: earlier, ..Earlier::default() },
            ..Toll::default()
        };
        let members = |memberships, earlier: usize, role_groups| Toll {
            memberships,
            all_memberships: 100 - earlier,
            earlier: Earlier { memberships: earlier, role_groups, users: 0 },
            ..Toll::default()
        };
        for (toll, held) in [
            (users(3, 0, 40), None),
            (users(3, 3, 40), Some(Reason::Users)),
            // Four of forty are a tenth, not more.
            (users(1, 3, 40), None),
            (users(2, 3, 40), Some(Reason::Users)),
            // Few are few.
            (users(1, 1, 3), None),
            (users(1, 20, 100_000), Some(Reason::Users)),
            (users(0, 20, 30), None),
            (members(5, 5, 0), None),
            (members(6, 5, 0), Some(Reason::Memberships)),
            (members(0, 50, 0), None),
            (members(2, 9, 1), Some(Reason::Memberships)),
        ] {
            assert_eq!(guard.holds(&toll), held, "{toll:?}");
        }
    }

    #[test]
    fn inactive_users_who_go_count_among_all() {
        let guard = Guard::default();
        let purge = |inactive_users, all_users| Toll {
            inactive_users,
            active_users: 10,
            all_users,
            ..Toll::default()
        };
        // Nobody of those who are active loses anything.
        assert_eq!(guard.holds(&purge(5, 50)), None);
        assert_eq!(guard.holds(&purge(6, 50)), Some(Reason::Users));
        assert_eq!(guard.holds(&purge(21, 5_000)), Some(Reason::Users));
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
