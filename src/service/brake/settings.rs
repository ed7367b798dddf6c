//! What a directory's brake does, and from when on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::pull::limits::{Limit, Limits};
use crate::store::brake::Taken;

/// What happens when a directory takes away more than its limits within an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrakeMode {
    /// Nothing; nothing is counted either.
    Off,
    /// An alarm is raised.
    #[default]
    Alarm,
    /// The same, and events of the directory wait until somebody decides.
    Hold,
}

/// Most memberships that are counted for a share of them. A directory with more goes by the number alone.
const MAX_COUNTED: i64 = 20_000;

impl Limits {
    /// Whether more users were taken away than the limits let; `active` is how many are left.
    pub fn pass_users(&self, taken: Taken, active: i64) -> bool {
        taken.users >= self.users.at_least
            && self.users.is_passed_by(taken.users, active.saturating_add(taken.users))
    }

    /// How many memberships have to be counted to know whether too many ended: none when the number that
    /// ended decides alone.
    pub fn memberships_to_count(&self, taken: Taken) -> Option<i64> {
        let limit = &self.memberships;
        let is_enough =
            taken.memberships >= limit.at_least || taken.role_groups >= self.role_groups;
        if !is_enough || taken.memberships > limit.more_than || limit.percent <= 0 {
            return None;
        }
        let whole = taken.memberships.saturating_mul(100) / limit.percent;
        Some(whole.saturating_add(1)).filter(|count| *count <= MAX_COUNTED)
    }

    /// Whether more memberships ended than the limits let; `left` is how many there are, as far as they
    /// were counted.
    pub fn pass_memberships(&self, taken: Taken, left: Option<i64>) -> bool {
        let limit = &self.memberships;
        let is_enough =
            taken.memberships >= limit.at_least || taken.role_groups >= self.role_groups;
        let before = left.map_or(i64::MAX, |left| left.saturating_add(taken.memberships));
        is_enough && limit.is_passed_by(taken.memberships, before)
    }
}

/// The setting `brake` of a directory: a mode, or an object with `mode` and `limits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct BrakeSettings {
    pub mode: BrakeMode,
    pub limits: Limits,
}

impl TryFrom<Value> for BrakeSettings {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Written {
            mode: BrakeMode,
            limits: Limits,
        }
        if value.is_string() {
            let mode = serde_json::from_value(value.clone())
                .map_err(|_| format!("it is {value}; allowed is \"off\", \"alarm\" or \"hold\""))?;
            return Ok(Self { mode, limits: Limits::default() });
        }
        if !value.is_object() {
            return Err(format!(
                "it is {value}; allowed is \"off\", \"alarm\", \"hold\", or an object with \"mode\" \
                 and \"limits\""
            ));
        }
        let written: Written = serde_json::from_value(value).map_err(|error| error.to_string())?;
        written.limits.check().map_err(|message| format!("limits.{message}"))?;
        Ok(Self { mode: written.mode, limits: written.limits })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn users(users: i64) -> Taken {
        Taken { users, ..Taken::default() }
    }

    fn memberships(memberships: i64, role_groups: i64) -> Taken {
        Taken { memberships, role_groups, ..Taken::default() }
    }

    #[test]
    fn users_pass_by_number_or_by_share() {
        let limits = Limits::default();
        for (taken, left, passes) in [
            // Two of three are few.
            (2, 1, false),
            // Three of thirty are a tenth, not more.
            (3, 27, false),
            (3, 26, true),
            (4, 26, true),
            (20, 980, false),
            (21, 100_000, true),
            (3, 0, true),
        ] {
            assert_eq!(limits.pass_users(users(taken), left), passes, "{taken} with {left} left");
        }
    }

    #[test]
    fn memberships_pass_by_number_or_by_share() {
        let limits = Limits::default();
        for (taken, groups, left, passes) in [
            (9, 0, 0, false),
            (10, 0, 90, false),
            (10, 0, 89, true),
            (20, 0, 500, false),
            (21, 0, 500, true),
            // A group that gives a role makes few memberships enough.
            (2, 1, 18, false),
            (3, 1, 18, true),
            (0, 1, 0, false),
        ] {
            let taken = memberships(taken, groups);
            let counted = limits.memberships_to_count(taken).map(|most| most.min(left));
            assert_eq!(limits.pass_memberships(taken, counted), passes, "{taken:?}, {left} left");
        }
    }

    #[test]
    fn only_what_decides_is_counted() {
        let limits = Limits::default();
        assert_eq!(limits.memberships_to_count(memberships(9, 0)), None);
        assert_eq!(limits.memberships_to_count(memberships(12, 0)), Some(121));
        assert_eq!(limits.memberships_to_count(memberships(21, 0)), None);
    }

    #[test]
    fn settings_are_read_and_refused() {
        let read = |value: Value| BrakeSettings::try_from(value);
        assert_eq!(read(json!("hold")).expect("a mode").mode, BrakeMode::Hold);
        let limits = json!({"mode": "hold", "limits": {"users":
            {"more_than": 5, "percent": 50}}});
        let settings = read(limits).expect("settings");
        assert_eq!(settings.limits.users, Limit { at_least: 3, more_than: 5, percent: 50 });
        assert_eq!(settings.limits.memberships, Limits::default().memberships);
        for (wrong, part) in [
            (json!("on"), "\"off\", \"alarm\" or \"hold\""),
            (json!(true), "\"mode\" and \"limits\""),
            (json!({"mode": "hold", "limit": 3}), "limit"),
            (
                json!({"limits": {"users": {"at_least": 0, "more_than": 5, "percent": 50}}}),
                "limits.users.at_least is 0; allowed is 1 to 1000000",
            ),
            (
                json!({"limits": {"users": {"at_least": 1, "more_than": 5, "percent": 101}}}),
                "limits.users.percent is 101; allowed is 1 to 100",
            ),
        ] {
            let error = read(wrong.clone()).expect_err("refused");
            assert!(error.contains(part), "{wrong}: {error}");
        }
        let text = serde_json::to_value(BrakeSettings::default()).expect("JSON");
        assert_eq!(read(text).expect("its own form"), BrakeSettings::default());
    }
}
