//! Checkpoints: a consumer with a name stores how far it has got.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::read::{Start, position_of};
use super::sequence::ConsumerLabels;
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::consumer::ConsumerRow;

/// Most consumers of one owner.
const MAX_CONSUMERS: usize = 100;

/// Longest name, in bytes.
const MAX_NAME: usize = 64;

/// A consumer as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Checkpoint {
    object: &'static str,
    pub name: String,
    /// Everything up to here has been dealt with.
    pub position: i64,
    /// Positions from there to the end of the log.
    pub lag: i64,
    pub created_at: String,
    pub updated_at: String,
}

/// A place in the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Place {
    Position(i64),
    /// `oldest`, `newest` or digits.
    Word(String),
}

/// What a consumer stores: a position, or the last event that it has dealt with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPut {
    #[serde(default)]
    pub position: Option<Place>,
    #[serde(default)]
    pub event_id: Option<String>,
    /// The position that is stored now; another one refuses the change.
    #[serde(default)]
    pub expected: Option<i64>,
}

impl CheckpointPut {
    fn start(&self) -> Result<Start, AdminError> {
        match (&self.position, &self.event_id) {
            (Some(Place::Position(position)), None) => {
                Start::parse("position", &position.to_string())
            }
            (Some(Place::Word(word)), None) if !word.starts_with("event_") => {
                Start::parse("position", word)
            }
            (None, Some(id)) => Ok(Start::Event(id.clone())),
            _ => {
                let message = "send either \"position\", which is a number, \"oldest\" or \
                               \"newest\", or \"event_id\".";
                Err(AdminError::invalid("position", message))
            }
        }
    }
}

impl Checkpoint {
    fn of(row: ConsumerRow, end: i64) -> Self {
        Self {
            object: "consumer",
            name: row.name,
            position: row.position,
            lag: end.saturating_sub(row.position).max(0),
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
        }
    }
}

fn missing() -> ServiceError {
    AdminError::not_found("The consumer").into()
}

fn check_name(name: &str) -> Result<(), AdminError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => {
            let message = format!(
                "it must have 1 to {MAX_NAME} letters, digits, full stops, hyphens or underscores."
            );
            Err(AdminError::invalid("name", message))
        }
    }
}

impl Service {
    /// Stores how far a consumer has got; the consumer is made when there is none.
    pub async fn checkpoint_put(
        &self,
        access: &ApiAccess,
        name: &str,
        put: &CheckpointPut,
    ) -> Result<Checkpoint, ServiceError> {
        check_name(name)?;
        let (start, expected) = (put.start()?, put.expected);
        let (owner, allowed) = (access.owner(), access.organization_ids.clone());
        let (name, now) = (name.to_owned(), self.clock.now_ms());
        let made = self.audit(access, action::CONSUMER_CREATED);
        let moved_back = self.audit(access, action::CONSUMER_MOVED_BACK);
        let stored: (ConsumerRow, i64) = self
            .store
            .write("checkpoint_put", move |tx| {
                let position = position_of(tx, &start, allowed.as_deref(), &owner)?;
                let known = tx.consumer_lock(&owner, &name)?;
                let current = known.as_ref().map(|row| row.position);
                if expected.is_some() && expected != current {
                    let current = current.map_or("none".to_owned(), |at| at.to_string());
                    let message = format!("The checkpoint of this consumer is {current}.");
                    return Err(AdminError::new(409, "checkpoint_moved", message).into());
                }
                if known.is_none() && tx.consumer_list(Some(&owner))?.len() >= MAX_CONSUMERS {
                    let message = format!(
                        "There are {MAX_CONSUMERS} consumers already; delete one of them first."
                    );
                    return Err(AdminError::new(409, "too_many_consumers", message).into());
                }
                tx.consumer_put(&owner, &name, position, now)?;
                // That a consumer has got on is its work and not a change of how things are set up.
                let at = |position: i64| json!({"position": position});
                let target = Target::serving(&owner, &name, Some(&name));
                match current {
                    None => made.write(tx, target, Value::Null, at(position))?,
                    Some(before) if position < before => {
                        moved_back.write(tx, target, at(before), at(position))?;
                    }
                    Some(_) => {}
                }
                let row = tx.consumer_get(&owner, &name)?.ok_or_else(missing)?;
                Ok::<_, ServiceError>((row, tx.log_position()?))
            })
            .await?;
        Ok(Checkpoint::of(stored.0, stored.1))
    }

    pub async fn checkpoint_get(
        &self,
        access: &ApiAccess,
        name: &str,
    ) -> Result<Checkpoint, ServiceError> {
        let (owner, name) = (access.owner(), name.to_owned());
        let found: (ConsumerRow, i64) = self
            .store
            .read("checkpoint_get", move |tx| {
                let row = tx.consumer_get(&owner, &name)?.ok_or_else(missing)?;
                Ok::<_, ServiceError>((row, tx.log_position()?))
            })
            .await?;
        Ok(Checkpoint::of(found.0, found.1))
    }

    /// The consumers of keys like this one, by name.
    pub async fn checkpoint_list(
        &self,
        access: &ApiAccess,
    ) -> Result<Vec<Checkpoint>, ServiceError> {
        let owner = access.owner();
        let (rows, end) = self.consumers(Some(owner)).await?;
        Ok(rows.into_iter().map(|row| Checkpoint::of(row, end)).collect())
    }

    pub async fn checkpoint_delete(
        &self,
        access: &ApiAccess,
        name: &str,
    ) -> Result<(), ServiceError> {
        let (owner, name) = (access.owner(), name.to_owned());
        let audit = self.audit(access, action::CONSUMER_DELETED);
        self.store
            .write("checkpoint_delete", move |tx| {
                let row = tx.consumer_get(&owner, &name)?.ok_or_else(missing)?;
                if !tx.consumer_delete(&owner, &name)? {
                    return Err(missing());
                }
                let target = Target::serving(&owner, &name, Some(&name));
                Ok(audit.write(tx, target, json!({"position": row.position}), Value::Null)?)
            })
            .await
    }

    /// Brings the metric of every consumer up to date. Metrics are read without a key: of consumers of keys
    /// limited to organizations they show the furthest behind alone, without its name.
    pub async fn measure_consumers(&self) -> Result<(), ServiceError> {
        let (rows, end) = self.consumers(None).await?;
        let lag = &self.event_log.metrics.consumer_lag;
        lag.clear();
        for row in rows {
            let behind = end.saturating_sub(row.position).max(0);
            let consumer = if row.owner.is_empty() { row.name } else { "limited".to_owned() };
            let shown = lag.get_or_create(&ConsumerLabels { consumer });
            shown.set(shown.get().max(behind));
        }
        Ok(())
    }

    async fn consumers(
        &self,
        owner: Option<String>,
    ) -> Result<(Vec<ConsumerRow>, i64), ServiceError> {
        let found: Result<_, StoreError> = self
            .store
            .read("consumers", move |tx| {
                Ok((tx.consumer_list(owner.as_deref())?, tx.log_position()?))
            })
            .await;
        Ok(found?)
    }
}
