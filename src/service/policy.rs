//! Deprovisioning policies: what the app is to see of users who are inactive, deleted or in no group.
//!
//! Policies change what the app sees. For SCIM a DELETE is final and `active` is what the client says;
//! only `strip_groups_when_inactive` takes something away there as well. Pure decisions; what follows
//! from them in a unit is in [`super::lifecycle`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::brake::BrakeSettings;
use crate::event::Reason;
use crate::store::app_user::AppUser;
use crate::store::resource::{AppState, ResourceRow};

/// How the app sees an inactive user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "Value")]
pub enum InactiveUsers {
    /// With state inactive.
    #[default]
    Keep,
    /// As deleted, until the user is active again.
    Delete,
}

/// What the app sees of a user whom SCIM deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "Value")]
pub enum OnDelete {
    #[default]
    Remove,
    /// An inactive user in no group.
    Deactivate,
}

/// Whether a POST may bring an inactive user back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "Value")]
pub enum Revive {
    #[default]
    Never,
    SameExternalId,
}

/// A length of time, in milliseconds; written as a whole number of minutes, hours or days: `30m`,
/// `12h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "String")]
pub struct Span(i64);

const MINUTE_MS: i64 = 60 * 1_000;

/// Units of a [`Span`], the largest first.
const UNITS: [(char, i64); 3] =
    [('d', 24 * 60 * MINUTE_MS), ('h', 60 * MINUTE_MS), ('m', MINUTE_MS)];

/// Longest span, in milliseconds: ten years.
const MAX_SPAN_MS: i64 = 3_650 * 24 * 60 * MINUTE_MS;

impl Span {
    /// That many days.
    pub const fn days(days: i64) -> Self {
        Self(days * 24 * 60 * MINUTE_MS)
    }

    pub fn as_ms(self) -> i64 {
        self.0
    }
}

impl TryFrom<Value> for Span {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let parsed = value.as_str().and_then(|text| {
            let (unit, ms) = UNITS.iter().find(|(unit, _)| text.ends_with(*unit))?;
            let digits = text.strip_suffix(*unit)?;
            let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?;
            number.parse::<i64>().ok()?.checked_mul(*ms)
        });
        match parsed {
            Some(ms) if (MINUTE_MS..=MAX_SPAN_MS).contains(&ms) => Ok(Self(ms)),
            _ => Err(format!(
                "it is {value}; allowed is a whole number of minutes, hours or days, such as \
                 \"30m\", \"12h\" or \"30d\", from \"1m\" to \"3650d\", or null for none"
            )),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        let unit = UNITS.iter().find(|(_, ms)| span.0 % ms == 0);
        let (unit, ms) = unit.copied().unwrap_or(('m', MINUTE_MS));
        format!("{}{unit}", span.0 / ms)
    }
}

/// One of a few words; the error lists them.
fn word<T: Copy>(value: &Value, allowed: &[(&str, T)]) -> Result<T, String> {
    let found = allowed.iter().find(|(word, _)| value.as_str() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<String> = allowed.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        format!("it is {value}; allowed is {}", words.join(" or "))
    })
}

impl TryFrom<Value> for InactiveUsers {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        word(&value, &[("keep", Self::Keep), ("delete", Self::Delete)])
    }
}

impl TryFrom<Value> for OnDelete {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        word(&value, &[("remove", Self::Remove), ("deactivate", Self::Deactivate)])
    }
}

impl TryFrom<Value> for Revive {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        word(&value, &[("never", Self::Never), ("same_external_id", Self::SameExternalId)])
    }
}

/// The policies of a directory. Other settings are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    pub inactive_users: InactiveUsers,
    pub delete: OnDelete,
    pub grace_period: Option<Span>,
    pub strip_groups_when_inactive: bool,
    pub revive_on_create: Revive,
    pub suspend_when_groupless: Option<Span>,
    pub disable_group_sync: bool,
    pub brake: BrakeSettings,
}

/// Which departed users the app is to see no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepartedUntil {
    Nobody,
    /// Those who left at that time or before.
    At(i64),
}

