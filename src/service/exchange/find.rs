//! Reading records: lists by what can be searched for, and one by its id.

use std::sync::Arc;

use serde_json::Value;

use super::keep::PREFIX;
use crate::clock::Clock;
use crate::scim::Object;
use crate::scim::key::instant_ms;
use crate::service::administer::{ListPage, ListParameters};
use crate::service::context::Settings;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::request_record::{RequestFilter, RequestRow};
use crate::store::{ListRange, RangeFrom, Store, StoreError, Tx};

/// Records that one search for text opens at most; the cursor leads on from there.
const MAX_OPENED: usize = 10_000;

/// Records that are read at a time in a search for text.
const CHUNK: i64 = 200;

/// Newest records among which a refusal is looked for.
const LOOKED_AT: i64 = 200;

/// Members of a record that lists leave out: they can be large.
const ONLY_ALONE: [&str; 3] = ["received", "changes", "operations"];

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What is searched for; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct RecordQuery {
    /// `409`, or a class such as `4xx`.
    pub status: Option<String>,
    /// A userName, an externalId or an id, in any letter case.
    pub user: Option<String>,
    pub method: Option<String>,
    /// RFC 3339; records from then on.
    pub since: Option<String>,
    /// RFC 3339; records before.
    pub until: Option<String>,
    /// Stands anywhere in the record, in any letter case.
    pub text: Option<String>,
    pub page: ListParameters,
}

