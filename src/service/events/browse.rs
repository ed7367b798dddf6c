//! The event log for people: newest first, by what an event is about.

use serde::Serialize;

use super::audience::{Audience, names};
use super::look::{Filter, Found, SLACK_MS, organizations, read};
use super::read::{INNER_BYTES, instant};
use super::view::LogEvent;
use crate::clock::Clock;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::event_log::Order;

/// Default and greatest length of a page.
const LIMITS: (i64, i64) = (50, 500);

/// What somebody looks for.
#[derive(Clone, Debug, Default)]
pub struct Browse {
    /// Names of events; all when empty.
    pub events: Vec<String>,
    pub organization_id: Option<String>,
    pub directory_id: Option<String>,
    /// The id of the user, group or other thing that an event is about.
    pub resource_id: Option<String>,
    /// RFC 3339; both ends count.
    pub range_start: Option<String>,
    pub range_end: Option<String>,
    /// Only events before this position.
    pub before: Option<i64>,
    pub limit: Option<i64>,
}

/// Events, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct BrowsePage {
    pub data: Vec<LogEvent>,
    /// Where to go on, null at the end of the log: older events than those that were looked at.
    pub before: Option<i64>,
}

impl Service {
    /// The newest events of that kind. So many are looked at that an answer comes soon: a page may have
    /// fewer events than fit, or none, and still lead on.
    pub async fn log_browse(
        &self,
        access: &ApiAccess,
        browse: &Browse,
    ) -> Result<BrowsePage, ServiceError> {
        let limit = browse.limit.unwrap_or(LIMITS.0);
        if !(1..=LIMITS.1).contains(&limit) {
            let message = format!("it is {limit}; allowed is 1 to {}.", LIMITS.1);
            return Err(AdminError::invalid("limit", message).into());
        }
        let from = instant("range_start", browse.range_start.as_deref())?;
        let to = instant("range_end", browse.range_end.as_deref())?;
        let directory = match &browse.directory_id {
            Some(id) => Some(self.log_directory(access, id).await?),
            None => None,
        };
        let filter = Filter {
            audience: Audience::Native,
            names: names(&browse.events, Audience::Native)?,
            range: (from.is_some() || to.is_some())
                .then(|| (from.unwrap_or(0), to.unwrap_or(i64::MAX - SLACK_MS))),
            organizations: organizations(access, browse.organization_id.as_deref()),
            directory,
            subject: browse.resource_id.clone(),
            bytes: INNER_BYTES,
        };
        let before = browse.before;
        let found: Found = self
            .store
            .read("log_browse", move |tx| {
                let newest = match to {
                    Some(to) => {
                        tx.log_from_id(&Clock::floor("event", to.saturating_add(SLACK_MS)))?
                    }
                    None => None,
                };
                let beyond = before.into_iter().chain(newest).min().unwrap_or(i64::MAX);
                Ok::<_, ServiceError>(read(tx, &filter, Order::NewestFirst, beyond, limit + 1)?)
            })
            .await?;
        let (mut rows, wanted) = (found.rows, usize::try_from(limit).unwrap_or(usize::MAX));
        let full = rows.len() > wanted;
        rows.truncate(wanted);
        let before = match full {
            true => rows.last().map(|row| row.position),
            false => found.stopped.map(|(position, _)| position),
        };
        Ok(BrowsePage { data: rows.into_iter().map(LogEvent::from).collect(), before })
    }

    /// One event.
    pub async fn log_get(&self, access: &ApiAccess, id: &str) -> Result<LogEvent, ServiceError> {
        let (id, allowed) = (id.to_owned(), access.organization_ids.clone());
        let missing = || ServiceError::from(AdminError::not_found("The event"));
        self.store
            .read("log_get", move |tx| {
                let (position, directory) = tx.log_find(&id)?.ok_or_else(missing)?;
                let seen = allowed.as_deref().map(|ids| tx.log_directories(ids)).transpose()?;
                if seen.is_some_and(|keys| !keys.contains(&directory)) {
                    return Err(missing());
                }
                let found = tx.log_at(&[position], Order::NewestFirst, INNER_BYTES)?;
                found.rows.into_iter().next().map(LogEvent::from).ok_or_else(missing)
            })
            .await
    }
}
