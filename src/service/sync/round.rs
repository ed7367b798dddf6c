//! Names that go from one user to another within a run.

use std::collections::HashMap;

use super::apply::{Apply, Done, Item, refusal};
use crate::pull::Kind;
use crate::pull::plan::Update;
use crate::pull::rename::turns;
use crate::scim::ScimError;
use crate::service::ServiceError;
use crate::store::Tx;
use crate::store::resource::ResourceRow;

/// Most users who pass their names to each other in one unit.
const CIRCLE: usize = 1_000;

/// What can be written at the same time.
pub(super) struct Round {
    pub(super) alone: Vec<Item>,
    /// Users who have each other's names.
    pub(super) circles: Vec<Vec<Update>>,
}

/// New and changed ones in the order in which they get their names. A name counts as left when its holder
/// is among them and wants another.
pub(super) fn rounds(items: Vec<Item>) -> Vec<Round> {
    let leaves = |item: &Item| match item {
        Item::Changed { update } if update.known.kind == Kind::Account => {
            (update.known.name != update.record.name).then(|| update.known.name.clone())
        }
        _ => None,
    };
    let left: HashMap<String, usize> =
        items.iter().enumerate().filter_map(|(place, item)| Some((leaves(item)?, place))).collect();
    if left.is_empty() {
        return vec![Round { alone: items, circles: Vec::new() }];
    }
    let wants = |item: &Item| match item.record().kind {
        Kind::Account => left.get(&item.record().name).copied(),
        _ => None,
    };
    let holders: Vec<Option<usize>> = items.iter().map(wants).collect();
    let turns = turns(&holders);
    let mut items: Vec<Option<Item>> = items.into_iter().map(Some).collect();
    let mut take = |place: usize| items.get_mut(place).and_then(Option::take);
    let mut rounds = Vec::with_capacity(turns.len());
    for turn in turns {
        let alone = turn.alone.into_iter().filter_map(&mut take).collect();
        let update = |item| match item {
            Item::Changed { update } => Some(*update),
            // Whoever is new has no name that another one could want.
            Item::New(_) => None,
        };
        let circles = turn.circles.into_iter();
        let circles = circles
            .map(|circle| circle.into_iter().filter_map(&mut take).filter_map(update).collect());
        rounds.push(Round { alone, circles: circles.collect() });
    }
    rounds
}

impl Apply<'_> {
    /// Gives users each other's names, all in one unit: no name is ever without its user, or has two.
    pub(super) async fn circle(&mut self, mut circle: Vec<Update>) -> Result<(), ServiceError> {
        circle.sort_by_key(|update| update.known.key);
        let written = match circle.len() > CIRCLE {
            false => self.written_circle(&circle).await,
            true => {
                let message = format!("more than {CIRCLE} users pass their names on in a circle.");
                Err(ScimError::new(409, message).into())
            }
        };
        let written = match written {
            Ok(rows) => Ok(rows),
            Err(error) => Err(refusal(error)?),
        };
        let done = |place: usize, update: &Update| match &written {
            // Of a circle all are written, or none.
            Ok(rows) => rows.get(place).map_or(Done::Updated, |row| Done::of(update, row)),
            Err(message) => Done::Failed(message.clone()),
        };
        let judged = circle.into_iter().enumerate().map(|(place, update)| {
            let done = done(place, &update);
            (Item::Changed { update: Box::new(update) }, Ok(done))
        });
        self.wrote(judged.collect()).await.map(drop)
    }

    async fn written_circle(&self, circle: &[Update]) -> Result<Vec<ResourceRow>, ServiceError> {
        let directory_key = self.job.row.key;
        let keys: Vec<i64> = circle.iter().map(|update| update.known.key).collect();
        self.tried(None, |access| {
            let keys = keys.clone();
            async move {
                let mut revisions = Vec::with_capacity(circle.len());
                for update in circle {
                    let access = match self.reason_of(update) {
                        Some(reason) => access.because(reason),
                        None => access.clone(),
                    };
                    let body = self.changed_body(update);
                    revisions.push(self.revision(&access, update, body)?);
                }
                let work = move |tx: &mut Tx<'_>| {
                    tx.directory_share(directory_key)?;
                    tx.user_names_let_go(directory_key, &keys)?;
                    let rows = revisions.iter().map(|revision| Ok(revision.run(tx, None)?.row));
                    rows.collect::<Result<Vec<ResourceRow>, ServiceError>>()
                };
                self.service.store.write("sync_names", work).await
            }
        })
        .await
    }
}
