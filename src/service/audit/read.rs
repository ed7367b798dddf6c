//! Reading the audit log: pages by what can be searched for, and all of it for an export.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::action;
use crate::clock::Clock;
use crate::scim::key::{instant_ms, instant_text};
use crate::service::administer::{ListPage, ListParameters};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::audit::{AuditFilter, AuditRow};
use crate::store::{ListRange, RangeFrom, StoreError, Tx};

/// Rows that are read at a time.
const CHUNK: i64 = 500;

/// Rows that one search for a text looks at; the cursor leads on from there.
const MOST_LOOKED_AT: usize = 20_000;

/// What is searched for; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub organization_id: Option<String>,
    pub directory_id: Option<String>,
    /// The id of an API key, an administrator or a setup link, `configured` or `local`.
    pub actor: Option<String>,
    /// One of [`action::ALL`].
    pub action: Option<String>,
    /// The id of what something was done to.
    pub target: Option<String>,
    /// RFC 3339; from then on.
    pub from: Option<String>,
    /// RFC 3339; before then.
    pub to: Option<String>,
    /// Stands anywhere in the row, in any letter case.
    pub q: Option<String>,
    pub page: ListParameters,
}

/// A row as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AuditView {
    object: &'static str,
    pub id: String,
    pub at: String,
    pub actor: ActorView,
    pub action: String,
    pub organization_id: Option<String>,
    pub directory_id: Option<String>,
    pub target: TargetView,
    /// What differs from `after`, as it was.
    pub before: Option<Value>,
    /// What differs from `before`, as it was then.
    pub after: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ActorView {
    /// `api_key`, `administrator`, `portal_link` or `operator`.
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    pub name: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TargetView {
    /// What stands before the full stop in the action.
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    pub name: Option<String>,
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
        let kind = row.action.split('.').next().unwrap_or_default().to_owned();
        Self {
            object: "audit_entry",
            id: row.id,
            at: instant_text(row.at),
            actor: ActorView { kind: row.actor_type, id: row.actor_id, name: row.actor_name },
            action: row.action,
            organization_id: row.organization_id,
            directory_id: row.directory_id,
            target: TargetView { kind, id: row.target_id, name: row.target_name },
            before: row.before.map(json),
            after: row.after.map(json),
        }
    }
}

/// What a query selects: what the filter lets through, with the text.
#[derive(Clone, Debug)]
struct Selection {
    filter: AuditFilter,
    text: Option<String>,
}

/// A part of the log, one row more than wanted where there are more.
struct Part {
    rows: Vec<AuditRow>,
    /// The last row that was looked at, where a search ended before it had found enough.
    looked_until: Option<String>,
}

impl AuditQuery {
    fn selection(&self, access: &ApiAccess) -> Result<Selection, AdminError> {
        if let Some(word) = self.action.as_deref().filter(|word| !action::ALL.contains(word)) {
            let word: String = word.chars().take(80).collect();
            let message =
                format!("it is \"{word}\"; allowed is one of {}.", action::ALL.join(", "));
            return Err(AdminError::invalid("action", message));
        }
        let organizations = match (&self.organization_id, &access.organization_ids) {
            (None, limit) => limit.clone(),
            (Some(id), _) => Some(Vec::from_iter(access.reaches(id).then(|| id.clone()))),
        };
        let filter = AuditFilter {
            organizations,
            directory_id: self.directory_id.clone(),
            actor_id: self.actor.clone(),
            action: self.action.clone(),
            target_id: self.target.clone(),
            from: floor("from", self.from.as_deref())?,
            until: floor("to", self.to.as_deref())?,
        };
        let text = self.q.as_deref().map(str::to_lowercase).filter(|text| !text.trim().is_empty());
        Ok(Selection { filter, text })
    }
}

/// What sorts before every id that is made at that instant or later.
fn floor(field: &str, text: Option<&str>) -> Result<Option<String>, AdminError> {
    let Some(text) = text else { return Ok(None) };
    let ms = instant_ms(text).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        let message =
            format!("it is \"{text}\"; allowed is a date and time such as 2031-01-01T00:00:00Z.");
        AdminError::invalid(field, message)
    })?;
    Ok(Some(Clock::floor("audit", ms)))
}

impl Selection {
    fn part(&self, tx: &mut Tx<'_>, range: &ListRange) -> Result<Part, StoreError> {
        let Some(text) = &self.text else {
            return Ok(Part { rows: tx.audit_list(&self.filter, range)?, looked_until: None });
        };
        let wanted = usize::try_from(range.limit).unwrap_or(usize::MAX);
        let mut chunk = ListRange { from: range.from.clone(), limit: CHUNK };
        let (mut rows, mut looked_at) = (Vec::new(), 0);
        loop {
            let found = tx.audit_list(&self.filter, &chunk)?;
            let is_last = i64::try_from(found.len()).unwrap_or(i64::MAX) < CHUNK;
            looked_at += found.len();
            let last = found.last().map(|row| row.id.clone());
            rows.extend(found.into_iter().filter(|row| contains(row, text)));
            if is_last || rows.len() >= wanted {
                rows.truncate(wanted);
                return Ok(Part { rows, looked_until: None });
            }
            let last = last.unwrap_or_default();
            if looked_at >= MOST_LOOKED_AT {
                return Ok(Part { rows, looked_until: Some(last) });
            }
            chunk.from = match chunk.from {
                RangeFrom::Before(_) => RangeFrom::Before(last),
                RangeFrom::Newest | RangeFrom::After(_) => RangeFrom::After(last),
            };
        }
    }
}

