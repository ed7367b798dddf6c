//! Users whom a list is about, read inside a unit.
//!
//! An index may find many more users than are shown: all whose second address it is, say. They are
//! walked once, by their keys, and only as many as a page needs are kept.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Stopwatch;
use crate::scim::key::text_key;
use crate::scim::schema::cut;
use crate::service::context::Directory;
use crate::service::lifecycle::departed_row;
use crate::service::query::{SCAN_ROWS, SCAN_TIME};
use crate::service::seen::app_view;
use crate::store::departed::Departed;
use crate::store::resource::ResourceRow;
use crate::store::{IdRange, StoreError, Tx, Walk};

/// The index of addresses.
const EMAILS: &str = "emails.value";

/// How many rows are read at a time.
const CHUNK: i64 = 500;

/// How many rows may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// One chunk: what nearly every address and id needs.
    Glance,
    /// As many as a scan may.
    Scan,
}

/// A list inside a unit.
#[derive(Clone)]
pub(super) struct Listing {
    pub directory: Arc<Directory>,
    pub group: Option<i64>,
    pub idp_id: Option<String>,
    /// As a comparison key.
    pub email: Option<String>,
    pub range: IdRange,
}

impl Listing {
    /// The rows of the page; `None` when more would have to be looked at than the effort allows.
    pub(super) fn rows(
        &self,
        tx: &mut Tx<'_>,
        effort: Effort,
    ) -> Result<Option<Vec<ResourceRow>>, StoreError> {
        let key = self.directory.key;
        let mut sieve = Sieve::new(self, effort);
        match (&self.idp_id, &self.email) {
            (Some(idp_id), _) => self.of_idp_id(tx, idp_id, &mut sieve)?,
            (None, Some(email)) => self.of_email(tx, email, &mut sieve)?,
            (None, None) => {
                if let Some(group) = self.group {
                    return tx.app_members(key, group, &self.range).map(Some);
                }
                sieve.rows = tx.app_list(key, "User", &self.range)?;
                let departed = tx.departed_range(key, Departed::All, &self.range)?;
                sieve.rows.extend(departed.into_iter().map(departed_row));
            }
        }
        sieve.cut();
        Ok((!sieve.is_over).then_some(sieve.rows))
    }

    /// The `externalId`, or the id of one who has none.
    fn of_idp_id(
        &self,
        tx: &mut Tx<'_>,
        idp_id: &str,
        sieve: &mut Sieve<'_>,
    ) -> Result<(), StoreError> {
        let key = self.directory.key;
        let stored = text_key(idp_id, true);
        sieve.walk(tx, |tx, after| tx.app_users_by_external_id(key, &stored, after, CHUNK))?;
        let by_id = tx.resource_get(key, "User", idp_id)?;
        sieve.take(tx, by_id.filter(|row| row.app_state.is_visible()).into_iter().collect())?;
        sieve.walk_departed(tx, Departed::ExternalId(&stored))?;
        sieve.walk_departed(tx, Departed::Id(idp_id))
    }

    fn of_email(
        &self,
        tx: &mut Tx<'_>,
        email: &str,
        sieve: &mut Sieve<'_>,
    ) -> Result<(), StoreError> {
        let key = self.directory.key;
        let user = self.directory.registry.by_name("User");
        let index = user.and_then(|user| user.indexes.iter().find(|index| index.name == EMAILS));
        if let Some(index) = index {
            let (path, stored) = (index.path_id, cut(email));
            sieve
                .walk(tx, |tx, after| tx.app_users_by_attribute(key, path, stored, after, CHUNK))?;
        }
        // Whoever has no address may be shown with the user name in its place.
        let named = tx.user_by_name(key, email)?;
        sieve.take(tx, named.filter(|row| row.app_state.is_visible()).into_iter().collect())?;
        sieve.walk_departed(tx, Departed::Email(email))
    }

    /// Whether the app is shown what was asked for; an index finds more.
    fn is_shown(&self, row: &ResourceRow) -> bool {
        let Some(view) = app_view(&self.directory, row) else { return false };
        let text = |name: &str| view.get(name).and_then(Value::as_str);
        let has_id = self.idp_id.as_deref().is_none_or(|id| {
            text("idp_id").is_some_and(|shown| text_key(shown, true) == text_key(id, true))
        });
        let has_email = self
            .email
            .as_deref()
            .is_none_or(|email| text("email").is_some_and(|shown| text_key(shown, false) == email));
        has_id && has_email
    }

