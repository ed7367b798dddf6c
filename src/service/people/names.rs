//! Users who were stored before names were looked for get the entries by which they are found, once, a bounded
//! part at a time.

use serde_json::json;

use crate::scim::resource::extract::person_name_keys;
use crate::service::seen::object;
use crate::service::{Service, ServiceError};
use crate::store::{StoreError, Tx};

/// Where it is noted how far this is: the key of a directory and that of the last user there; null when all of
/// them have been looked at.
const PLACE: &str = "person_names";

/// Users in one unit.
const USERS: i64 = 200;

impl Service {
    /// Goes on where it was stopped; does nothing once it is done.
    pub async fn name_people(&self) -> Result<(), ServiceError> {
        loop {
            let more: Result<bool, StoreError> = self.store.write("person_names", part).await;
            if !more? {
                return Ok(());
            }
        }
    }
}

/// One unit; false when nothing is left to do.
fn part(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let place: Option<(i64, i64)> = match tx.setting_get(PLACE)? {
        Some(noted) => serde_json::from_str(&noted).unwrap_or_default(),
        None => Some((0, 0)),
    };
    let Some((directory, after)) = place else { return Ok(false) };
    let next = match tx.directory_key_from(directory)? {
        Some(key) if key == directory => Some(name_users(tx, key, after)?),
        Some(key) => Some(name_users(tx, key, 0)?),
        None => None,
    };
    tx.setting_put(PLACE, &json!(next).to_string())?;
    Ok(next.is_some())
}

/// Names the next users of a directory; answers where to go on.
fn name_users(tx: &mut Tx<'_>, key: i64, after: i64) -> Result<(i64, i64), StoreError> {
    let behind = (key.saturating_add(1), 0);
    if tx.directory_share(key)?.is_none_or(|shared| shared.state == "deleting") {
        return Ok(behind);
    }
    let users = tx.resource_chunk_locked(key, "User", after, USERS)?;
    let mut named = Vec::new();
    for user in &users {
        named.extend(person_name_keys(&object(&user.doc)).map(|entry| (user.key, entry)));
    }
    tx.attribute_keys_add(key, named.iter().map(|(user, entry)| (*user, entry)))?;
    let is_last = i64::try_from(users.len()).unwrap_or(USERS) < USERS;
    Ok(users.last().filter(|_| !is_last).map_or(behind, |user| (key, user.key)))
}
