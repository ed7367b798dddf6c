//! Filters as SQL: what the database can decide, and whether anything is left to decide.
//!
//! A plan's predicate selects every match and perhaps more; `exact` says that there is no more.
//! Otherwise the evaluator of [`crate::scim::filter`] decides over the rows that the predicate
//! selects.

mod condition;

use crate::scim::filter::{CompareOp, Comparison, Operand, Resolved};
use crate::scim::key::{decimal_key, instant_key, integer_key};
use crate::scim::resource::extract::{ACTIVE_UNASSIGNED, ACTIVE_UNASSIGNED_KEY};
use crate::scim::schema::{Index, Kept, MAX_INDEX_BYTES, cut};
use crate::scim::{AttrRef, ResourceType};

use super::dialect::Dialect;
pub(super) use condition::render;

/// A filter, or the absence of one, for the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub predicate: Predicate,
    /// True when the predicate selects exactly the matches.
    pub exact: bool,
}

impl Plan {
    /// Every resource of the type.
    pub fn all() -> Self {
        Self { predicate: Predicate::All, exact: true }
    }

    fn undecided() -> Self {
        Self { predicate: Predicate::All, exact: false }
    }

    fn exact(predicate: Predicate) -> Self {
        Self { predicate, exact: true }
    }
}

/// A condition on rows of `resource`, known to both databases.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    All,
    Nothing,
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Text {
        column: TextColumn,
        op: CompareOp,
        key: String,
        negated: bool,
    },
    TextPresent {
        column: TextColumn,
        present: bool,
    },
    Instant {
        column: InstantColumn,
        op: CompareOp,
        ms: i64,
    },
    Active(bool),
    /// The resource has an index entry that compares so with the key.
    Indexed {
        path_id: i32,
        op: CompareOp,
        key: String,
        negated: bool,
    },
    /// A group with that direct member.
    HasMember {
        id: String,
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextColumn {
    Id,
    UserName,
    Display,
    ExternalId,
}

impl TextColumn {
    /// True when every resource of the type has a value there.
    pub fn is_always_assigned(self) -> bool {
        // A type has `userName` and a key of `displayName` only where they are required.
        !matches!(self, Self::ExternalId)
    }

    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Id => "r.id",
            Self::UserName => "r.user_name_key",
            Self::Display => "r.display_key",
            Self::ExternalId => "r.external_id",
        }
    }

    /// The column that holds the attribute's comparison key, if one does.
    pub fn of(attr: &AttrRef<'_>, resource_type: &ResourceType) -> Option<Self> {
        if attr.extension.is_some() || attr.sub.is_some() {
            return None;
        }
        match attr.attribute.name.as_str() {
            "id" => Some(Self::Id),
            "externalId" => Some(Self::ExternalId),
            "userName" if resource_type.is_user() => Some(Self::UserName),
            // Only where it is required is it kept as a key: see `extract::columns`.
            "displayName" if attr.attribute.required => Some(Self::Display),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstantColumn {
    Created,
    LastModified,
}

impl InstantColumn {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Created => "r.created",
            Self::LastModified => "r.modified",
        }
    }

    /// The column that holds `meta.created` or `meta.lastModified`.
    pub fn of(attr: &AttrRef<'_>) -> Option<Self> {
        match (attr.extension, attr.attribute.name.as_str(), attr.sub?.name.as_str()) {
            (None, "meta", "created") => Some(Self::Created),
            (None, "meta", "lastModified") => Some(Self::LastModified),
            _ => None,
        }
    }
}

/// Index entries of this length or more may be cut: only the evaluator knows.
const SURE_BYTES: usize = MAX_INDEX_BYTES - 4;

/// Compiles a resolved filter.
pub fn compile(filter: &Resolved<'_>, resource_type: &ResourceType) -> Plan {
    build(filter, resource_type, false)
}

