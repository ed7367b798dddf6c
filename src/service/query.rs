//! Reading: one resource, or a list by filter, order and page (RFC 7644 §3.4).
//!
//! A filter that the database decides alone costs what it returns. What is left over is decided by
//! the evaluator over the rows that the database narrowed down to, within a budget: the answer is
//! exact, or 400 `tooMany`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::context::Directory;
use super::record::object;
use super::render;
use super::{Access, Service, ServiceError};
use crate::clock::Stopwatch;
use crate::profile::Unknown;
use crate::scim::filter::{
    CompareOp, Filter, Literal, Resolved, parse_attr_path, parse_filter, resolve,
};
use crate::scim::key::{instant_ms, text_key};
use crate::scim::list::{Page, SortOrder};
use crate::scim::resource::Projection;
use crate::scim::schema::DataType;
use crate::scim::{AttrPath, AttrRef, ResourceType, ScimError};
use crate::store::list::Order;
use crate::store::member::{MemberRow, MembershipRow};
use crate::store::plan::{InstantColumn, Plan, Predicate, TextColumn, compile};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Most rows that one request may look at beyond what the database decides.
pub const SCAN_ROWS: u64 = 200_000;

/// Longest time for that.
pub const SCAN_TIME: Duration = Duration::from_secs(5);

/// Most terms of a filter: the databases limit how large a condition may be.
const MAX_TERMS: usize = 200;

/// Rows read at a time while scanning.
const CHUNK: i64 = 1_000;

/// Members on one page of groups; the group that passes it is the last of the page.
const MAX_PAGE_MEMBERS: usize = 50_000;

/// Members read at a time.
const MEMBERS: i64 = 10_000;

/// A list request, with names not yet looked up.
#[derive(Clone, Debug)]
pub struct ListRequest {
    pub filter: Option<String>,
    pub sort_by: Option<String>,
    pub sort_order: SortOrder,
    pub page: Page,
    pub projection: Projection,
}

/// A resource with what other rows say about it.
#[derive(Clone, Debug)]
pub struct Found {
    pub row: ResourceRow,
    pub groups: Vec<MembershipRow>,
    pub members: Vec<MemberRow>,
}

impl Found {
    /// A row that no other row says anything about, or whose relations are not shown.
    pub fn alone(row: ResourceRow) -> Self {
        Self { row, groups: Vec::new(), members: Vec::new() }
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    pub total: i64,
    pub start_index: u64,
    pub resources: Vec<Found>,
}

/// What is loaded beside a row.
#[derive(Clone, Copy, Debug)]
struct Relations {
    groups: bool,
    members: bool,
}

impl Relations {
    fn of(resource_type: &ResourceType, projection: &Projection) -> Self {
        let has = |name: &str| resource_type.attribute(name).is_some() && projection.wants(name);
        Self { groups: has("groups"), members: has("members") }
    }