/// What a change makes of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    pub state: AppState,
    /// The memberships end.
    pub strips: bool,
}

impl Fate {
    /// Whether the groups of the user have to be locked before the user.
    pub fn moves_memberships(self, told: AppState) -> bool {
        self.strips || told.is_visible() != self.state.is_visible()
    }
}

impl Policies {
    /// Reads stored settings.
    pub fn stored(settings: &str) -> Self {
        // Most directories have none, and every unit asks.
        if settings == "{}" {
            return Self::default();
        }
        serde_json::from_str(settings).unwrap_or_else(|error| {
            tracing::warn!(%error, "the policies of a directory are not understood");
            Self::default()
        })
    }

    /// Suspended counts as inactive, while users in no group are suspended.
    fn counts_active(&self, active: bool, suspended: bool) -> bool {
        active && !(suspended && self.suspend_when_groupless.is_some())
    }

    /// How the app sees a user.
    pub fn state(&self, active: bool, suspended: bool, excluded: bool) -> AppState {
        match (self.counts_active(active, suspended) && !excluded, self.inactive_users) {
            (true, _) => AppState::Active,
            (false, InactiveUsers::Keep) => AppState::Inactive,
            (false, InactiveUsers::Delete) => AppState::Hidden,
        }
    }

    /// What becomes of a user whose `active` is to be this. Who is excluded keeps the memberships: they are
    /// the identity provider's.
    pub fn fate(&self, row: &ResourceRow, active: bool, excluded: bool) -> Fate {
        let was = self.counts_active(row.active, row.suspended);
        let is = self.counts_active(active, row.suspended);
        Fate {
            state: self.state(active, row.suspended, excluded),
            strips: self.strip_groups_when_inactive && was && !is,
        }
    }

    /// Whether somebody who is in no group since then is suspended.
    pub fn suspends(&self, groupless_since: Option<i64>, now: i64) -> bool {
        match (self.suspend_when_groupless, groupless_since) {
            (Some(delay), Some(since)) => since.saturating_add(delay.as_ms()) <= now,
            _ => false,
        }
    }

    /// The user as the policies want it now.
    pub fn applied(&self, user: &AppUser, now: i64) -> AppUser {
        let groupless_since = self.suspend_when_groupless.and(user.groupless_since);
        let suspended = self.suspends(groupless_since, now);
        let app_state = self.state(user.active, suspended, user.excluded);
        AppUser { app_state, suspended, groupless_since, ..*user }
    }

    /// Whether the app keeps a user whom it saw and SCIM deletes. Who is inactive anyway and thereby
    /// deleted for the app is not kept.
    pub fn keeps_departed(&self) -> bool {
        self.inactive_users == InactiveUsers::Keep
            && (self.delete == OnDelete::Deactivate || self.grace_period.is_some())
    }

    /// Whose time is over.
    pub fn departed_until(&self, now: i64) -> DepartedUntil {
        match (self.keeps_departed(), self.grace_period) {
            (false, _) => DepartedUntil::At(i64::MAX),
            (true, Some(grace)) => DepartedUntil::At(now.saturating_sub(grace.as_ms())),
            (true, None) => DepartedUntil::Nobody,
        }
    }

    /// Whether what is stored has to be brought from the one to the other.
    pub fn differs_for_stored(&self, other: &Self) -> bool {
        let decisive =
            |p: &Self| (p.inactive_users, p.delete, p.grace_period, p.suspend_when_groupless);
        decisive(self) != decisive(other)
    }
}

/// The policies as a unit finds them.
#[derive(Clone, Copy, Debug)]
pub struct InForce {
    pub policies: Policies,
    /// They were changed, and not every user was brought to them yet.
    pub changing: bool,
}

impl InForce {
    /// From the settings of a directory and how far its users are brought to them.
    pub fn new(settings: &str, cursor: Option<i64>) -> Self {
        Self { policies: Policies::stored(settings), changing: cursor.is_some() }
    }

