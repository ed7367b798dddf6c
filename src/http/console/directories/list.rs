//! The list of directories, and a new one.

use actix_web::http::StatusCode;
use askama::Template;
use serde_json::Value;

use super::{
    Answer, By, Faults, Frame, Operator, PageError, Sent, Shown, Viewer, Visit, checked, html,
    html_with, link, said, sentences, value,
};
use crate::http::State;
use crate::http::web::form::{self, Fields, Purpose};
use crate::http::web::{page, text as filters};
use crate::profile::PROVIDERS;
use crate::scim::Object;
use crate::service::administer::{DirectoryFilter, ListMetadata, ListParameters, NewDirectory};

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

pub(super) async fn show(visit: By<Viewer>) -> Answer {
    let filter = DirectoryFilter {
        organization_id: visit.asked("organization_id"),
        state: visit.asked("state"),
        kind: visit.asked("kind"),
        search: visit.asked("search"),
    };
    let (service, access) = (visit.service(), visit.access());
    let list = service.directory_list(access, filter.clone(), &visit.stretch()).await?;
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
    html(&ListPage {
        frame: &visit.saying(said),
        filter: &filter,
        kinds: kinds(&visit.state),
        rows: rows.iter().map(Shown).collect(),
        metadata: &list.list_metadata,
        next,
    })
}

/// What has been filled in of a form for a new directory.
struct Draft {
    organization_id: String,
    kind: String,
    name: String,
    config: Object,
    faults: Faults,
}

/// Asks for the organization and the kind, then for what the kind needs.
pub(super) async fn blank(visit: By<Operator>) -> Answer {
    let draft = Draft {
        organization_id: visit.asked("organization_id").unwrap_or_default(),
        kind: visit.asked("kind").unwrap_or_default(),
        name: String::new(),
        config: Object::new(),
        faults: Faults::new(),
    };
    asked(&visit, &draft).await
}

async fn asked(visit: &Visit, draft: &Draft) -> Answer {
    let (service, access) = (visit.service(), visit.access());
    let organization = match draft.organization_id.as_str() {
        "" => Value::Null,
        id => value(service.organization_get(access, id).await?),
    };
    // The newest, as many as a list may show.
    let newest = ListParameters { limit: Some(500), ..ListParameters::default() };
    let organizations = service.organization_list(access, &newest).await?.data;
    let organizations: Vec<Value> = organizations.iter().map(value).collect();
    let kinds = kinds(&visit.state);
    let kind = kinds.iter().find(|kind| kind.name == draft.kind);
    let schema = schema_of(&visit.state, &draft.kind)?;
    let mut others = draft.faults.clone();
    let fields = schema.map(|schema| {
        others.retain(|(field, _)| !field.starts_with("config."));
        let of_config = draft.faults.iter().filter(|(field, _)| field.starts_with("config."));
        let values = form::again(&schema, &Object::new(), draft.config.clone());
        Fields::of(&schema, &values, &of_config.cloned().collect::<Vec<_>>())
    });
    let page = NewPage {
        frame: &visit.frame,
        organization: Shown(&organization),
        organizations: organizations.iter().map(Shown).collect(),
        kind,
        kinds: kinds.clone(),
        name: &draft.name,
        fields,
        faults: sentences(&others),
    };
    html_with(&draft.faults, &page)
}

/// The JSON Schema of the configuration; `None` for a kind that is pushed.
fn schema_of(state: &State, kind: &str) -> Result<Option<Value>, PageError> {
    if !kind.starts_with("pull.") {
        return Ok(None);
    }
    let connector = state.service.connector(kind)?;
    Ok(connector.get("config_schema").cloned())
}

pub(super) async fn create(sent: Sent<Operator>) -> Answer {
    let kind = sent.form.get("kind").to_owned();
    let schema = schema_of(&sent.state, &kind)?;
    let config =
        schema.map(|schema| Fields::read(&schema, |name| sent.form.get(name), Purpose::New));
    let new = NewDirectory {
        organization_id: sent.form.get("organization_id").to_owned(),
        name: sent.form.get("name").trim().to_owned(),
        kind: kind.clone(),
        settings: None,
        config: config.clone().map(Value::Object),
    };
    let draft = Draft {
        organization_id: new.organization_id.clone(),
        kind,
        name: new.name.clone(),
        config: config.unwrap_or_default(),
        faults: Faults::new(),
    };
    match checked(sent.service().directory_create(sent.access(), new).await)? {
        Ok(made) => made_page(&sent, &value(made)),
        Err(faults) => asked(&sent, &Draft { faults, ..draft }).await,
    }
}

/// Shows the token, once; without one it leads to the directory.
fn made_page(visit: &Visit, directory: &Value) -> Answer {
    let (frame, directory) = (&visit.frame, Shown(directory));
    match directory.has("token.secret") {
        true => Ok(page::respond(StatusCode::CREATED, &CreatedPage { frame, directory })),
        false => visit.back_to(&format!("directories/{}", directory.text("id")), "created"),
    }
}

impl Kind {
    fn is(&self, wanted: Option<&str>) -> bool {
        wanted == Some(self.name.as_str())
    }
}