    fn load(
        self,
        tx: &mut Tx<'_>,
        directory_key: i64,
        row: ResourceRow,
    ) -> Result<Found, StoreError> {
        let groups = match self.groups {
            true => tx.membership_list(directory_key, row.key)?,
            false => Vec::new(),
        };
        let members = match self.members {
            true => all_members(tx, directory_key, row.key)?,
            false => Vec::new(),
        };
        Ok(Found { row, groups, members })
    }
}

fn all_members(
    tx: &mut Tx<'_>,
    directory_key: i64,
    group_key: i64,
) -> Result<Vec<MemberRow>, StoreError> {
    let mut members: Vec<MemberRow> = Vec::new();
    loop {
        let after = members.last().map_or(0, |member| member.key);
        let page = tx.member_list(directory_key, group_key, after, MEMBERS)?;
        let complete = i64::try_from(page.len()).unwrap_or(i64::MAX) < MEMBERS;
        members.extend(page);
        if complete {
            return Ok(members);
        }
    }
}

impl Service {
    /// One resource by id.
    pub async fn get(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        projection: &Projection,
    ) -> Result<Found, ServiceError> {
        let relations = Relations::of(resource_type, projection);
        let (directory_key, name, wanted) =
            (access.directory.key, resource_type.name.clone(), id.to_owned());
        let found: Result<Option<Found>, StoreError> = self
            .store
            .read("resource_get", move |tx| {
                match tx.resource_get(directory_key, &name, &wanted)? {
                    Some(row) => relations.load(tx, directory_key, row).map(Some),
                    None => Ok(None),
                }
            })
            .await;
        found?.ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            ScimError::not_found(&format!("{} \"{id}\"", resource_type.name)).into()
        })
    }

    /// A row that was just written, with its relations as they are now.
    pub async fn with_relations(
        &self,
        access: &Access,
        resource_type: &ResourceType,
        row: ResourceRow,
        projection: &Projection,
    ) -> Result<Found, ServiceError> {
        let relations = Relations::of(resource_type, projection);
        let new_user = row.version == 1 && resource_type.is_user();
        if new_user || !(relations.groups || relations.members) {
            return Ok(Found::alone(row));
        }
        let directory_key = access.directory.key;
        let found: Result<Found, StoreError> = self
            .store
            .read("relations", move |tx| relations.load(tx, directory_key, row.clone()))
            .await;
        Ok(found?)
    }

    /// True when the group has more members than that.
    pub async fn has_more_members(
        &self,
        access: &Access,
        group_key: i64,
        than: i64,
    ) -> Result<bool, ServiceError> {
        let directory_key = access.directory.key;
        let rows: Result<Vec<MemberRow>, StoreError> = self
            .store
            .get("member_list", move |tx| tx.member_list(directory_key, group_key, 0, than + 1))
            .await;
        Ok(i64::try_from(rows?.len()).unwrap_or(i64::MAX) > than)
    }

    /// A page of the resources of one type.
    pub async fn list(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        request: &ListRequest,
    ) -> Result<Listed, ServiceError> {
        let profile = &access.directory.profile;
        let text = request.filter.as_deref().filter(|text| !text.trim().is_empty());
        let filter = text.map(|t| parse_filter(t, profile.unquoted_values())).transpose()?;
        if let Some(terms) = filter.as_ref().map(Filter::terms).filter(|n| *n > MAX_TERMS) {
            return Err(ScimError::invalid_filter(format!(
                "The filter has {terms} terms; at most {MAX_TERMS} are allowed."
            ))
            .into());
        }
        let listed = self.list_by(access, resource_type, request, filter.clone()).await?;
        if listed.total == 0
            && profile.retry_percent_decoded
            && let Some(decoded) = filter.as_ref().and_then(percent_decoded)
        {
            return self.list_by(access, resource_type, request, Some(decoded)).await;
        }
        Ok(listed)
    }

    async fn list_by(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        request: &ListRequest,
        filter: Option<Filter>,
    ) -> Result<Listed, ServiceError> {
        let plan = match &filter {
            Some(filter) => compile(&resolve(filter, resource_type)?, resource_type),
            None => Plan::all(),
        };
        let sort = sort_path(request, resource_type, &access.directory)?;
        let order = match &sort {
            None => Some(Order::Key),
            Some(path) => resource_type
                .resolve_attribute(path)
                .and_then(|attr| column_order(&attr, resource_type, request.sort_order)),
        };
        let listing = Listing {
            directory_key: access.directory.key,
            resource_type: Arc::clone(resource_type),
            predicate: plan.predicate,
            filter: filter.filter(|_| !plan.exact),
            sort,
            sort_order: request.sort_order,
            page: request.page,
            relations: Relations::of(resource_type, &request.projection),
        };
        match (order, &listing.filter) {
            (Some(order), None) => {
                self.store.read("list", move |tx| listing.by_database(tx, order)).await
            }
            _ => self.store.scan("list_scan", move |tx| listing.by_scan(tx)).await,
        }
    }
}

/// A list request whose names are known to be right.
struct Listing {
    directory_key: i64,
    resource_type: Arc<ResourceType>,
    predicate: Predicate,
    /// What the predicate does not decide.
    filter: Option<Filter>,
    sort: Option<AttrPath>,
    sort_order: SortOrder,
    page: Page,
    relations: Relations,
}

