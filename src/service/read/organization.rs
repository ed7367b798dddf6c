//! Organizations as the app makes and sees them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{Page, PageRequest, collect};
use crate::clock::Ids;
use crate::scim::Object;
use crate::scim::key::{instant_text, text_key};
use crate::service::administer::organization::{
    missing, refuse_limited_create, refuse_limited_external_id,
};
use crate::service::administer::{check_external_id, check_name, present};
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::organization::{DomainRow, OrganizationRow};
use crate::store::{StoreError, Tx};

/// Which organizations a list shows.
#[derive(Clone, Debug)]
pub struct OrganizationQuery {
    /// Those that have one of these domains; empty for all.
    pub domains: Vec<String>,
    /// What the name contains, in any letter case.
    pub search: Option<String>,
    pub page: PageRequest,
}

/// A new organization. Members that other servers of this API know are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationInput {
    pub name: String,
    #[serde(default)]
    pub domain_data: Option<Vec<DomainInput>>,
    /// Domains without a state.
    #[serde(default)]
    pub domains: Option<Vec<String>>,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub metadata: Option<Object>,
}

/// A change: what it leaves out stays as it is.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationPatch {
    #[serde(default)]
    pub name: Option<String>,
    /// All domains that there are then.
    #[serde(default)]
    pub domain_data: Option<Vec<DomainInput>>,
    #[serde(default)]
    pub domains: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    pub external_id: Option<Option<String>>,
    /// Null takes all away; a null member takes that one away.
    #[serde(default, deserialize_with = "present")]
    pub metadata: Option<Option<Object>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DomainInput {
    pub domain: String,
    #[serde(default)]
    pub state: Option<DomainState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainState {
    Pending,
    Verified,
}

impl DomainState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
        }
    }
}

const MAX_DOMAINS: usize = 100;

/// Members of `metadata`, bytes of a name and of a text.
const METADATA: (usize, usize, usize) = (50, 40, 600);

/// A domain that there is to be. Without a state it keeps the one that it has; a new one is pending.
type Wanted = (String, Option<DomainState>);

/// The domains that a request names, lower-case, each once; `None` when it says nothing of them.
fn domains(
    data: Option<Vec<DomainInput>>,
    plain: Option<Vec<String>>,
) -> Result<Option<Vec<Wanted>>, AdminError> {
    if data.is_none() && plain.is_none() {
        return Ok(None);
    }
    // Before they are compared with each other.
    let lengths = (data.as_ref().map_or(0, Vec::len), plain.as_ref().map_or(0, Vec::len));
    for (field, length) in [("domain_data", lengths.0), ("domains", lengths.1)] {
        refuse_more_domains(field, length)?;
    }
    let data = data.into_iter().flatten().map(|input| (input.domain, input.state, "domain_data"));
    let plain = plain.into_iter().flatten().map(|name| (name, None, "domains"));
    let mut checked: Vec<Wanted> = Vec::new();
    for (domain, state, field) in data.chain(plain) {
        let domain = domain.trim().to_lowercase();
        if !is_domain(&domain) {
            let message = format!("\"{}\" is not a domain such as example.com.", shown(&domain));
            return Err(AdminError::invalid(field, message));
        }
        match checked.iter_mut().find(|(known, _)| *known == domain) {
            None => checked.push((domain, state)),
            Some((_, known)) if state.is_none() || *known == state => {}
            Some((_, known @ None)) => *known = state,
            Some(_) => {
                let message = format!("\"{domain}\" is named twice with different states.");
                return Err(AdminError::invalid(field, message));
            }
        }
    }
    refuse_more_domains("domain_data", checked.len())?;
    Ok(Some(checked))
}

fn refuse_more_domains(field: &str, length: usize) -> Result<(), AdminError> {
    match length > MAX_DOMAINS {
        true => {
            let message = format!("it has {length} domains; allowed are {MAX_DOMAINS}.");
            Err(AdminError::invalid(field, message))
        }
        false => Ok(()),
    }
}