/// `negated` pushes a `not` down to the leaves, where null columns are spelled out.
fn build(filter: &Resolved<'_>, resource_type: &ResourceType, negated: bool) -> Plan {
    match filter {
        Resolved::Not(inner) => build(inner, resource_type, !negated),
        Resolved::And(parts) | Resolved::Or(parts) => {
            let plans: Vec<Plan> =
                parts.iter().map(|part| build(part, resource_type, negated)).collect();
            let is_and = matches!(filter, Resolved::And(_)) != negated;
            if is_and { both(plans) } else { either(plans) }
        }
        Resolved::Present(attr) => present(attr, resource_type, negated),
        Resolved::Compare(comparison) => compare(comparison, resource_type, negated),
        Resolved::Element { attr, filter } => {
            // An element that must have a certain value is found by that value; the other
            // conditions are about the same element, which the index does not know.
            let index = index_of(resource_type, &format!("{}.value", attr.full_name()));
            match (negated, index, filter.required_value()) {
                (false, Some(index), Some(key)) => Plan {
                    predicate: Predicate::Indexed {
                        path_id: index.path_id,
                        op: CompareOp::Eq,
                        key: cut(key).to_owned(),
                        negated,
                    },
                    exact: false,
                },
                _ => Plan::undecided(),
            }
        }
    }
}

fn both(plans: Vec<Plan>) -> Plan {
    // One part that nothing can match decides for all.
    if plans.iter().any(|plan| plan.predicate == Predicate::Nothing) {
        return Plan::exact(Predicate::Nothing);
    }
    let mut exact = plans.iter().all(|plan| plan.exact);
    let mut parts: Vec<Predicate> =
        plans.into_iter().map(|plan| plan.predicate).filter(|p| *p != Predicate::All).collect();
    // One row is there to be looked at: what a condition on an index selects may be every resource.
    if parts.iter().any(Predicate::names_one) {
        let before = parts.len();
        parts.retain(|part| part.is_of_row() || part.is_about_members());
        exact &= parts.len() == before;
    }
    Plan { predicate: Predicate::And(parts), exact }
}

fn either(plans: Vec<Plan>) -> Plan {
    if plans.iter().any(|plan| plan.predicate == Predicate::All && !plan.exact) {
        return Plan::undecided();
    }
    let exact = plans.iter().all(|plan| plan.exact);
    Plan { predicate: Predicate::Or(plans.into_iter().map(|plan| plan.predicate).collect()), exact }
}

fn present(attr: &AttrRef<'_>, resource_type: &ResourceType, negated: bool) -> Plan {
    let present = !negated;
    if let Some(column) = TextColumn::of(attr, resource_type) {
        return Plan::exact(Predicate::TextPresent { column, present });
    }
    let always = InstantColumn::of(attr).is_some()
        || (attr.extension.is_none()
            && matches!(attr.attribute.name.as_str(), "schemas" | "meta")
            && attr.sub.is_none());
    if always {
        return Plan::exact(if present { Predicate::All } else { Predicate::Nothing });
    }
    // An element of `emails` can be present without a value, so the index proves nothing here.
    Plan::undecided()
}

fn index_of<'t>(resource_type: &'t ResourceType, name: &str) -> Option<&'t Index> {
    resource_type.indexes.iter().find(|index| index.name == name)
}

/// The index of what the name means: `emails` is `emails.value` (RFC 7644 §3.4.2.2).
fn indexed<'t>(attr: &AttrRef<'_>, resource_type: &'t ResourceType) -> Option<&'t Index> {
    let named = AttrRef { sub: attr.sub.or_else(|| attr.attribute.value_sub()), ..*attr };
    index_of(resource_type, &named.full_name())
}

/// A comparison that the index decides, by a key that it holds in full.
fn by_index(
    attr: &AttrRef<'_>,
    op: CompareOp,
    key: String,
    resource_type: &ResourceType,
    negated: bool,
) -> Plan {
    let supported = !matches!(op, CompareOp::Co | CompareOp::Ew);
    match indexed(attr, resource_type) {
        Some(index) if supported && !key.is_empty() && key.len() < SURE_BYTES => {
            Plan::exact(Predicate::Indexed { path_id: index.path_id, op, key, negated })
        }
        _ => Plan::undecided(),
    }
}

