//! Maps are tried on stored users before they are put.

use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::handlers::settled;
use crate::http::State;
use crate::http::error::HttpError;
use crate::http::web::browser::Form;
use crate::http::web::form::Fault;
use crate::service::ServiceError;
use crate::service::error::AdminError;
use crate::service::portal::Visit;

/// What came of the form of a map, beside what it has.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) tried: Option<Vec<Tried>>,
    pub(super) faults: Vec<Fault>,
}

impl Outcome {
    /// `None` where the map was put.
    pub(super) fn of(
        done: Result<Option<Vec<Tried>>, ServiceError>,
        faults: impl FnOnce(AdminError) -> Vec<Fault>,
    ) -> Result<Option<Self>, HttpError> {
        Ok(match settled(done)? {
            Ok(tried) => tried.map(|tried| Self { tried: Some(tried), ..Self::default() }),
            Err(refusal) => Some(Self { faults: faults(refusal), ..Self::default() }),
        })
    }

    pub(super) fn status(&self) -> StatusCode {
        match self.faults.is_empty() {
            true => StatusCode::OK,
            false => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// Puts a map, or tries it on users, as the form asks; `None` when it was put.
pub(super) async fn put_or_try<T>(
    state: &State,
    (visit, id): (&Visit, &str),
    form: &Form,
    put: impl Future<Output = Result<T, ServiceError>>,
    tried: impl Future<Output = Result<Value, ServiceError>>,
) -> Result<Option<Vec<Tried>>, ServiceError> {
    if form.get("do") == "save" {
        return state.service.portal_do(visit, id, put).await.map(|_| None);
    }
    let tried = state.service.portal_see(visit, id, tried).await?;
    Ok(Some(Tried::of(&tried)))
}

/// A user before and after.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tried {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    pub(super) before: Value,
    #[serde(default)]
    pub(super) after: Value,
    #[serde(default)]
    pub(super) faults: Vec<TriedFault>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TriedFault {
    pub(super) attribute: String,
    #[serde(default)]
    pub(super) message: Option<String>,
}

impl Tried {
    pub(super) fn who(&self) -> &str {
        let named = self.username.as_deref().or(self.email.as_deref());
        named.unwrap_or("a user without a name")
    }

    pub(super) fn is_changed(&self) -> bool {
        self.before != self.after
    }

    pub(super) fn lines(value: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match value {
            Value::Object(members) => {
                members.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
            }
            Value::Array(elements) => elements.iter().map(text).collect(),
            _ => Vec::new(),
        }
    }

    fn of(preview: &Value) -> Vec<Self> {
        let data = preview.get("data").cloned().unwrap_or_default();
        serde_json::from_value(data).unwrap_or_default()
    }
}
