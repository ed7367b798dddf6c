//! Who is whom by the events, and what follows for each person by the rules of docs/identities.md: a
//! second way to the state, the profile and the orphaned access of an identity.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A directory and a user.
type Account = (String, String);

#[derive(Default)]
pub struct Persons {
    /// By identity.
    accounts: BTreeMap<String, BTreeSet<Account>>,
    /// Accounts that an identity had and that are gone.
    past: BTreeMap<String, BTreeSet<Account>>,
    /// What an identity had, there or gone, when it was merged.
    merged: BTreeMap<String, BTreeSet<Account>>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn accounts_of(identity: &Value) -> BTreeSet<Account> {
    let accounts = identity["accounts"].as_array().into_iter().flatten();
    accounts.map(|one| (text(&one["directory_id"]), text(&one["user_id"]))).collect()
}

/// What a person should be, and who of the accounts is active.
pub struct Expected<'e> {
    pub state: &'static str,
    /// `None` when the app does not see the user who gives it.
    pub title: Option<&'e Value>,
    pub orphaned: Vec<String>,
}

impl Persons {
    pub fn apply(&mut self, name: &str, data: &Value) {
        let (id, now) = (text(&data["id"]), accounts_of(data));
        match name {
            "rollbook.identity.created" => {
                // Who was taken out of another one is not gone.
                for past in self.past.values_mut() {
                    past.retain(|account| !now.contains(account));
                }
                self.accounts.insert(id, now);
            }
            "rollbook.identity.updated" => {
                let before = self.accounts.insert(id.clone(), now.clone()).unwrap_or_default();
                self.past.entry(id).or_default().extend(before.difference(&now).cloned());
            }
            "rollbook.identity.merged" => {
                let from = text(&data["merged_identity_id"]);
                let mine = self.accounts.remove(&from).unwrap_or_default();
                let gone = self.past.remove(&from).unwrap_or_default();
                self.merged.insert(from, mine.union(&gone).cloned().collect());
                self.past.entry(id.clone()).or_default().extend(gone);
                self.accounts.insert(id, now);
            }
            "rollbook.identity.unmerged" => {
                let again = &data["unmerged_identity"];
                let other = text(&again["id"]);
                let theirs = self.merged.remove(&other).unwrap_or_default();
                let past = self.past.entry(id.clone()).or_default();
                let back = past.extract_if(.., |account| theirs.contains(account)).collect();
                self.past.insert(other.clone(), back);
                self.accounts.insert(id, now);
                self.accounts.insert(other, accounts_of(again));
            }
            "rollbook.identity.ended" => {
                self.accounts.remove(&id);
                self.past.remove(&id);
            }
            _ => {}
        }
    }

    /// What the identity is, with that primary directory and the users whom the app sees.
    pub fn expected<'e>(
        &self,
        id: &str,
        primary: Option<&str>,
        users: &'e BTreeMap<String, Value>,
    ) -> Expected<'e> {
        let none = BTreeSet::new();
        let (accounts, past) =
            (self.accounts.get(id).unwrap_or(&none), self.past.get(id).unwrap_or(&none));
        let is_active = |user: &str| users.get(user).is_some_and(|user| user["state"] == "active");
        let in_primary = |account: &&Account| Some(account.0.as_str()) == primary;
        let mut there: Vec<&str> =
            accounts.iter().filter(in_primary).map(|(_, user)| user.as_str()).collect();
        there.sort_unstable();
        let root = there.iter().find(|user| is_active(user)).or_else(|| there.first());
        let active = match (root, past.iter().any(|account| in_primary(&account))) {
            (Some(user), _) => is_active(user),
            (None, true) => false,
            (None, false) => accounts.iter().any(|(_, user)| is_active(user)),
        };
        let orphaned = accounts.iter().filter(|(_, user)| !active && is_active(user));
        Expected {
            state: if active { "active" } else { "inactive" },
            title: match root {
                Some(user) => users.get(*user).map(|user| &user["job_title"]),
                None => Some(&Value::Null),
            },
            orphaned: orphaned.map(|(_, user)| user.clone()).collect(),
        }
    }
}
