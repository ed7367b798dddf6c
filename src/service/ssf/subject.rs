//! Subjects of a stream (SSF 1.0 §8.1.3): all of them, but those that its receiver has taken out.

use serde::Deserialize;
use serde_json::{Value, json};

use super::manage::invalid;
use super::{missing, reaches};
use crate::event::set::subject_key;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};

/// Subjects that may be out of one stream.
const MAX_REMOVED: i64 = 10_000;

/// Longest name of a subject, in bytes.
const MAX_NAME_BYTES: usize = 1_024;

#[derive(Clone, Debug, Deserialize)]
pub struct SubjectRequest {
    pub stream_id: String,
    /// RFC 9493: of the format `iss_sub` or `email`.
    pub subject: Value,
}

impl Service {
    /// The name by which a subject is stored.
    fn subject_of(&self, subject: &Value) -> Result<String, AdminError> {
        let text = |member: &str| subject.get(member).and_then(Value::as_str).unwrap_or_default();
        let format = text("format");
        let name = match format {
            "email" => text("email"),
            "iss_sub" => {
                if text("iss") != self.public_url {
                    let message = format!("it must be \"{}\".", self.public_url);
                    return Err(invalid("subject.iss", message));
                }
                text("sub")
            }
            _ => {
                let format: String = format.chars().take(40).collect();
                let message = format!("it is \"{format}\"; allowed are iss_sub and email.");
                return Err(invalid("subject.format", message));
            }
        };
        match (1..=MAX_NAME_BYTES).contains(&name.len()) {
            true => Ok(subject_key(format, name)),
            false => {
                let message = format!("it names nobody, or has more than {MAX_NAME_BYTES} bytes.");
                Err(invalid("subject", message))
            }
        }
    }

    /// Takes a subject in again that was taken out. Every other one is in already.
    pub async fn stream_subject_add(
        &self,
        access: &ApiAccess,
        request: SubjectRequest,
    ) -> Result<(), ServiceError> {
        let subject = self.subject_of(&request.subject)?;
        let audit = self.audit(access, action::SUBJECT_ADDED);
        let (id, access) = (request.stream_id, access.clone());
        self.store
            .write("stream_subject_add", move |tx| {
                let row = tx.stream_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let row = row.ok_or_else(missing)?;
                tx.stream_add_subject(&id, &subject)?;
                let target = Target::serving(&row.scope, &id, row.description.as_deref());
                Ok(audit.write(tx, target, Value::Null, json!({"subject": request.subject}))?)
            })
            .await
    }

    /// Takes a subject out: the stream tells nothing more of it.
    pub async fn stream_subject_remove(
        &self,
        access: &ApiAccess,
        request: SubjectRequest,
    ) -> Result<(), ServiceError> {
        let subject = self.subject_of(&request.subject)?;
        let audit = self.audit(access, action::SUBJECT_REMOVED);
        let (id, access) = (request.stream_id, access.clone());
        self.store
            .write("stream_subject_remove", move |tx| {
                let row = tx.stream_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let row = row.ok_or_else(missing)?;
                match tx.stream_remove_subject(&id, &subject, MAX_REMOVED)? {
                    true => {
                        let target = Target::serving(&row.scope, &id, row.description.as_deref());
                        let before = json!({"subject": request.subject});
                        Ok(audit.write(tx, target, before, Value::Null)?)
                    }
                    false => {
                        let message = format!(
                            "{MAX_REMOVED} subjects are out of this stream already; add some again."
                        );
                        Err(AdminError::new(409, "too_many_subjects", message).into())
                    }
                }
            })
            .await
    }
}
