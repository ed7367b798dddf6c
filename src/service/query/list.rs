//! A list request, from names to a page.

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::{Anchor, Cursor, Direction, Position, QueryHash};
use super::relations::{Found, Relations};
use super::{Access, CURSOR_SECONDS, Entry, Listed, Service, ServiceError};
use crate::profile::Unknown;
use crate::scim::filter::{
    CompareOp, Filter, Literal, UnknownNames, parse_attr_path, parse_filter, resolve_with,
};
use crate::scim::list::{Page, SearchRequest, SortOrder, Window};
use crate::scim::resource::Projection;
use crate::scim::schema::{Kept, Returned};
use crate::scim::{AttrPath, AttrRef, Registry, ResourceType, ScimError, urn};
use crate::service::context::Directory;
use crate::store::member::MembershipRow;
use crate::store::plan::{InstantColumn, Plan, Predicate, TextColumn, compile};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Most terms of a filter: the databases limit how large a condition may be.
const MAX_TERMS: usize = 200;

/// Members on one page of groups; the group that passes it is the last of the page.
const MAX_PAGE_MEMBERS: usize = 50_000;

/// One resource type of a list.
pub(super) struct Source {
    pub(super) resource_type: Arc<ResourceType>,
    projection: Arc<Projection>,
    pub(super) relations: Relations,
    pub(super) predicate: Predicate,
    /// What the predicate does not decide.
    pub(super) filter: Option<Filter>,
    pub(super) unknown: UnknownNames,
    /// What to sort by, where the type has it.
    pub(super) sort: Option<AttrPath>,
}

impl Source {
    pub(super) fn sort_attr(&self) -> Option<AttrRef<'_>> {
        self.resource_type.resolve_attribute(self.sort.as_ref()?)
    }
}

/// Which part of a list is read.
#[derive(Clone, Debug)]
pub(super) enum Span {
    Index { page: Page, anchor: Option<Anchor> },
    Cursor { from: Option<Cursor>, count: u32 },
}

impl Span {
    pub(super) fn count(&self) -> u32 {
        match self {
            Self::Index { page, .. } => page.count,
            Self::Cursor { count, .. } => *count,
        }
    }

    pub(super) fn direction(&self) -> Direction {
        match self {
            Self::Cursor { from: Some(cursor), .. } => cursor.direction,
            _ => Direction::Forward,
        }
    }
}

/// A list request whose names are known to be right.
pub(super) struct Listing {
    pub(super) directory_key: i64,
    pub(super) base: String,
    pub(super) registry: Registry,
    pub(super) sources: Vec<Source>,
    /// True when the request sorts; then no order but the wanted one will do.
    pub(super) sorted: bool,
    pub(super) sort_order: SortOrder,
    pub(super) span: Span,
}

/// Index of the source, row, place.
pub(super) type Placed = (usize, ResourceRow, Position);

/// Rows of a page in order, with their places, and what lies around them.
pub(super) struct Slice {
    pub(super) total: i64,
    pub(super) rows: Vec<Placed>,
    pub(super) more_before: bool,
    pub(super) more_after: bool,
}

/// A page with the places of its first and last row.
struct PageRead {
    slice_total: i64,
    entries: Vec<(usize, Found)>,
    first: Option<Position>,
    last: Option<Position>,
    more_before: bool,
    more_after: bool,
}

impl Service {
    /// A page of the resources of one type, or of several (RFC 7644 §3.4.2.1). `base` is the SCIM base
    /// URL: a filter may be about links.
    pub async fn list(
        &self,
        access: &Access,
        base: &str,
        types: &[Arc<ResourceType>],
        request: &SearchRequest,
    ) -> Result<Listed, ServiceError> {
        let profile = &access.directory.profile;
        let text = request.filter.as_deref();
        let filter = text.map(|t| parse_filter(t, profile.unquoted_values())).transpose()?;
        if let Some(terms) = filter.as_ref().map(Filter::terms).filter(|n| *n > MAX_TERMS) {
            return Err(ScimError::invalid_filter(format!(
                "The filter has {terms} terms; at most {MAX_TERMS} are allowed."
            ))
            .into());
        }
        let listed = self.list_by(access, base, types, request, filter.clone()).await?;
        if listed.total == 0
            && profile.retry_percent_decoded
            && let Some(decoded) = filter.as_ref().and_then(percent_decoded)
        {
            return self.list_by(access, base, types, request, Some(decoded)).await;
        }
        Ok(listed)
    }