impl Listing {
    fn by_database(&self, tx: &mut Tx<'_>, order: Order) -> Result<Listed, ServiceError> {
        let (key, name) = (self.directory_key, self.resource_type.name.as_str());
        let total = tx.resource_total(key, name, &self.predicate)?;
        let offset = i64::try_from(self.page.start_index - 1).unwrap_or(i64::MAX);
        let rows = if self.page.count == 0 || offset >= total {
            Vec::new()
        } else {
            let limit = i64::from(self.page.count);
            tx.resource_page(key, name, &self.predicate, order, offset, limit)?
        };
        self.answer(tx, total, rows)
    }

    fn by_scan(&self, tx: &mut Tx<'_>) -> Result<Listed, ServiceError> {
        let resolved = match &self.filter {
            Some(filter) => Some(resolve(filter, &self.resource_type)?),
            None => None,
        };
        let sort = self.sort.as_ref().and_then(|path| self.resource_type.resolve_attribute(path));
        let first = self.page.start_index;
        let past = first + u64::from(self.page.count);
        let (mut matches, mut page) = (0_u64, Vec::new());
        let mut sorted: Vec<(SortKey, i64)> = Vec::new();
        let (watch, mut seen, mut after) = (Stopwatch::start(), 0_u64, 0_i64);
        loop {
            let (key, name) = (self.directory_key, self.resource_type.name.as_str());
            let rows = tx.resource_chunk(key, name, &self.predicate, after, CHUNK)?;
            let Some(last) = rows.last() else { break };
            after = last.key;
            seen += u64::try_from(rows.len()).unwrap_or(0);
            if seen > SCAN_ROWS {
                return Err(too_many(seen));
            }
            for row in rows {
                if watch.elapsed() > SCAN_TIME {
                    return Err(too_many(seen));
                }
                if !self.is_match(tx, resolved.as_ref(), &row)? {
                    continue;
                }
                matches += 1;
                match &sort {
                    Some(attr) => sorted.push((SortKey::of(&row, attr), row.key)),
                    None if (first..past).contains(&matches) => page.push(row),
                    None => {}
                }
            }
        }
        if sort.is_some() {
            page = self.sorted_page(tx, sorted)?;
        }
        self.answer(tx, i64::try_from(matches).unwrap_or(i64::MAX), page)
    }

    fn is_match(
        &self,
        tx: &mut Tx<'_>,
        filter: Option<&Resolved<'_>>,
        row: &ResourceRow,
    ) -> Result<bool, StoreError> {
        let Some(filter) = filter else { return Ok(true) };
        let relations =
            Relations { groups: filter.mentions("groups"), members: filter.mentions("members") };
        let found = relations.load(tx, self.directory_key, row.clone())?;
        Ok(filter.matches(&render::object_of(&found, &self.resource_type, "")))
    }

    fn sorted_page(
        &self,
        tx: &mut Tx<'_>,
        mut sorted: Vec<(SortKey, i64)>,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        match self.sort_order {
            SortOrder::Ascending => sorted.sort_unstable(),
            SortOrder::Descending => sorted.sort_unstable_by(|a, b| b.cmp(a)),
        }
        let skip = usize::try_from(self.page.start_index - 1).unwrap_or(usize::MAX);
        let take = usize::try_from(self.page.count).unwrap_or(usize::MAX);
        let keys: Vec<i64> = sorted.into_iter().skip(skip).take(take).map(|(_, key)| key).collect();
        let mut rows: HashMap<i64, ResourceRow> = tx
            .resource_rows(self.directory_key, &keys)?
            .into_iter()
            .map(|row| (row.key, row))
            .collect();
        Ok(keys.iter().filter_map(|key| rows.remove(key)).collect())
    }

    fn answer(
        &self,
        tx: &mut Tx<'_>,
        total: i64,
        rows: Vec<ResourceRow>,
    ) -> Result<Listed, ServiceError> {
        let (mut resources, mut members) = (Vec::with_capacity(rows.len()), 0);
        for row in rows {
            let found = self.relations.load(tx, self.directory_key, row)?;
            members += found.members.len();
            resources.push(found);
            // A shorter page is still a page; the next one goes on (RFC 7644 §3.4.2.4).
            if members > MAX_PAGE_MEMBERS {
                break;
            }
        }
        Ok(Listed { total, start_index: self.page.start_index, resources })
    }
}

