//! How much is too much to be taken away at once. Pure. One table for the guard of directories that are
//! read and for the brake of those that are pushed.

use serde::{Deserialize, Serialize};

/// How many of a kind are too many: at least `at_least`, and either more than `more_than` or more than
/// `percent` of those that were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    pub at_least: i64,
    pub more_than: i64,
    pub percent: i64,
}

impl Limit {
    /// Whether `taken` of `before` is too much, leaving `at_least` aside.
    pub fn is_passed_by(&self, taken: i64, before: i64) -> bool {
        taken > self.more_than || taken.saturating_mul(100) > before.saturating_mul(self.percent)
    }
}

/// The limits of a directory. What is left out of their JSON has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Limits {
    /// Users that are deactivated or deleted, by the guard also those taken out of a group; `percent` is of the
    /// active ones.
    pub users: Limit,
    /// Memberships that end, without those of users who go.
    pub memberships: Limit,
    /// So many groups that give a role and go make few enough.
    pub role_groups: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            users: Limit { at_least: 3, more_than: 20, percent: 10 },
            memberships: Limit { at_least: 10, more_than: 20, percent: 10 },
            role_groups: 1,
        }
    }
}

impl Limits {
    /// What is out of its range: its name, what it is and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: i64, from: i64, to: i64| match (from..=to).contains(&value)
        {
            true => Ok(()),
            false => Err(format!("{name} is {value}; allowed is {from} to {to}")),
        };
        for (name, limit) in [("users", &self.users), ("memberships", &self.memberships)] {
            within(&format!("{name}.at_least"), limit.at_least, 1, 1_000_000)?;
            within(&format!("{name}.more_than"), limit.more_than, 0, 1_000_000)?;
            within(&format!("{name}.percent"), limit.percent, 1, 100)?;
        }
        within("role_groups", self.role_groups, 1, 1_000_000)
    }
}

/// Limits as they are written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    users: WrittenLimit,
    memberships: WrittenLimit,
    role_groups: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenLimit {
    at_least: Option<i64>,
    more_than: Option<i64>,
    percent: Option<i64>,
}

impl WrittenLimit {
    fn or(self, default: Limit) -> Limit {
        Limit {
            at_least: self.at_least.unwrap_or(default.at_least),
            more_than: self.more_than.unwrap_or(default.more_than),
            percent: self.percent.unwrap_or(default.percent),
        }
    }
}

impl From<Written> for Limits {
    fn from(written: Written) -> Self {
        let default = Self::default();
        Self {
            users: written.users.or(default.users),
            memberships: written.memberships.or(default.memberships),
            role_groups: written.role_groups.unwrap_or(default.role_groups),
        }
    }
}