    /// Whether a change of a user can make memberships come or go for the app.
    pub fn may_move_memberships(&self) -> bool {
        let policies = &self.policies;
        self.changing
            || policies.strip_groups_when_inactive
            || policies.inactive_users == InactiveUsers::Delete
    }

    /// Whether somebody can be suspended, or be counted as in no group. While changed policies have not
    /// reached everybody, what the ones before have left is still there.
    pub fn may_lift(&self) -> bool {
        self.changing || self.policies.suspend_when_groupless.is_some()
    }

    /// Whether there can be somebody who has departed and is still seen.
    pub fn may_have_departed(&self) -> bool {
        self.changing || self.policies.keeps_departed()
    }
}

/// Why a user is inactive.
pub fn reason(row: &ResourceRow) -> Reason {
    match (row.active, row.excluded) {
        (false, _) => Reason::ScimActiveFalse,
        (true, true) => Reason::FilterExcluded,
        (true, false) => Reason::OutOfScope,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, ms, shown) in [
            ("1m", 60_000, "1m"),
            ("90m", 5_400_000, "90m"),
            ("60m", 3_600_000, "1h"),
            ("12h", 43_200_000, "12h"),
            ("24h", 86_400_000, "1d"),
            ("3650d", 315_360_000_000, "3650d"),
        ] {
            let span = Span::try_from(json!(text)).expect(text);
            assert_eq!((span.as_ms(), String::from(span).as_str()), (ms, shown));
        }
        for wrong in [
            json!("0d"),
            json!("3651d"),
            json!(""),
            json!("d"),
            json!("30"),
            json!("-1d"),
            json!("+1d"),
            json!("1.5h"),
            json!("P30D"),
            json!("30 d"),
            json!("30s"),
            json!("99999999999999999999d"),
            json!("9999999999999999d"),
            json!(30),
            json!(true),
        ] {
            let error = Span::try_from(wrong.clone()).expect_err("no span");
            assert!(error.starts_with(&format!("it is {wrong}; allowed is")), "{error}");
        }
    }

    #[test]
    fn state_follows_from_active_suspension_and_policy() {
        use AppState::{Active, Hidden, Inactive};
        let day = Span::try_from(json!("1d")).ok();
        for (active, suspended, on, keep, delete) in [
            (true, false, None, Active, Active),
            (true, false, day, Active, Active),
            (true, true, None, Active, Active),
            (true, true, day, Inactive, Hidden),
            (false, false, None, Inactive, Hidden),
            (false, true, day, Inactive, Hidden),
        ] {
            let policies = |inactive_users| Policies {
                inactive_users,
                suspend_when_groupless: on,
                ..Policies::default()
            };
            assert_eq!(policies(InactiveUsers::Keep).state(active, suspended, false), keep);
            assert_eq!(policies(InactiveUsers::Delete).state(active, suspended, false), delete);
            assert_eq!(policies(InactiveUsers::Keep).state(active, suspended, true), Inactive);
            assert_eq!(policies(InactiveUsers::Delete).state(active, suspended, true), Hidden);
        }
    }

    #[test]
    fn departed_users_are_kept_by_delete_and_grace_period() {
        let read = |settings: Value| Policies::stored(&settings.to_string());
        let now = 100 * 86_400_000;
        for (settings, keeps, until) in [
            (json!({}), false, DepartedUntil::At(i64::MAX)),
            (json!({"delete": "deactivate"}), true, DepartedUntil::Nobody),
            (json!({"grace_period": "1d"}), true, DepartedUntil::At(99 * 86_400_000)),
            (
                json!({"delete": "deactivate", "grace_period": "2d"}),
                true,
                DepartedUntil::At(98 * 86_400_000),
            ),
            (
                json!({"delete": "deactivate", "inactive_users": "delete"}),
                false,
                DepartedUntil::At(i64::MAX),
            ),
        ] {
            let policies = read(settings);
            assert_eq!((policies.keeps_departed(), policies.departed_until(now)), (keeps, until));
        }
    }
}