    async fn list_by(
        &self,
        access: &Access,
        base: &str,
        types: &[Arc<ResourceType>],
        request: &SearchRequest,
        filter: Option<Filter>,
    ) -> Result<Listed, ServiceError> {
        let (directory, now) = (&access.directory, self.clock.now_ms());
        let sources = sources(types, request, filter.as_ref(), directory)?;
        let query = query_hash(&sources, request, filter.as_ref(), directory);
        let span = match &request.window {
            // Who asks for the total alone begins no new walk.
            Window::Index(page) if page.count == 0 => Span::Index { page: *page, anchor: None },
            Window::Index(page) => Span::Index {
                page: *page,
                anchor: self.anchors.nearest(query, page.start_index - 1, now),
            },
            Window::Cursor { cursor, count } => {
                let open = |text: &String| self.cursors.open(query, text, *count, now);
                Span::Cursor { from: cursor.as_ref().map(open).transpose()?, count: *count }
            }
        };
        let listing = Listing {
            directory_key: directory.key,
            base: base.to_owned(),
            registry: directory.registry.clone(),
            sorted: sources.iter().any(|source| source.sort.is_some()),
            sources,
            sort_order: request.sort_order,
            span: span.clone(),
        };
        let shown: Vec<(Arc<ResourceType>, Arc<Projection>)> = (listing.sources.iter())
            .map(|source| (Arc::clone(&source.resource_type), Arc::clone(&source.projection)))
            .collect();
        let is_lookup = listing.is_lookup();
        let page: PageRead = match listing.segments() {
            Some(segments) => {
                let read = move |tx: &mut Tx<'_>| {
                    let slice = listing.walk(tx, &segments)?;
                    listing.with_relations(tx, slice)
                };
                match is_lookup {
                    true => self.store.lookup("list", read).await?,
                    false => self.store.read("list", read).await?,
                }
            }
            None => {
                let read = move |tx: &mut Tx<'_>| {
                    let slice = listing.scan(tx)?;
                    listing.with_relations(tx, slice)
                };
                match is_lookup {
                    true => self.store.lookup("list", read).await?,
                    false => self.store.scan("list_scan", read).await?,
                }
            }
        };
        let (next, previous) = self.cursors_around(query, &span, &page, now);
        if let (Span::Index { page: asked, .. }, Some(last)) = (&span, &page.last) {
            let rows = u64::try_from(page.entries.len()).unwrap_or(0) + asked.start_index - 1;
            // Who has read everything does not go on.
            if i64::try_from(rows).is_ok_and(|rows| rows < page.slice_total) {
                self.anchors.note(query, rows, last.clone(), now);
            }
        }
        let resources = page.entries.into_iter().filter_map(|(source, found)| {
            let (resource_type, projection) = shown.get(source)?.clone();
            Some(Entry { resource_type, projection, found })
        });
        Ok(Listed {
            total: page.slice_total,
            start_index: match &span {
                Span::Index { page, .. } => Some(page.start_index),
                Span::Cursor { .. } => None,
            },
            next_cursor: next,
            previous_cursor: previous,
            resources: resources.collect(),
        })
    }

    fn cursors_around(
        &self,
        query: QueryHash,
        span: &Span,
        page: &PageRead,
        now: i64,
    ) -> (Option<String>, Option<String>) {
        let Span::Cursor { count, .. } = span else { return (None, None) };
        let seal = |position: &Option<Position>, direction| {
            let cursor = Cursor {
                position: position.clone(),
                direction,
                total: page.slice_total,
                count: *count,
                expires: now + i64::from(CURSOR_SECONDS) * 1_000,
            };
            self.cursors.seal(query, &cursor)
        };
        (
            page.more_after.then(|| seal(&page.last, Direction::Forward)),
            page.more_before.then(|| seal(&page.first, Direction::Backward)),
        )
    }
}