impl Service {
    /// The newest request that was refused with a 4xx, whole, if it is not too long ago. However many records
    /// there are, it looks at a few hundred.
    pub(in crate::service) async fn record_refused(
        self: &Arc<Self>,
        directory: &DirectoryRow,
    ) -> Result<Option<Value>, StoreError> {
        let (key, oldest) = (directory.key, self.oldest_shown(directory));
        let rows: Vec<RequestRow> = self
            .records_store(async move |store| {
                let oldest = oldest.clone();
                let read = move |tx: &mut Tx<'_>| {
                    let first = tx.request_oldest_kept(key, LOOKED_AT)?;
                    let from = first.map_or(oldest.clone(), |first| first.max(oldest.clone()));
                    let filter = RequestFilter {
                        status: (400, 499),
                        method: None,
                        user_keys: Vec::new(),
                        from: Some(from),
                        until: None,
                    };
                    let newest = ListRange { from: RangeFrom::Newest, limit: 1 };
                    tx.request_list(key, &filter, &newest)
                };
                store.read("request_refused", read).await
            })
            .await?;
        let opened = rows.first().and_then(|row| self.records.opened(&directory.id, row));
        Ok(opened.map(Value::Object))
    }

    /// Records of a directory, newest first and whole; not searched for text.
    pub(in crate::service) async fn records_whole(
        self: &Arc<Self>,
        directory: &DirectoryRow,
        query: &RecordQuery,
    ) -> Result<ListPage<Value>, ServiceError> {
        let range = query.page.range()?;
        let filter = self.record_filter(query, directory)?;
        self.flush_records().await;
        let rows = self.read_records(directory, &filter, &range).await?;
        let open = |row: &RequestRow| {
            let record = self.records.opened(&directory.id, row)?;
            Some((row.id.clone(), Value::Object(record)))
        };
        let opened: Vec<(String, Value)> = rows.iter().filter_map(open).collect();
        Ok(ListPage::of(&range, opened, |(id, _)| id).map(|(_, record)| record))
    }

    /// Records of a directory, newest first, without their bodies and changes.
    pub async fn record_list(
        self: &Arc<Self>,
        access: &ApiAccess,
        directory_id: &str,
        query: &RecordQuery,
    ) -> Result<ListPage<Value>, ServiceError> {
        let directory = self.directory_row(access, directory_id).await?;
        let range = query.page.range()?;
        let filter = self.record_filter(query, &directory)?;
        self.flush_records().await;
        let found = match &query.text {
            None => self.read_records(&directory, &filter, &range).await?,
            Some(text) => return self.search_records(&directory, &filter, &range, text).await,
        };
        let opened: Vec<(String, Value)> =
            found.iter().filter_map(|row| self.listed(&directory, row)).collect();
        Ok(ListPage::of(&range, opened, |(id, _)| id).map(|(_, record)| record))
    }

    /// One record, whole.
    pub async fn record_get(
        self: &Arc<Self>,
        access: &ApiAccess,
        directory_id: &str,
        id: &str,
    ) -> Result<Object, ServiceError> {
        let directory = self.directory_row(access, directory_id).await?;
        self.flush_records().await;
        let (key, wanted) = (directory.key, id.to_owned());
        let row: Result<Option<RequestRow>, StoreError> = self
            .records_store(async move |store| {
                let wanted = wanted.clone();
                store.get("request_get", move |tx| tx.request_get(key, &wanted)).await
            })
            .await;
        let row = row?.filter(|row| row.id >= self.oldest_shown(&directory));
        row.and_then(|row| self.records.opened(&directory.id, &row))
            .ok_or_else(|| AdminError::not_found("The request record").into())
    }

    /// Reads from the store of records; a file that fails is opened again, once.
    async fn records_store<T>(
        &self,
        read: impl AsyncFn(Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let first = match self.records.store.get() {
            Ok(store) => read(store).await,
            Err(error) => Err(error),
        };
        let Err(error) = first else { return first };
        if !self.records.store.may_reopen(&error) {
            return Err(error);
        }
        self.reopen_records(error).await;
        read(self.records.store.get()?).await
    }

    /// What is older is as good as gone, also before it is removed.
    fn oldest_shown(&self, directory: &DirectoryRow) -> String {
        let settings: Settings = serde_json::from_str(&directory.settings).unwrap_or_default();
        Clock::floor(PREFIX, self.clock.now_ms() - settings.records.keep_ms())
    }

    fn record_filter(
        &self,
        query: &RecordQuery,
        directory: &DirectoryRow,
    ) -> Result<RequestFilter, AdminError> {
        let instant = |field: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => instant_ms(text).map(Some).ok_or_else(|| {
                let message = format!("\"{text}\" is no instant such as 2031-01-01T00:00:00Z.");
                AdminError::invalid(field, message)
            }),
        };
        let id_at = |ms: i64| Clock::floor(PREFIX, ms);
        let since = instant("since", &query.since)?.map(id_at);
        let until = instant("until", &query.until)?.map(id_at);
        let oldest = self.oldest_shown(directory);
        let method = query.method.as_ref().map(|method| method.to_ascii_uppercase());
        if let Some(method) = method.as_deref().filter(|method| !METHODS.contains(method)) {
            let message = format!("it is \"{method}\"; allowed are {}.", METHODS.join(", "));
            return Err(AdminError::invalid("method", message));
        }
        Ok(RequestFilter {
            status: status_range(query.status.as_deref())?,
            method,
            user_keys: query
                .user
                .as_ref()
                .map(|user| self.records.user_keys(&directory.id, user))
                .unwrap_or_default(),
            from: Some(since.map_or(oldest.clone(), |since| since.max(oldest))),
            until,
        })
    }

    async fn read_records(
        &self,
        directory: &DirectoryRow,
        filter: &RequestFilter,
        range: &ListRange,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let key = directory.key;
        self.records_store(async move |store| {
            let (filter, range) = (filter.clone(), range.clone());
            store.scan("request_list", move |tx| tx.request_list(key, &filter, &range)).await
        })
        .await
    }

    /// Opens records one after the other until a page of them holds the text.
    async fn search_records(
        &self,
        directory: &DirectoryRow,
        filter: &RequestFilter,
        range: &ListRange,
        text: &str,
    ) -> Result<ListPage<Value>, ServiceError> {
        let wanted = usize::try_from(range.limit).unwrap_or(usize::MAX);
        let text: Arc<str> = text.to_lowercase().into();
        let (mut found, mut opened): (Vec<(String, Value)>, usize) = (Vec::new(), 0);
        let mut chunk = ListRange { from: range.from.clone(), limit: CHUNK };
        let mut stopped_at = None;
        while found.len() < wanted {
            let rows = self.read_records(directory, filter, &chunk).await?;
            let Some(last) = rows.last().map(|row| row.id.clone()) else { break };
            opened += rows.len();
            let (records, id, text) =
                (Arc::clone(&self.records), directory.id.clone(), Arc::clone(&text));
            let matching = tokio::task::spawn_blocking(move || {
                let open = |row: &RequestRow| {
                    let record = records.opened(&id, row)?;
                    holds(&record, &text).then(|| (row.id.clone(), summary(record)))
                };
                rows.iter().filter_map(open).collect::<Vec<_>>()
            });
            let failed = |error: tokio::task::JoinError| StoreError::Unavailable(error.to_string());
            found.extend(matching.await.map_err(failed)?);
            chunk.from = match chunk.from {
                RangeFrom::Before(_) => RangeFrom::Before(last.clone()),
                _ => RangeFrom::After(last.clone()),
            };
            if opened >= MAX_OPENED && found.len() < wanted {
                stopped_at = Some(last);
                break;
            }
        }
        found.truncate(wanted);
        let mut page = ListPage::of(range, found, |(id, _)| id).map(|(_, record)| record);
        if let Some(last) = stopped_at {
            match range.from {
                RangeFrom::Before(_) => page.list_metadata.before = Some(last),
                _ => page.list_metadata.after = Some(last),
            }
        }
        Ok(page)
    }

    fn listed(&self, directory: &DirectoryRow, row: &RequestRow) -> Option<(String, Value)> {
        let record = self.records.opened(&directory.id, row)?;
        Some((row.id.clone(), summary(record)))
    }
}