fn too_many(seen: u64) -> ServiceError {
    ScimError::too_many(format!(
        "The request would have to look at more than {seen} resources one by one; narrow the \
         filter with userName, externalId, displayName of a group, emails.value or meta.lastModified."
    ))
    .into()
}

/// The attribute to sort by, if it is known; what an unknown one means is the profile's choice.
fn sort_path(
    request: &ListRequest,
    resource_type: &ResourceType,
    directory: &Directory,
) -> Result<Option<AttrPath>, ScimError> {
    let Some(name) = request.sort_by.as_deref().filter(|name| !name.trim().is_empty()) else {
        return Ok(None);
    };
    let known = parse_attr_path(name).ok().filter(|path| {
        resource_type.resolve_attribute(path).is_some_and(|attr| !attr.leaf().is_complex())
    });
    if known.is_none() && directory.profile.unknown_sort == Unknown::Refuse {
        return Err(ScimError::invalid_value(format!(
            "The parameter \"sortBy\" names \"{}\", which is no attribute of {} that has an order.",
            name.chars().take(80).collect::<String>(),
            resource_type.name
        )));
    }
    Ok(known)
}

fn column_order(
    attr: &AttrRef<'_>,
    resource_type: &ResourceType,
    order: SortOrder,
) -> Option<Order> {
    match TextColumn::of(attr, resource_type) {
        Some(column) => Some(Order::Text(column, order)),
        None => InstantColumn::of(attr).map(|column| Order::Instant(column, order)),
    }
}

/// What a resource is sorted by. The order of the variants puts unassigned values last.
#[derive(Clone, Debug, PartialEq)]
enum SortKey {
    Bool(bool),
    Number(f64),
    Instant(i64),
    Text(String),
    Unassigned,
}

impl SortKey {
    /// The primary value of a multi-valued attribute, else its first (RFC 7644 §3.4.2.3).
    fn of(row: &ResourceRow, attr: &AttrRef<'_>) -> Self {
        let document = object(&row.doc);
        let container = match attr.extension {
            None => Some(&document),
            Some(schema) => document.get(&schema.id).and_then(Value::as_object),
        };
        let mut value = container.and_then(|object| object.get(&attr.attribute.name));
        if let Some(Value::Array(elements)) = value {
            let is_primary = |e: &&Value| e.get("primary") == Some(&Value::Bool(true));
            value = elements.iter().find(is_primary).or_else(|| elements.first());
        }
        let leaf = attr.leaf();
        if let Some(members) = value.and_then(Value::as_object) {
            value = members.get(&leaf.name);
        }
        match (value, leaf.data_type) {
            (Some(Value::Bool(b)), _) => Self::Bool(*b),
            (Some(Value::Number(n)), _) => n.as_f64().map_or(Self::Unassigned, Self::Number),
            (Some(Value::String(text)), DataType::DateTime) => {
                instant_ms(text).map_or(Self::Unassigned, Self::Instant)
            }
            (Some(Value::String(text)), _) => Self::Text(text_key(text, leaf.case_exact)),
            _ => Self::Unassigned,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Instant(_) => 2,
            Self::Text(_) => 3,
            Self::Unassigned => 4,
        }
    }
}

impl Eq for SortKey {}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Instant(a), Self::Instant(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

/// The same filter with its one text percent-decoded, if that makes a difference.
fn percent_decoded(filter: &Filter) -> Option<Filter> {
    let Filter::Compare { path, op: CompareOp::Eq, value: Literal::Text(text) } = filter else {
        return None;
    };
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    let changed = decoded != text.as_str() && !decoded.contains(char::is_control);
    let by_user_name = path.schema.is_none() && path.name.eq_ignore_ascii_case("userName");
    (changed && by_user_name).then(|| Filter::Compare {
        path: path.clone(),
        op: CompareOp::Eq,
        value: Literal::Text(decoded.into_owned()),
    })
}