    fn is_behind(&self, id: &str, place: &str) -> bool {
        match self.range.walk {
            Walk::Up => id > place,
            Walk::Down => id < place,
        }
    }
}

/// Keeps what a page needs of the rows that an index finds.
struct Sieve<'l> {
    listing: &'l Listing,
    limit: usize,
    watch: Stopwatch,
    seen: u64,
    most: u64,
    /// The page has as many rows as it needs up to here.
    end: Option<String>,
    rows: Vec<ResourceRow>,
    /// More had to be looked at than is allowed.
    is_over: bool,
}

impl<'l> Sieve<'l> {
    fn new(listing: &'l Listing, effort: Effort) -> Self {
        Self {
            listing,
            limit: usize::try_from(listing.range.limit).unwrap_or(usize::MAX),
            watch: Stopwatch::start(),
            seen: 0,
            most: match effort {
                Effort::Glance => CHUNK.unsigned_abs(),
                Effort::Scan => SCAN_ROWS,
            },
            end: None,
            rows: Vec::new(),
            is_over: false,
        }
    }

    /// Takes rows by their keys until there are none behind the last one.
    fn walk(
        &mut self,
        tx: &mut Tx<'_>,
        mut read: impl FnMut(&mut Tx<'_>, i64) -> Result<Vec<ResourceRow>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        while !self.is_over {
            let rows = read(tx, after)?;
            let Some(last) = rows.last().map(|row| row.key) else { return Ok(()) };
            let is_full = is_full(rows.len(), CHUNK);
            self.take(tx, rows)?;
            if !is_full {
                return Ok(());
            }
            after = last;
        }
        Ok(())
    }

    /// Takes departed users, who are in no group, by their ids until the page is full.
    fn walk_departed(&mut self, tx: &mut Tx<'_>, wanted: Departed<'_>) -> Result<(), StoreError> {
        if self.listing.group.is_some() {
            return Ok(());
        }
        let mut next = self.listing.range.clone();
        let mut kept = 0;
        while !self.is_over && kept < self.limit {
            let rows = tx.departed_range(self.listing.directory.key, wanted, &next)?;
            let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(()) };
            let is_full = is_full(rows.len(), next.limit);
            kept += self.take(tx, rows.into_iter().map(departed_row).collect())?;
            if !is_full {
                return Ok(());
            }
            next = IdRange { beyond: Some(last), limit: CHUNK, ..next };
        }
        Ok(())
    }

    /// Takes of the rows what the page may need; answers how many.
    fn take(&mut self, tx: &mut Tx<'_>, mut rows: Vec<ResourceRow>) -> Result<usize, StoreError> {
        self.seen = self.seen.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        if self.seen > self.most || self.watch.elapsed() > SCAN_TIME {
            self.is_over = true;
            return Ok(0);
        }
        let listing = self.listing;
        let from = listing.range.beyond.as_deref();
        rows.retain(|row| from.is_none_or(|from| listing.is_behind(&row.id, from)));
        rows.retain(|row| self.end.as_ref().is_none_or(|end| !listing.is_behind(&row.id, end)));
        rows.retain(|row| listing.is_shown(row));
        if let Some(group) = listing.group {
            let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
            let members = tx.members_among(listing.directory.key, group, &keys)?;
            let members: HashSet<i64> = members.into_iter().collect();
            rows.retain(|row| members.contains(&row.key));
        }
        let kept = rows.len();
        self.rows.extend(rows);
        self.cut();
        Ok(kept)
    }

    /// Each row once, in the order of the range and no more than it asks for.
    fn cut(&mut self) {
        self.rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.rows.dedup_by(|a, b| a.id == b.id);
        if self.listing.range.walk == Walk::Down {
            self.rows.reverse();
        }
        self.rows.truncate(self.limit);
        if self.rows.len() == self.limit {
            self.end = self.rows.last().map(|row| row.id.clone());
        }
    }
}

fn is_full(rows: usize, limit: i64) -> bool {
    i64::try_from(rows).unwrap_or(i64::MAX) >= limit
}