fn summary(mut record: Object) -> Value {
    record.retain(|name, _| !ONLY_ALONE.contains(&name.as_str()));
    record.into()
}

/// True when a value in the record holds the text, which is in lower case. Names of members count
/// where the client chose them.
fn holds(record: &Object, text: &str) -> bool {
    fn any(value: &Value, text: &str, names: bool) -> bool {
        match value {
            Value::String(value) => value.to_lowercase().contains(text),
            Value::Array(elements) => elements.iter().any(|element| any(element, text, names)),
            Value::Object(members) => members.iter().any(|(name, value)| {
                (names && name.to_lowercase().contains(text)) || any(value, text, names)
            }),
            Value::Null => false,
            other => other.to_string().contains(text),
        }
    }
    record.iter().any(|(name, value)| any(value, text, name == "received"))
}

/// `409` or `4xx` as the lowest and highest status.
fn status_range(text: Option<&str>) -> Result<(i32, i32), AdminError> {
    let Some(text) = text else { return Ok((0, 999)) };
    let class = text.to_ascii_lowercase();
    let class = class.strip_suffix("xx").and_then(|class| class.parse::<i32>().ok());
    let found = match (class, text.parse::<i32>()) {
        (Some(class), _) if (1..=5).contains(&class) => Some((class * 100, class * 100 + 99)),
        (None, Ok(status)) if (100..=599).contains(&status) => Some((status, status)),
        _ => None,
    };
    found.ok_or_else(|| {
        let message = format!("it is \"{text}\"; allowed is a status such as 409, or 4xx.");
        AdminError::invalid("status", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_classes() {
        for (text, range) in [
            (None, Some((0, 999))),
            (Some("409"), Some((409, 409))),
            (Some("4xx"), Some((400, 499))),
            (Some("5XX"), Some((500, 599))),
            (Some("6xx"), None),
            (Some("99"), None),
            (Some("-4xx"), None),
            (Some("four"), None),
            (Some("xx"), None),
        ] {
            assert_eq!(status_range(text).ok(), range, "{text:?}");
        }
    }

    #[test]
    fn text_is_found_at_any_depth() {
        let record = serde_json::json!({
            "received": [{"Path": "Emails", "n": 12}], "b": "X \"y\"", "event_ids": [{"c": 1}],
        });
        let record = record.as_object().expect("an object");
        for (text, found) in [
            ("emails", true),
            ("path", true),
            ("12", true),
            ("x \"y", true),
            ("event", false),
            ("c", false),
        ] {
            assert_eq!(holds(record, text), found, "{text}");
        }
    }
}