fn compare(comparison: &Comparison<'_>, resource_type: &ResourceType, negated: bool) -> Plan {
    let Comparison { attr, op, value } = comparison;
    // `ne` is `not eq`, for unassigned attributes too.
    let (op, negated) = match op {
        CompareOp::Ne => (CompareOp::Eq, !negated),
        other => (*other, negated),
    };
    match value {
        Operand::Null => present(attr, resource_type, !negated),
        Operand::Text(key) if names_type(attr) => {
            let holds = text_holds(op, &resource_type.name, key) != negated;
            Plan::exact(if holds { Predicate::All } else { Predicate::Nothing })
        }
        Operand::Text(key) => text(attr, op, key, resource_type, negated),
        Operand::Instant(ms) => match InstantColumn::of(attr) {
            Some(column) => Plan::exact(match (op, negated) {
                (CompareOp::Eq, true) => Predicate::Or(vec![
                    Predicate::Instant { column, op: CompareOp::Lt, ms: *ms },
                    Predicate::Instant { column, op: CompareOp::Gt, ms: *ms },
                ]),
                (op, true) => Predicate::Instant { column, op: opposite(op), ms: *ms },
                (op, false) => Predicate::Instant { column, op, ms: *ms },
            }),
            None => by_index(attr, op, instant_key(*ms), resource_type, negated),
        },
        Operand::Bool(wanted) if is_active(attr, resource_type) => {
            Plan::exact(active(*wanted, negated))
        }
        Operand::Bool(wanted) => {
            let key = if *wanted { "1" } else { "0" };
            by_index(attr, op, key.to_owned(), resource_type, negated)
        }
        Operand::Integer(wanted) => {
            by_index(attr, op, integer_key(i128::from(*wanted)), resource_type, negated)
        }
        Operand::Decimal(wanted) => {
            by_index(attr, op, decimal_key(*wanted), resource_type, negated)
        }
    }
}

/// `meta.resourceType`, which is the same for every resource of the type.
fn names_type(attr: &AttrRef<'_>) -> bool {
    attr.extension.is_none() && attr.full_name() == "meta.resourceType"
}

fn text_holds(op: CompareOp, found: &str, wanted: &str) -> bool {
    match op {
        CompareOp::Eq => found == wanted,
        CompareOp::Ne => found != wanted,
        CompareOp::Co => found.contains(wanted),
        CompareOp::Sw => found.starts_with(wanted),
        CompareOp::Ew => found.ends_with(wanted),
        CompareOp::Gt => found > wanted,
        CompareOp::Ge => found >= wanted,
        CompareOp::Lt => found < wanted,
        CompareOp::Le => found <= wanted,
    }
}

/// Users whose `active` was taken away count as active, but have no value that equals true.
fn active(wanted: bool, negated: bool) -> Predicate {
    let unassigned = |negated| Predicate::Indexed {
        path_id: ACTIVE_UNASSIGNED,
        op: CompareOp::Eq,
        key: ACTIVE_UNASSIGNED_KEY.to_owned(),
        negated,
    };
    match (wanted, negated) {
        (true, false) => Predicate::And(vec![Predicate::Active(true), unassigned(true)]),
        (true, true) => Predicate::Or(vec![Predicate::Active(false), unassigned(false)]),
        (false, negated) => Predicate::Active(negated),
    }
}

/// `active` of a user: the row has it as a column, and every user has a value.
fn is_active(attr: &AttrRef<'_>, resource_type: &ResourceType) -> bool {
    attr.extension.is_none() && attr.attribute.name == "active" && resource_type.is_user()
}

fn text(
    attr: &AttrRef<'_>,
    op: CompareOp,
    key: &str,
    resource_type: &ResourceType,
    negated: bool,
) -> Plan {
    if let Some(column) = TextColumn::of(attr, resource_type) {
        return match op {
            CompareOp::Ew => Plan::undecided(),
            // An empty prefix or part matches every present value.
            CompareOp::Sw | CompareOp::Co if key.is_empty() => Plan::undecided(),
            op => Plan::exact(Predicate::Text { column, op, key: key.to_owned(), negated }),
        };
    }
    let is_value = attr.extension.is_none()
        && attr.sub.is_none_or(|sub| sub.name == "value")
        && op == CompareOp::Eq;
    if is_value && attr.attribute.kept == Kept::AsMembers {
        return Plan::exact(Predicate::HasMember { id: key.to_owned(), negated });
    }
    by_index(attr, op, key.to_owned(), resource_type, negated)
}

