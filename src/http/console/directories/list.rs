//! The list of directories, and a new one.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde_json::Value;

use super::{Answer, Shown, failed, faults, filled, link, query, said, stretch, value};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::error::HttpError;
use crate::http::web::form::{self, Fields, Purpose};
use crate::http::web::{page, text as filters};
use crate::profile::PROVIDERS;
use crate::scim::Object;
use crate::service::administer::{DirectoryFilter, ListMetadata, NewDirectory};
use crate::service::console::{Admin, Role};

/// The states that a directory can be looked for by.
const STATES: [&str; 7] =
    ["linked", "validating", "error", "invalid_credentials", "paused", "disabled", "deleting"];

#[derive(Template)]
#[template(path = "console/directories/list.html")]
struct ListPage<'p> {
    frame: &'p Frame,
    filter: &'p DirectoryFilter,
    kinds: Vec<Kind>,
    rows: Vec<Shown<'p>>,
    metadata: &'p ListMetadata,
    next: String,
}

impl ListPage<'_> {
    fn is_filtered(&self) -> bool {
        let DirectoryFilter { organization_id, state, kind, search } = self.filter;
        [organization_id, state, kind, search].iter().any(|given| given.is_some())
    }
}

#[derive(Template)]
#[template(path = "console/directories/new.html")]
struct NewPage<'p> {
    frame: &'p Frame,
    organization: Shown<'p>,
    organizations: Vec<Shown<'p>>,
    kinds: Vec<Kind>,
    kind: Option<&'p Kind>,
    name: &'p str,
    fields: Option<Fields>,
    faults: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/directories/created.html")]
struct CreatedPage<'p> {
    frame: &'p Frame,
    directory: Shown<'p>,
}

/// A kind of directory as it is offered.
#[derive(Clone, Debug)]
struct Kind {
    name: String,
    title: String,
    /// Read from its source.
    is_read: bool,
}

fn kinds(state: &State) -> Vec<Kind> {
    let pushed = PROVIDERS.iter().map(|provider| Kind {
        name: format!("scim.{provider}"),
        title: format!("SCIM: {provider}"),
        is_read: false,
    });
    let connectors = state.service.connector_list();
    let read = Shown(&connectors).list("data").map(|connector| Kind {
        name: connector.text("kind").to_owned(),
        title: connector.text("title").to_owned(),
        is_read: true,
    });
    pushed.chain(read).collect()
}

pub(super) async fn show(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = query(&request)?;
    let filter = DirectoryFilter {
        organization_id: filled(&query, "organization_id"),
        state: filled(&query, "state"),
        kind: filled(&query, "kind"),
        search: filled(&query, "search"),
    };
    let stretch = stretch(&query);
    let list = state.service.directory_list(&admin.access, filter.clone(), &stretch);
    let list = list.await.map_err(failed)?;
    let rows: Vec<Value> = list.data.iter().map(value).collect();
    let next = link(
        "",
        &[
            ("organization_id", filter.organization_id.as_deref()),
            ("state", filter.state.as_deref()),
            ("kind", filter.kind.as_deref()),
            ("search", filter.search.as_deref()),
        ],
    );
    let page = ListPage {
        frame: &frame.saying(said),
        filter: &filter,
        kinds: kinds(&state),
        rows: rows.iter().map(Shown).collect(),
        metadata: &list.list_metadata,
        next,
    };
    Ok(page::respond(StatusCode::OK, &page))
}

/// What has been filled in of a form for a new directory.
struct Draft {
    organization_id: String,
    kind: String,
    name: String,
    config: Object,
    faults: Vec<(String, String)>,
}

/// Asks for the organization and the kind, then for what the kind needs.
pub(super) async fn blank(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Operator).await?;
    let query = query(&request)?;
    let draft = Draft {
        organization_id: filled(&query, "organization_id").unwrap_or_default(),
        kind: filled(&query, "kind").unwrap_or_default(),
        name: String::new(),
        config: Object::new(),
        faults: Vec::new(),
    };
    asked(&state, &admin, &frame, &draft, StatusCode::OK).await
}

async fn asked(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    draft: &Draft,
    status: StatusCode,
) -> Answer {
    let organization = match draft.organization_id.as_str() {
        "" => Value::Null,
        id => {
            let found = state.service.organization_get(&admin.access, id).await;
            value(found.map_err(failed)?)
        }
    };
    let organizations = state.service.organization_list(&admin.access, &newest()).await;
    let organizations: Vec<Value> = organizations.map_err(failed)?.data.iter().map(value).collect();
    let kinds = kinds(state);
    let kind = kinds.iter().find(|kind| kind.name == draft.kind);
    let schema = schema_of(state, &draft.kind)?;
    let mut others = draft.faults.clone();
    let fields = schema.map(|schema| {
        others.retain(|(field, _)| !field.starts_with("config."));
        let of_config = draft.faults.iter().filter(|(field, _)| field.starts_with("config."));
        let values = form::again(&schema, &Object::new(), draft.config.clone());
        Fields::of(&schema, &values, &of_config.cloned().collect::<Vec<_>>())
    });
    let page = NewPage {
        frame,
        organization: Shown(&organization),
        organizations: organizations.iter().map(Shown).collect(),
        kind,
        kinds: kinds.clone(),
        name: &draft.name,
        fields,
        faults: super::sentences(&others),
    };
    Ok(page::respond(status, &page))
}

/// The newest organizations, as many as a list may show.
fn newest() -> crate::service::administer::ListParameters {
    crate::service::administer::ListParameters { limit: Some(500), ..Default::default() }
}

/// The JSON Schema of the configuration; `None` for a kind that is pushed.
fn schema_of(state: &State, kind: &str) -> Result<Option<Value>, HttpError> {
    if !kind.starts_with("pull.") {
        return Ok(None);
    }
    let connector = state.service.connector(kind).map_err(failed)?;
    Ok(connector.get("config_schema").cloned())
}

pub(super) async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let kind = form.get("kind").to_owned();
    let schema = schema_of(&state, &kind)?;
    let config = schema.map(|schema| Fields::read(&schema, |name| form.get(name), Purpose::New));
    let new = NewDirectory {
        organization_id: form.get("organization_id").to_owned(),
        name: form.get("name").trim().to_owned(),
        kind: kind.clone(),
        settings: None,
        config: config.clone().map(Value::Object),
    };
    let draft = Draft {
        organization_id: new.organization_id.clone(),
        kind,
        name: new.name.clone(),
        config: config.unwrap_or_default(),
        faults: Vec::new(),
    };
    match state.service.directory_create(&admin.access, new).await {
        Ok(made) => Ok(made_page(&frame, &value(made))),
        Err(error) => {
            let draft = Draft { faults: faults(error)?, ..draft };
            asked(&state, &admin, &frame, &draft, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

/// Shows the token, once; without one it leads to the directory.
fn made_page(frame: &Frame, directory: &Value) -> HttpResponse {
    let shown = Shown(directory);
    if shown.has("token.secret") {
        return page::respond(StatusCode::CREATED, &CreatedPage { frame, directory: shown });
    }
    let id = shown.text("id");
    page::lead_to(&format!("{}/console/directories/{id}?said=created", frame.base))
}

impl Kind {
    fn is(&self, wanted: Option<&str>) -> bool {
        wanted == Some(self.name.as_str())
    }
}
