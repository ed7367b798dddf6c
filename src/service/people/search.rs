//! The search, in the order of what is looked at, then of directories.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::scim::Object;
use crate::scim::key::{instant_text, text_key};
use crate::scim::resource::extract::person_names;
use crate::service::administer::ListMetadata;
use crate::service::error::AdminError;
use crate::service::seen::object;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::people::{Beyond, FoundRow, Known, Search};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Default and greatest length of a page.
const LIMITS: (i64, i64) = (50, 200);

/// Rows that a search reads at a time, and reads in one page. Rows go when another one shows the same
/// person already; the cursor leads on.
const CHUNK: i64 = 250;
const MOST_READ: usize = 5_000;

/// Longest text that is looked for, in bytes: the keys of addresses are cut there.
const LONGEST: usize = 256;

/// What is looked at, in this order.
const USERS: [Known; 4] = [Known::UserName, Known::Email, Known::ExternalId, Known::PersonName];
const GROUPS: [Known; 2] = [Known::Name, Known::ExternalId];

/// Who is looked for.
#[derive(Clone, Debug, Default)]
pub struct PeopleQuery {
    /// What a user name, an address, an external id or a name begins with.
    pub q: String,
    pub organization_id: Option<String>,
    pub limit: Option<i64>,
    /// Of the page before.
    pub after: Option<String>,
}

/// A user or group of a directory.
#[derive(Clone, Debug, Serialize)]
pub struct PersonView {
    /// `person` or `group`.
    object: &'static str,
    pub id: String,
    pub organization_id: String,
    pub directory_id: String,
    pub user_name: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub external_id: Option<String>,
    /// `active`, `inactive` or `suspended`.
    pub state: &'static str,
    pub created_at: String,
    pub updated_at: String,
}

impl PersonView {
    pub(super) fn of(row: &ResourceRow, organization_id: &str, directory_id: &str) -> Self {
        let doc = object(&row.doc);
        Self {
            object: if row.resource_type == "Group" { "group" } else { "person" },
            id: row.id.clone(),
            organization_id: organization_id.to_owned(),
            directory_id: directory_id.to_owned(),
            user_name: text(&doc, "userName"),
            name: text(&doc, "displayName").or_else(|| full_name(&doc)),
            email: address(&doc),
            external_id: text(&doc, "externalId"),
            state: match (row.active, row.suspended) {
                (true, false) => "active",
                (true, true) => "suspended",
                (false, _) => "inactive",
            },
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
        }
    }
}

