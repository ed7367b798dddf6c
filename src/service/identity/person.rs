//! What an identity is, by its accounts and the primary directory. Pure.

use serde_json::{Map, Value, json};

use super::facts::PROFILE;
use crate::scim::key::instant_text;
use crate::store::identity::{IdentityRow, IdentityState};
use crate::store::identity_account::AccountRow;

/// An identity and its accounts, in the order in which the users were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) row: IdentityRow,
    pub(super) accounts: Vec<AccountRow>,
    /// Directories in which it had accounts that are gone.
    pub(super) past: Vec<i64>,
}

impl Person {
    /// The state and the profile that follow from the accounts.
    ///
    /// With a primary directory an account in it gives both; who had one and has none any more is
    /// inactive. Everybody else, and everybody where there is no primary directory, is active while an
    /// account is, and has no profile.
    pub(super) fn derive(&mut self, primary: Option<i64>) {
        let in_primary = |account: &&AccountRow| Some(account.directory_key) == primary;
        let rooting: Vec<&AccountRow> = self.accounts.iter().filter(in_primary).collect();
        // Who has several there is active while one of them is.
        let root = rooting.iter().find(|account| account.active).or_else(|| rooting.first());
        let profile = root.map_or_else(|| "{}".to_owned(), |account| account.profile.clone());
        let had = |primary: i64| root.is_some() || self.past.contains(&primary);
        let rooted = primary.is_some_and(had);
        let active = match rooted {
            true => root.is_some_and(|account| account.active),
            false => self.accounts.iter().any(|account| account.active),
        };
        self.row.profile = profile;
        self.row.state = match (self.row.merged_into, self.accounts.is_empty(), active) {
            (Some(_), _, _) => IdentityState::Merged,
            (None, true, _) => IdentityState::Ended,
            (None, false, true) => IdentityState::Active,
            (None, false, false) => IdentityState::Inactive,
        };
        let orphaned = self.row.state == IdentityState::Inactive;
        for account in &mut self.accounts {
            account.orphaned = orphaned && account.active;
        }
    }

    /// The `identity` object of the management API and of events.
    pub(super) fn view(&self, organization_id: &str) -> Value {
        let profile: Map<String, Value> =
            serde_json::from_str(&self.row.profile).unwrap_or_default();
        let accounts = self.accounts.iter().map(|account| {
            json!({
                "directory_id": account.directory_id,
                "user_id": account.user_id,
                "email": account.email,
                "state": if account.active { "active" } else { "inactive" },
                "linked_by": account.linked_by,
            })
        });
        let mut view = json!({
            "object": "identity",
            "id": self.row.id,
            "organization_id": organization_id,
            "state": self.row.state.as_str(),
            "accounts": accounts.collect::<Vec<Value>>(),
            "created_at": instant_text(self.row.created),
            "updated_at": instant_text(self.row.modified),
        });
        if let Some(object) = view.as_object_mut() {
            for name in PROFILE {
                object.insert(name.to_owned(), profile.get(name).cloned().unwrap_or_default());
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(directory_key: i64, active: bool) -> AccountRow {
        AccountRow {
            directory_key,
            directory_id: format!("directory_{directory_key}"),
            user_id: format!("directory_user_{directory_key}"),
            identity_key: 1,
            active,
            orphaned: false,
            email: None,
            email_key: None,
            name_key: None,
            profile: json!({"title": format!("of {directory_key}")}).to_string(),
            linked_by: "first".to_owned(),
            departed: false,
            linked: 0,
        }
    }

    fn person(past: Option<i64>, accounts: &[AccountRow]) -> Person {
        Person {
            row: IdentityRow {
                key: 1,
                id: "identity_1".to_owned(),
                state: IdentityState::Active,
                profile: "{}".to_owned(),
                merged_into: None,
                created: 0,
                modified: 0,
            },
            accounts: accounts.to_vec(),
            past: past.into_iter().collect(),
        }
    }

    #[test]
    fn state_and_profile_come_from_the_primary_directory() {
        use IdentityState::{Active, Ended, Inactive};
        let (on, off) = (|key| account(key, true), |key| account(key, false));
        for (primary, past, accounts, state, title, orphans) in [
            (None, None, vec![off(1), on(2)], Active, None, 0),
            (None, None, vec![off(1), off(2)], Inactive, None, 0),
            // What was in another directory than the primary one does not count.
            (None, Some(1), vec![on(2)], Active, None, 0),
            (Some(1), None, vec![off(1), on(2)], Inactive, Some("of 1"), 1),
            (Some(1), None, vec![on(1), off(2)], Active, Some("of 1"), 0),
            (Some(1), Some(3), vec![on(2)], Active, None, 0),
            // The primary directory has never had this one.
            (Some(1), None, vec![on(2)], Active, None, 0),
            // It has had this one.
            (Some(1), Some(1), vec![on(2), on(3)], Inactive, None, 2),
            (Some(1), None, vec![off(1), on(1)], Active, Some("of 1"), 0),
            (Some(1), Some(1), vec![], Ended, None, 0),
        ] {
            let mut person = person(past, &accounts);
            person.derive(primary);
            let view = person.view("org_1");
            assert_eq!(person.row.state, state, "{accounts:?}");
            assert_eq!(view["title"].as_str(), title, "{accounts:?}");
            assert_eq!(person.accounts.iter().filter(|a| a.orphaned).count(), orphans);
            assert!(person.accounts.iter().all(|account| !account.orphaned || account.active));
        }
    }
}
