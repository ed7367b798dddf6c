//! Digests: a consumer sends what it has as hashes, and is answered what is different.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::snapshot::still_served;
use super::walk::{self, Seen};
use crate::event::stable::canonical;
use crate::service::context::Directory;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::event_log::PART_BYTES;
use crate::store::snapshot::{Ids, LAST_ID};
use crate::store::{StoreError, Tx};

/// Hashes in one request.
const MAX_OBJECTS: usize = 5_000;

/// Objects that one request compares, and objects that one answer holds.
const MAX_COMPARED: usize = 5_000;
const MAX_ANSWERED: usize = 500;

/// Groups or users read at a time.
const ROWS: i64 = 50;

/// What a consumer has of a directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {
    /// Hashes by id, of groups and users behind `after` and up to `until`.
    pub objects: BTreeMap<String, String>,
    /// Ids up to this one are left out.
    #[serde(default)]
    pub after: Option<String>,
    /// Ids behind this one are left out.
    #[serde(default)]
    pub until: Option<String>,
}

/// An object that the consumer lacks or has otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Differing {
    id: String,
    hash: String,
    /// A `directory_group`, or a `directory_user` with the ids of its groups.
    object: Value,
}

/// The differences.
#[derive(Clone, Debug, Serialize)]
pub struct Reconciled {
    pub data: Vec<Differing>,
    /// Ids that the consumer has and the directory has not.
    pub gone: Vec<String>,
    /// Where the next request goes on (`after`); null when everything was compared.
    pub next: Option<String>,
    /// The answer holds every change up to this position, and maybe later ones.
    pub position: i64,
}

/// The object of a group, or of a user with its groups.
fn object(seen: &Seen, groups: Option<Vec<Value>>) -> Value {
    let mut object = seen.view.clone();
    if let (Some(groups), Some(members)) = (groups, object.as_object_mut()) {
        members.insert("groups".to_owned(), groups.into());
    }
    object
}

/// SHA-256, in lower-case hexadecimal, of the canonical text of an object without `updated_at`: a change
/// of which no event tells moves that time. With the length of that text in bytes.
fn hash(object: &Value) -> (String, usize) {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.shift_remove("updated_at");
    }
    let text = canonical(&object);
    let digest = Sha256::digest(text.as_bytes());
    (digest.iter().map(|byte| format!("{byte:02x}")).collect(), text.len())
}

impl Service {
    /// Compares what a consumer has with what the app sees of a directory.
    pub async fn reconcile(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: Reconcile,
    ) -> Result<Reconciled, ServiceError> {
        if wanted.objects.len() > MAX_OBJECTS {
            let message = format!(
                "it has {} members; allowed are {MAX_OBJECTS} in one request. Compare a stretch of \
                 ids at a time, with \"after\" and \"until\".",
                wanted.objects.len()
            );
            return Err(AdminError::invalid("objects", message).into());
        }
        let row = self.directory_row(access, id).await?;
        let directory = self.directory_of(row).await?;
        self.store.scan("reconcile", move |tx| compare(tx, &directory, &wanted)).await
    }
}

fn compare(
    tx: &mut Tx<'_>,
    directory: &Directory,
    wanted: &Reconcile,
) -> Result<Reconciled, ServiceError> {
    // What is left of a directory that is being deleted is not what it has.
    still_served(tx, directory)?;
    let position = tx.log_position()?;
    let until = wanted.until.as_deref().unwrap_or(LAST_ID);
    let mut after = wanted.after.clone().unwrap_or_default();
    let mut found = Found { wanted, data: Vec::new(), gone: Vec::new(), compared: 0, bytes: 0 };
    // Ids of groups sort before those of users.
    for kind in [Kind::Groups, Kind::Users] {
        loop {
            let ids = Ids { after: &after, until, limit: ROWS };
            let objects = kind.read(tx, directory, ids)?;
            let full = i64::try_from(objects.len()).unwrap_or(i64::MAX) >= ROWS;
            for (id, object) in objects {
                found.compare(&after, id.clone(), object);
                after = id;
                if found.is_full() {
                    let next = Some(after);
                    return Ok(Reconciled { data: found.data, gone: found.gone, next, position });
                }
            }
            if !full {
                break;
            }
        }
    }
    found.rest(&after, until);
    Ok(Reconciled { data: found.data, gone: found.gone, next: None, position })
}

#[derive(Clone, Copy)]
enum Kind {
    Groups,
    Users,
}

impl Kind {
    fn read(
        self,
        tx: &mut Tx<'_>,
        directory: &Directory,
        ids: Ids<'_>,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        match self {
            Self::Groups => {
                let groups = walk::groups(tx, directory, ids)?;
                Ok(groups.iter().map(|group| (group.id.clone(), object(group, None))).collect())
            }
            Self::Users => {
                let users = walk::users(tx, directory, ids)?;
                let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
                for (user, group) in walk::memberships(tx, directory, &users)? {
                    groups.entry(user).or_default().push(group.into());
                }
                let with_groups = users.iter().map(|user| {
                    let groups = groups.remove(&user.id).unwrap_or_default();
                    (user.id.clone(), object(user, Some(groups)))
                });
                Ok(with_groups.collect())
            }
        }
    }
}

struct Found<'w> {
    wanted: &'w Reconcile,
    data: Vec<Differing>,
    gone: Vec<String>,
    compared: usize,
    /// Of what is answered.
    bytes: usize,
}

impl Found<'_> {
    /// Compares the object that follows the id `after`.
    fn compare(&mut self, after: &str, id: String, object: Value) {
        let bounds = (Bound::Excluded(after), Bound::Excluded(id.as_str()));
        let between = self.wanted.objects.range::<str, _>(bounds);
        self.gone.extend(between.map(|(id, _)| id.clone()));
        self.compared += 1;
        let (hash, bytes) = hash(&object);
        if self.wanted.objects.get(&id) != Some(&hash) {
            self.bytes += bytes;
            self.data.push(Differing { id, hash, object });
        }
    }

    fn is_full(&self) -> bool {
        self.data.len() >= MAX_ANSWERED || self.compared >= MAX_COMPARED || self.bytes >= PART_BYTES
    }

    /// What the consumer has behind the last object.
    fn rest(&mut self, after: &str, until: &str) {
        if after < until {
            let bounds = (Bound::Excluded(after), Bound::Included(until));
            let behind = self.wanted.objects.range::<str, _>(bounds);
            self.gone.extend(behind.map(|(id, _)| id.clone()));
        }
    }
}