/// Whether a text, which is in lower case, stands anywhere in the row.
fn contains(row: &AuditRow, text: &str) -> bool {
    let optional = [
        &row.actor_name,
        &row.organization_id,
        &row.directory_id,
        &row.target_name,
        &row.before,
        &row.after,
    ];
    [&row.id, &row.actor_id, &row.action, &row.target_id]
        .into_iter()
        .chain(optional.into_iter().flatten())
        .any(|member| member.to_lowercase().contains(text))
}

impl Service {
    /// Rows, newest first. In a search for a text a page may be shorter than wanted, and its cursor leads
    /// on.
    pub async fn audit_list(
        &self,
        access: &ApiAccess,
        query: &AuditQuery,
    ) -> Result<ListPage<AuditView>, ServiceError> {
        let (range, selection) = (query.page.range()?, query.selection(access)?);
        let part = self.audit_part(selection, range.clone()).await?;
        let mut page = ListPage::of(&range, part.rows, |row| &row.id);
        match range.from {
            _ if part.looked_until.is_none() => {}
            RangeFrom::Before(_) => page.list_metadata.before = part.looked_until,
            RangeFrom::Newest | RangeFrom::After(_) => page.list_metadata.after = part.looked_until,
        }
        Ok(page.map(Into::into))
    }

    async fn audit_part(
        &self,
        selection: Selection,
        range: ListRange,
    ) -> Result<Part, ServiceError> {
        let is_search = selection.text.is_some();
        let work = move |tx: &mut Tx<'_>| selection.part(tx, &range);
        let part: Result<Part, StoreError> = match is_search {
            // It looks at many rows, and must hold up nobody else.
            true => self.store.scan("audit_search", work).await,
            false => self.store.read("audit_list", work).await,
        };
        Ok(part?)
    }

    /// All rows that a query selects, newest first, a part at a time.
    pub fn audit_pages(
        self: &Arc<Self>,
        access: &ApiAccess,
        query: &AuditQuery,
        format: ExportFormat,
    ) -> Result<AuditPages, ServiceError> {
        Ok(AuditPages {
            service: Arc::clone(self),
            selection: query.selection(access)?,
            format,
            from: Some(RangeFrom::Newest),
            heading: format == ExportFormat::Csv,
        })
    }
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// RFC 4180, with a line of names.
    Csv,
    /// A JSON object for each line.
    Jsonl,
}

/// An export that is being read.
pub struct AuditPages {
    service: Arc<Service>,
    selection: Selection,
    format: ExportFormat,
    /// Where the next part begins; `None` at the end.
    from: Option<RangeFrom>,
    /// The line of names is still to come.
    heading: bool,
}

const HEADING: &str = "id,at,actor_type,actor_id,actor_name,action,organization_id,directory_id,\
     target_type,target_id,target_name,before,after\r\n";

impl AuditPages {
    /// The next lines; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<String>, ServiceError> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let range = ListRange { from, limit: CHUNK };
        let part = self.service.audit_part(self.selection.clone(), range).await?;
        let is_full = i64::try_from(part.rows.len()).unwrap_or(i64::MAX) >= CHUNK;
        let last = part.rows.last().filter(|_| is_full).map(|row| row.id.clone());
        self.from = part.looked_until.or(last).map(RangeFrom::After);
        let mut lines = String::new();
        if std::mem::take(&mut self.heading) {
            lines.push_str(HEADING);
        }
        for row in part.rows {
            match self.format {
                ExportFormat::Csv => csv_line(&mut lines, &row),
                ExportFormat::Jsonl => {
                    lines.push_str(
                        &serde_json::to_string(&AuditView::from(row)).unwrap_or_default(),
                    );
                    lines.push('\n');
                }
            }
        }
        Ok(Some(lines))
    }
}

fn csv_line(lines: &mut String, row: &AuditRow) {
    let at = instant_text(row.at);
    let of = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let cells = [
        row.id.clone(),
        at,
        row.actor_type.clone(),
        row.actor_id.clone(),
        of(&row.actor_name),
        row.action.clone(),
        of(&row.organization_id),
        of(&row.directory_id),
        row.action.split('.').next().unwrap_or_default().to_owned(),
        row.target_id.clone(),
        of(&row.target_name),
        of(&row.before),
        of(&row.after),
    ];
    for (index, cell) in cells.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // A spreadsheet would take these for the beginning of a formula.
        let quote = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        let _ = write!(lines, "{comma}\"{quote}{}\"", cell.replace('"', "\"\""));
    }
    lines.push_str("\r\n");
}