fn opposite(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Gt => CompareOp::Le,
        CompareOp::Ge => CompareOp::Lt,
        CompareOp::Lt => CompareOp::Ge,
        CompareOp::Le => CompareOp::Gt,
        other => other,
    }
}

impl Predicate {
    /// True when the predicate names its resources by key, through another table.
    fn names_keys(&self) -> bool {
        match self {
            Self::Indexed { negated, .. } | Self::HasMember { negated, .. } => !negated,
            // The index of the one resource comes first.
            Self::And(_) if self.names_one() => false,
            Self::And(parts) => parts.iter().any(Self::names_keys),
            Self::Or(parts) => !parts.is_empty() && parts.iter().all(Self::names_keys),
            _ => false,
        }
    }

    /// True when at most one resource of a type can match, and reading its row by an index decides.
    pub fn is_unique(&self) -> bool {
        self.names_one() && self.is_of_row()
    }

    /// True when at most one resource of a type can match, and an index finds it.
    fn names_one(&self) -> bool {
        use TextColumn::{Id, UserName};
        match self {
            Self::Text { column, op, negated, .. } => {
                matches!(column, Id | UserName) && *op == CompareOp::Eq && !negated
            }
            Self::And(parts) => parts.iter().any(Self::names_one),
            _ => false,
        }
    }

    /// True when the row alone decides, and no other table.
    fn is_of_row(&self) -> bool {
        match self {
            Self::Indexed { .. } | Self::HasMember { .. } => false,
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_of_row),
            _ => true,
        }
    }

    /// True when members decide, of whom the evaluator would have to read all.
    fn is_about_members(&self) -> bool {
        match self {
            Self::HasMember { .. } => true,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::is_about_members),
            _ => false,
        }
    }

    /// True when an index other than the walk by key finds the resources.
    fn is_driven(&self) -> bool {
        match self {
            Self::Text { op, negated, .. } => !negated && *op != CompareOp::Co,
            Self::And(parts) => parts.iter().any(Self::is_driven),
            Self::Or(parts) => !parts.is_empty() && parts.iter().all(Self::is_driven),
            other => other.names_keys(),
        }
    }

    /// True when an index finds the resources by a value, which few of them have.
    fn names_few(&self) -> bool {
        match self {
            Self::Text { op, negated, .. } | Self::Indexed { op, negated, .. } => {
                !negated && *op == CompareOp::Eq
            }
            Self::HasMember { negated, .. } => !negated,
            Self::And(parts) => parts.iter().any(Self::names_few),
            Self::Or(parts) => !parts.is_empty() && parts.iter().all(Self::names_few),
            _ => false,
        }
    }

    /// The column that continues a walk by key. It must not tempt SQLite to walk all directories by
    /// key where the predicate has an index of its own.
    pub(super) fn key_column(&self, dialect: Dialect) -> &'static str {
        match (dialect, self.is_driven()) {
            (Dialect::Sqlite, true) => "+r.key",
            _ => "r.key",
        }
    }

    /// The condition on directory and type, which wraps every predicate. Where the predicate names
    /// keys, SQLite must not walk the directory instead: a `+` hides a column from its indexes. PostgreSQL
    /// must not where it names few; where many may match, it has to know how large the directory is.
    pub(super) fn scope(&self, dialect: Dialect) -> String {
        let directory = match dialect {
            Dialect::Sqlite if self.names_keys() => {
                return "+r.directory_key = ? AND +r.resource_type = ?".to_owned();
            }
            Dialect::Postgres if self.names_few() => dialect.whose("r.directory_key"),
            _ => "r.directory_key = ?".to_owned(),
        };
        format!("{directory} AND r.resource_type = ?")
    }
}