fn text(doc: &Object, name: &str) -> Option<String> {
    doc.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn full_name(doc: &Object) -> Option<String> {
    let name = doc.get("name")?;
    let part = |part: &str| name.get(part).and_then(Value::as_str);
    if let Some(formatted) = part("formatted") {
        return Some(formatted.to_owned());
    }
    let parts: Vec<&str> = [part("givenName"), part("familyName")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn emails(doc: &Object) -> impl Iterator<Item = &Value> {
    doc.get("emails").and_then(Value::as_array).into_iter().flatten()
}

/// The primary address, else the first one.
fn address(doc: &Object) -> Option<String> {
    let is_primary = |email: &&Value| email.get("primary") == Some(&Value::Bool(true));
    let email = emails(doc).find(is_primary).or_else(|| emails(doc).next())?;
    email.get("value").and_then(Value::as_str).map(str::to_owned)
}

/// A page of what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    pub data: Vec<PersonView>,
    pub list_metadata: ListMetadata,
}

/// What is looked for.
#[derive(Clone, Debug)]
struct Wanted {
    resource_type: &'static str,
    text: String,
    organizations: Option<Vec<String>>,
    limit: usize,
    /// What is looked at first, and where.
    step: usize,
    beyond: Option<Beyond>,
}

/// The key that a text has for what is looked at.
fn key_of(known: Known, text: &str) -> String {
    text_key(text, known == Known::ExternalId)
}

/// The first way in which a document answers: what is looked at, and the least key that begins so.
fn first_match(doc: &Object, wanted: &str, kinds: &[Known]) -> Option<(Known, String)> {
    kinds.iter().find_map(|known| {
        let prefix = key_of(*known, wanted);
        let values: Vec<String> = match known {
            Known::UserName => text(doc, "userName").into_iter().collect(),
            Known::Name => text(doc, "displayName").into_iter().collect(),
            Known::ExternalId => text(doc, "externalId").into_iter().collect(),
            Known::Email => {
                let values = emails(doc).filter_map(|email| email.get("value")?.as_str());
                values.map(str::to_owned).collect()
            }
            Known::PersonName => person_names(doc).into_iter().collect(),
        };
        let keys = values.iter().map(|value| key_of(*known, value));
        keys.filter(|key| key.starts_with(&prefix)).min().map(|key| (*known, key))
    })
}

impl Wanted {
    fn kinds(&self) -> &'static [Known] {
        if self.resource_type == "Group" { &GROUPS } else { &USERS }
    }

    fn run(mut self, tx: &mut Tx<'_>) -> Result<Found, StoreError> {
        let (mut data, mut read) = (Vec::new(), 0);
        while let Some(known) = self.kinds().get(self.step).copied() {
            let prefix = key_of(known, &self.text);
            let found = tx.people_search(&Search {
                resource_type: self.resource_type,
                known,
                prefix: &prefix,
                organizations: self.organizations.as_deref(),
                beyond: self.beyond.as_ref(),
                limit: CHUNK,
            })?;
            let is_last = i64::try_from(found.len()).unwrap_or(i64::MAX) < CHUNK;
            for row in &found {
                if data.len() >= self.limit || read >= MOST_READ {
                    let after = Some(self.cursor());
                    return Ok(Found { data, list_metadata: ListMetadata { before: None, after } });
                }
                read += 1;
                let (directory_key, value, key) = (row.directory_key, row.value.clone(), row.key);
                self.beyond = Some(Beyond { directory_key, value, key });
                data.extend(self.view(tx, known, row)?);
            }
            if is_last {
                (self.step, self.beyond) = (self.step + 1, None);
            }
        }
        Ok(Found { data, list_metadata: ListMetadata::default() })
    }

    /// The resource, unless it was found in another way before.
    fn view(
        &self,
        tx: &mut Tx<'_>,
        known: Known,
        found: &FoundRow,
    ) -> Result<Option<PersonView>, StoreError> {
        let rows = tx.resource_rows(found.directory_key, &[found.key])?;
        let Some(row) = rows.first().filter(|row| row.resource_type == self.resource_type) else {
            return Ok(None);
        };
        let first = first_match(&object(&row.doc), &self.text, self.kinds());
        // Keys of addresses are cut at some length.
        let is_first =
            first.is_none_or(|(first, key)| first == known && key.starts_with(&found.value));
        Ok(is_first.then(|| PersonView::of(row, &found.organization_id, &found.directory_id)))
    }

    /// Where the next page begins. It opens nothing that the query itself does not.
    fn cursor(&self) -> String {
        let beyond = self.beyond.as_ref();
        let place = beyond.map(|b| (b.directory_key, b.value.as_str(), b.key));
        let text = serde_json::to_string(&(self.step, place)).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(text)
    }
}

fn place(cursor: &str) -> Result<(usize, Option<Beyond>), AdminError> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (step, place): (usize, Option<(i64, String, i64)>) =
            serde_json::from_slice(&bytes).ok()?;
        let beyond = place.map(|(directory_key, value, key)| Beyond { directory_key, value, key });
        let is_text = |beyond: &Beyond| !beyond.value.contains('\0');
        beyond.as_ref().is_none_or(is_text).then_some((step, beyond))
    };
    let message = "it is none that this list has given out; begin without it.";
    read().ok_or_else(|| AdminError::invalid("after", message))
}

impl Service {
    /// Users whose user name, address, external id or name begins so.
    pub async fn people(
        &self,
        access: &ApiAccess,
        query: &PeopleQuery,
    ) -> Result<Found, ServiceError> {
        self.found(access, query, "User").await
    }

    /// Groups whose name or external id begins so.
    pub async fn groups(
        &self,
        access: &ApiAccess,
        query: &PeopleQuery,
    ) -> Result<Found, ServiceError> {
        self.found(access, query, "Group").await
    }

    async fn found(
        &self,
        access: &ApiAccess,
        query: &PeopleQuery,
        resource_type: &'static str,
    ) -> Result<Found, ServiceError> {
        let limit = query.limit.unwrap_or(LIMITS.0);
        if !(1..=LIMITS.1).contains(&limit) {
            let message = format!("it is {limit}; allowed is 1 to {}.", LIMITS.1);
            return Err(AdminError::invalid("limit", message).into());
        }
        let text = query.q.trim();
        if text.is_empty() || text.len() > LONGEST || text.contains('\0') {
            let message = format!(
                "it has {} bytes; allowed are 1 to {LONGEST}: how a user name, an address, an \
                 external id or a name begins.",
                text.len()
            );
            return Err(AdminError::invalid("q", message).into());
        }
        let organizations = match (&access.organization_ids, &query.organization_id) {
            (_, Some(id)) if access.reaches(id) => Some(vec![id.clone()]),
            (_, Some(_)) => Some(Vec::new()),
            (limited, None) => limited.clone(),
        };
        let (step, beyond) = query.after.as_deref().map_or(Ok((0, None)), place)?;
        let limit = usize::try_from(limit).unwrap_or_default();
        let wanted =
            Wanted { resource_type, text: text.to_owned(), organizations, limit, step, beyond };
        let found: Result<Found, StoreError> =
            self.store.read("people", move |tx| wanted.clone().run(tx)).await;
        Ok(found?)
    }
}