/// Whoever manages some organizations for the operator does not say for the app whose domain is whose.
fn refuse_limited_verified(
    access: &ApiAccess,
    there: &[DomainRow],
    wanted: &[Wanted],
) -> Result<(), AdminError> {
    let is_verified = |domain: &str| {
        let verified = DomainState::Verified.as_str();
        there.iter().any(|there| there.domain == domain && there.state == verified)
    };
    let becomes = wanted
        .iter()
        .find(|(domain, state)| *state == Some(DomainState::Verified) && !is_verified(domain));
    match (&access.organization_ids, becomes) {
        (Some(_), Some((domain, _))) => {
            let message = format!(
                "This API key is limited to certain organizations and cannot declare \"{domain}\" \
                 verified."
            );
            Err(AdminError::new(403, "forbidden", message))
        }
        _ => Ok(()),
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

/// A change takes every member away and puts as many, at most.
fn refuse_more_metadata(change: &Object) -> Result<(), AdminError> {
    let most = 2 * METADATA.0;
    match change.len() > most {
        true => {
            let message = format!("it names {} members; allowed are {most}.", change.len());
            Err(AdminError::invalid("metadata", message))
        }
        false => Ok(()),
    }
}

/// Metadata after a change: members are put, null takes one away.
fn merged(stored: &str, change: &Object) -> Result<String, AdminError> {
    let mut metadata: Object = serde_json::from_str(stored).unwrap_or_default();
    let (most, longest_name, longest_text) = METADATA;
    for (name, value) in change {
        let field = format!("metadata.{}", shown(name));
        let text = match value {
            Value::Null => {
                metadata.shift_remove(name);
                continue;
            }
            Value::String(text) => text,
            _ => return Err(AdminError::invalid(&field, "it must be a text or null.")),
        };
        if name.is_empty() || name.len() > longest_name || text.len() > longest_text {
            let message = format!(
                "a name has 1 to {longest_name} bytes and its text at most {longest_text}."
            );
            return Err(AdminError::invalid(&field, message));
        }
        metadata.insert(name.clone(), value.clone());
    }
    if metadata.len() > most {
        let message = format!("it has {} members; allowed are {most}.", metadata.len());
        return Err(AdminError::invalid("metadata", message));
    }
    Ok(Value::Object(metadata).to_string())
}

/// Ids of the organizations that have one of the domains, among those that the key may see.
pub(super) fn named_by(
    tx: &mut Tx<'_>,
    domains: &[String],
    allowed: Option<&[String]>,
) -> Result<Vec<String>, StoreError> {
    let domains: Vec<String> = domains.iter().map(|domain| domain.trim().to_lowercase()).collect();
    let mut ids = tx.domain_organizations(&domains)?;
    ids.retain(|id| allowed.is_none_or(|allowed| allowed.contains(id)));
    Ok(ids)
}

/// The `organization` object.
fn view(row: &OrganizationRow, domains: &[DomainRow]) -> Value {
    let domains = domains.iter().filter(|domain| domain.organization_id == row.id).map(|domain| {
        json!({
            "object": "organization_domain",
            "id": domain.id,
            "organization_id": row.id,
            "domain": domain.domain,
            "state": domain.state,
            "created_at": instant_text(domain.created),
            "updated_at": instant_text(domain.modified),
        })
    });
    json!({
        "object": "organization",
        "id": row.id,
        "name": row.name,
        "domains": domains.collect::<Vec<Value>>(),
        "metadata": serde_json::from_str::<Object>(&row.metadata).unwrap_or_default(),
        "external_id": row.external_id,
        "created_at": instant_text(row.created),
        "updated_at": instant_text(row.modified),
    })
}

fn target(row: &OrganizationRow) -> Target<'_> {
    Target::of_organization(&row.id, &row.id, Some(&row.name))
}

fn viewed(tx: &mut Tx<'_>, row: &OrganizationRow) -> Result<Value, StoreError> {
    Ok(view(row, &tx.domain_list(std::slice::from_ref(&row.id))?))
}

/// Makes the domains of an organization, which has those that are there, the wanted ones.
fn put_domains(
    tx: &mut Tx<'_>,
    row: &OrganizationRow,
    there: &[DomainRow],
    wanted: &[Wanted],
    ids: &mut Ids,
    now: i64,
) -> Result<(), StoreError> {
    for there in there {
        if wanted.iter().all(|(domain, _)| *domain != there.domain) {
            tx.domain_delete(row.key, &there.domain)?;
        }
    }
    for (domain, state) in wanted {
        let state = match state {
            Some(state) => *state,
            None if there.iter().any(|there| there.domain == *domain) => continue,
            None => DomainState::Pending,
        };
        let new = DomainRow {
            organization_id: row.id.clone(),
            id: ids.next("org_domain"),
            domain: domain.clone(),
            state: state.as_str().to_owned(),
            created: now,
            modified: now,
        };
        tx.domain_put(row.key, &new)?;
    }
    Ok(())
}

impl Service {
    /// Organizations that the key may see, in the order of their ids.
    pub async fn read_organizations(
        &self,
        access: &ApiAccess,
        query: OrganizationQuery,
    ) -> Result<Page, ServiceError> {
        let OrganizationQuery { domains, search, page } = query;
        let range = page.range("org")?;
        let allowed = access.organization_ids.clone();
        let search = search.map(|text| text_key(&text, false));
        let is_scan = search.is_some();
        let work = move |tx: &mut Tx<'_>| {
            let ids = match domains.is_empty() {
                true => allowed.clone(),
                false => Some(named_by(tx, &domains, allowed.as_deref())?),
            };
            let rows = collect(
                &range,
                |range| tx.organization_range(ids.as_deref(), range),
                |row| {
                    search.as_deref().is_none_or(|text| text_key(&row.name, false).contains(text))
                },
                |row| &row.id,
            )?;
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            let domains = tx.domain_list(&ids)?;
            Ok::<_, StoreError>((rows, domains))
        };
        // A name is looked for in every row; that must hold up nobody else.
        let (rows, domains) = match is_scan {
            true => self.store.scan("read_organizations_search", work).await?,
            false => self.store.read("read_organizations", work).await?,
        };
        Ok(page.page(rows, |row| &row.id).map(|row| view(&row, &domains)))
    }

    /// The organization, if the key may see it.
    pub async fn read_organization(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Value, ServiceError> {
        let id = id.to_owned();
        self.organization_by(access, move |tx| tx.organization_get(&id)).await
    }

    /// The organization that the operator knows by that id, if the key may see it.
    pub async fn read_organization_by_external_id(
        &self,
        access: &ApiAccess,
        external_id: &str,
    ) -> Result<Value, ServiceError> {
        let external_id = external_id.to_owned();
        self.organization_by(access, move |tx| tx.organization_by_external_id(&external_id)).await
    }

    async fn organization_by(
        &self,
        access: &ApiAccess,
        find: impl Fn(&mut Tx<'_>) -> Result<Option<OrganizationRow>, StoreError> + Send + 'static,
    ) -> Result<Value, ServiceError> {
        let access = access.clone();
        let found: Option<Value> = self
            .store
            .read("read_organization", move |tx| match find(tx)? {
                Some(row) if access.reaches(&row.id) => viewed(tx, &row).map(Some),
                _ => Ok::<_, StoreError>(None),
            })
            .await?;
        found.ok_or_else(missing)
    }

    /// Makes an organization with its domains and metadata.
    pub async fn make_organization(
        &self,
        access: &ApiAccess,
        input: OrganizationInput,
    ) -> Result<Value, ServiceError> {
        check_name(&input.name)?;
        check_external_id(input.external_id.as_deref())?;
        refuse_limited_create(access)?;
        let domains = domains(input.domain_data, input.domains)?.unwrap_or_default();
        let metadata = input.metadata.unwrap_or_default();
        refuse_more_metadata(&metadata)?;
        let metadata = merged("{}", &metadata)?;
        let (id, now, ids) = (self.clock.id("org"), self.clock.now_ms(), self.clock.ids());
        let audit = self.audit(access, action::ORGANIZATION_CREATED);
        self.store
            .write("organization_make", move |tx| {
                let external_id = input.external_id.as_deref();
                let row = tx.organization_insert(&id, &input.name, external_id, &metadata, now)?;
                put_domains(tx, &row, &[], &domains, &mut ids.clone(), now)?;
                let made = viewed(tx, &row)?;
                audit.write(tx, target(&row), Value::Null, made.clone())?;
                Ok(made)
            })
            .await
    }

    /// Changes what the request names.
    pub async fn change_organization(
        &self,
        access: &ApiAccess,
        id: &str,
        change: OrganizationPatch,
    ) -> Result<Value, ServiceError> {
        if !access.reaches(id) {
            return Err(missing());
        }
        if change.external_id.is_some() {
            refuse_limited_external_id(access)?;
        }
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        check_external_id(change.external_id.as_ref().and_then(|id| id.as_deref()))?;
        if let Some(Some(metadata)) = &change.metadata {
            refuse_more_metadata(metadata)?;
        }
        let domains = domains(change.domain_data, change.domains)?;
        let audit = self.audit(access, action::ORGANIZATION_UPDATED);
        let (access, id) = (access.clone(), id.to_owned());
        let (now, ids) = (self.clock.now_ms(), self.clock.ids());
        self.store
            .write("organization_change", move |tx| {
                let row = tx.organization_lock(&id)?.ok_or_else(missing)?;
                let before = viewed(tx, &row)?;
                let name = change.name.as_ref().unwrap_or(&row.name);
                let external_id = change.external_id.as_ref().unwrap_or(&row.external_id);
                let metadata = match &change.metadata {
                    None => row.metadata.clone(),
                    Some(None) => "{}".to_owned(),
                    Some(Some(members)) => merged(&row.metadata, members)?,
                };
                tx.organization_update(row.key, name, external_id.as_deref(), &metadata, now)?;
                if let Some(domains) = &domains {
                    let there = tx.domain_list(std::slice::from_ref(&row.id))?;
                    refuse_limited_verified(&access, &there, domains)?;
                    put_domains(tx, &row, &there, domains, &mut ids.clone(), now)?;
                }
                let row = tx.organization_get(&id)?.ok_or_else(missing)?;
                let changed = viewed(tx, &row)?;
                audit.write(tx, target(&row), before, changed.clone())?;
                Ok(changed)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_checked_and_named_once() {
        for (text, expected) in [
            ("example.com", true),
            ("a-b.example.co.uk", true),
            ("bücher.example", true),
            ("example", false),
            (".com", false),
            ("a..com", false),
            ("-a.com", false),
            ("a_b.com", false),
            ("ada@example.com", false),
            ("https://example.com", false),
        ] {
            assert_eq!(is_domain(text), expected, "{text}");
        }
        let input = |domain: &str, state| DomainInput { domain: domain.into(), state };
        let verified = Some(DomainState::Verified);
        let data = vec![input(" Example.COM ", verified)];
        for unnamed in [
            domains(Some(data.clone()), Some(vec!["example.com".into()])),
            domains(Some([vec![input("example.com", None)], data.clone()].concat()), None),
        ] {
            assert_eq!(unnamed, Ok(Some(vec![("example.com".into(), verified)])));
        }
        let twice = [data, vec![input("example.com", Some(DomainState::Pending))]].concat();
        assert_eq!(domains(Some(twice), None).expect_err("refused").errors[0].0, "domain_data");
        assert_eq!(domains(None, None), Ok(None));
    }

    #[test]
    fn too_many_domains_and_members_are_refused_before_they_are_looked_at() {
        // None is a domain: what is wrong with one of them is not what is said.
        let names: Vec<String> = (0..=MAX_DOMAINS).map(|n| format!("no domain {n}")).collect();
        let data: Vec<DomainInput> =
            names.iter().map(|name| DomainInput { domain: name.clone(), state: None }).collect();
        for (error, field) in
            [(domains(Some(data), None), "domain_data"), (domains(None, Some(names)), "domains")]
        {
            let error = error.expect_err("refused");
            assert_eq!(error.errors[0].0, field);
            assert!(error.message.contains("allowed are 100"), "{}", error.message);
        }
        let members = |n: usize| (0..n).map(|n| (n.to_string(), Value::Null)).collect::<Object>();
        assert_eq!(refuse_more_metadata(&members(100)), Ok(()));
        let error = refuse_more_metadata(&members(101)).expect_err("refused");
        assert_eq!(error.errors[0].0, "metadata");
    }

    #[test]
    fn metadata_is_put_member_by_member() {
        let change = |value: Value| value.as_object().expect("an object").clone();
        let made = merged("{\"a\":\"1\",\"b\":\"2\"}", &change(json!({"a": null, "c": "3"})));
        assert_eq!(made, Ok("{\"b\":\"2\",\"c\":\"3\"}".into()));
        for (value, field) in [
            (json!({"a": 1}), "metadata.a"),
            (json!({"a": "x".repeat(601)}), "metadata.a"),
            (json!({"": "x"}), "metadata."),
        ] {
            let error = merged("{}", &change(value)).expect_err("refused");
            assert_eq!(error.errors[0].0, field);
        }
    }
}