impl Listing {
    /// The groups of those rows of a page that show them, by key.
    fn groups_of(
        &self,
        tx: &mut Tx<'_>,
        rows: &[Placed],
    ) -> Result<HashMap<i64, Vec<MembershipRow>>, StoreError> {
        let shows = |source: &usize| self.sources.get(*source).is_some_and(|s| s.relations.groups);
        let shown = rows.iter().filter(|(source, ..)| shows(source));
        let keys: Vec<i64> = shown.map(|(_, row, _)| row.key).collect();
        // Those of one resource are read in several statements on SQLite: a worker can stop in between.
        if let [key] = keys.as_slice() {
            return Ok(HashMap::from([(*key, tx.membership_list(self.directory_key, *key)?)]));
        }
        let mut groups: HashMap<i64, Vec<MembershipRow>> = HashMap::new();
        for (member, group) in tx.membership_lists(self.directory_key, &keys)? {
            groups.entry(member).or_default().push(group);
        }
        Ok(groups)
    }

    /// Loads what other rows say about the rows of a page. A shorter page is still a page; the next
    /// one goes on (RFC 7644 §3.4.2.4). It is filled from the side on which the walk comes in.
    fn with_relations(&self, tx: &mut Tx<'_>, slice: Slice) -> Result<PageRead, ServiceError> {
        let backward = self.span.direction() == Direction::Backward;
        let (mut more_before, mut more_after) = (slice.more_before, slice.more_after);
        let mut rows = slice.rows;
        if backward {
            rows.reverse();
        }
        let mut groups = self.groups_of(tx, &rows)?;
        let (count, mut members) = (rows.len(), 0);
        let (mut entries, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (source, row, place) in rows {
            let Some(from) = self.sources.get(source) else { continue };
            let groups = groups.remove(&row.key).unwrap_or_default();
            let found = from.relations.load_around(tx, self.directory_key, row, groups)?;
            members += found.members.len();
            entries.push((source, found));
            places.push(place);
            if members > MAX_PAGE_MEMBERS && entries.len() < count {
                *(if backward { &mut more_before } else { &mut more_after }) = true;
                break;
            }
        }
        if backward {
            entries.reverse();
            places.reverse();
        }
        Ok(PageRead {
            slice_total: slice.total,
            entries,
            first: places.first().cloned(),
            last: places.pop(),
            more_before,
            more_after,
        })
    }
}

fn sources(
    types: &[Arc<ResourceType>],
    request: &SearchRequest,
    filter: Option<&Filter>,
    directory: &Directory,
) -> Result<Vec<Source>, ScimError> {
    let unknown = unknown_names(types, filter)?;
    let sorts: Vec<Option<AttrPath>> =
        types.iter().map(|resource_type| sort_path(request, resource_type)).collect();
    if let (Some(name), true) = (&request.sort_by, sorts.iter().all(Option::is_none)) {
        refuse_sort(name, types, directory)?;
    }
    types
        .iter()
        .zip(sorts)
        .map(|(resource_type, sort)| {
            let plan = match filter {
                Some(filter) => {
                    compile(&resolve_with(filter, resource_type, unknown)?, resource_type)
                }
                None => Plan::all(),
            };
            let (wanted, excluded) = (&request.attributes, &request.excluded_attributes);
            let projection =
                Projection::parse(wanted.as_deref(), excluded.as_deref(), resource_type)?;
            Ok(Source {
                relations: Relations::of(resource_type, &projection),
                resource_type: Arc::clone(resource_type),
                projection: Arc::new(projection),
                predicate: plan.predicate,
                filter: filter.filter(|_| !plan.exact).cloned(),
                unknown,
                sort,
            })
        })
        .collect()
}

/// Over several types a name may be unknown to some of them (RFC 7644 §3.4.2.1), but not to all.
fn unknown_names(
    types: &[Arc<ResourceType>],
    filter: Option<&Filter>,
) -> Result<UnknownNames, ScimError> {
    let Some(filter) = filter else { return Ok(UnknownNames::Refuse) };
    if types.len() == 1 {
        return Ok(UnknownNames::Refuse);
    }
    let nobody_knows =
        |path: &&AttrPath| types.iter().all(|resource_type| resource_type.resolve(path).is_none());
    match filter.paths().into_iter().find(nobody_knows) {
        Some(path) => {
            Err(ScimError::invalid_filter(format!("No resource type has an attribute \"{path}\".")))
        }
        None => Ok(UnknownNames::Unassigned),
    }
}

fn query_hash(
    sources: &[Source],
    request: &SearchRequest,
    filter: Option<&Filter>,
    directory: &Directory,
) -> QueryHash {
    let types: Vec<&str> = sources.iter().map(|s| s.resource_type.name.as_str()).collect();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let parts = [
        types.join(","),
        directory.schema_version.to_string(),
        filter.map(ToString::to_string).unwrap_or_default(),
        text(&request.sort_by),
        format!("{:?}", request.sort_order),
        text(&request.attributes),
        text(&request.excluded_attributes),
    ];
    QueryHash::of(directory.key, parts.iter().map(String::as_str))
}

/// The attribute to sort by, if the type has it and it has an order.
fn sort_path(request: &SearchRequest, resource_type: &ResourceType) -> Option<AttrPath> {
    let path = parse_attr_path(request.sort_by.as_deref()?).ok()?;
    let attr = resource_type.resolve_attribute(&path)?;
    // The order of values that are never returned would tell what they are.
    let hidden = [Some(attr.attribute), attr.sub, Some(attr.leaf())];
    let hidden = hidden.into_iter().flatten().any(|a| a.returned == Returned::Never);
    let unknown = hidden || is_made_when_shown(&attr, resource_type);
    (!attr.leaf().is_complex() && !unknown).then_some(path)
}

/// True for what no document holds: every resource would have to be shown to be sorted by it.
fn is_made_when_shown(attr: &AttrRef<'_>, resource_type: &ResourceType) -> bool {
    let is_enterprise = attr.extension.is_some_and(|schema| schema.id == urn::ENTERPRISE_USER);
    match (attr.attribute.name.as_str(), attr.sub.map(|sub| sub.name.as_str())) {
        ("groups", _) => attr.extension.is_none() && resource_type.is_user(),
        ("meta", Some("version" | "location")) => attr.extension.is_none(),
        ("manager", Some("$ref" | "displayName")) => is_enterprise,
        _ => attr.attribute.kept == Kept::AsMembers,
    }
}

/// What an unknown `sortBy` means is the profile's choice.
fn refuse_sort(
    name: &str,
    types: &[Arc<ResourceType>],
    directory: &Directory,
) -> Result<(), ScimError> {
    if directory.profile.unknown_sort == Unknown::Keep {
        return Ok(());
    }
    let names: Vec<&str> = types.iter().map(|t| t.name.as_str()).collect();
    Err(ScimError::invalid_value(format!(
        "The parameter \"sortBy\" names \"{}\", which is no attribute of {} that has an order.",
        name.chars().take(80).collect::<String>(),
        names.join(" or ")
    )))
}

/// The column that has the order of an attribute.
pub(super) enum OrderColumn {
    Text(TextColumn),
    Instant(InstantColumn),
}

pub(super) fn order_column(
    attr: &AttrRef<'_>,
    resource_type: &ResourceType,
) -> Option<OrderColumn> {
    match TextColumn::of(attr, resource_type) {
        Some(column) => Some(OrderColumn::Text(column)),
        None => InstantColumn::of(attr).map(OrderColumn::Instant),
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
