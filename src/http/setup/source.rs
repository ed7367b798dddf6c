//! The source of a directory that is read: its form, its files, and a test of the connection.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::handlers::{Answer, enter, failed, opened, sent, settled, submitted};
use super::page::{Frame, Shown};
use super::pull::{self, Handed};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::browser::Form;
use crate::http::web::form::{self, Fields, Purpose};
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::http::web::upload::Upload;
use crate::scim::Object;
use crate::service::error::AdminError;
use crate::service::portal::SourceForm;
use crate::service::sync::MAX_FILE_BYTES;

#[derive(Template)]
#[template(path = "setup/source.html")]
struct SourcePage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    /// None before it is made.
    directory: Option<Shown>,
    source: SourceForm,
    fields: Fields,
    /// Where the form is sent.
    action: String,
    /// Names the directory that the form makes; empty where it is there.
    draft: &'p str,
}

impl<'p> SourcePage<'p> {
    /// The form that makes a directory.
    fn blank(frame: &'p Frame, source: SourceForm, draft: &'p str) -> Self {
        Self {
            frame,
            tab: "source",
            directory: None,
            fields: Fields::of(&source.schema, &Object::new(), &[]),
            action: format!("{}/setup/sources/{}", frame.base, source.kind),
            source,
            draft,
        }
    }

    /// The form of a directory that is there.
    fn of(frame: &'p Frame, source: SourceForm, directory: Shown) -> Self {
        Self {
            frame,
            tab: "source",
            fields: Fields::of(&source.schema, &directory.config, &[]),
            action: frame.of(&directory.id, "source"),
            directory: Some(directory),
            source,
            draft: "",
        }
    }

    /// The form once more, with what was sent and what is wrong with it.
    fn refused(self, sent: Object, refusal: &AdminError) -> HttpResponse {
        let stored = self.directory.as_ref().map(|directory| directory.config.clone());
        let values = form::again(&self.source.schema, &stored.unwrap_or_default(), sent);
        let fields = Fields::of(&self.source.schema, &values, &refusal.errors);
        respond(StatusCode::UNPROCESSABLE_ENTITY, &Self { fields, ..self })
    }
}

/// What a form has of a configuration. Both a new one and a changed one say what was emptied: the form may
/// have made its directory already.
fn read(source: &SourceForm, form: &Form) -> Object {
    Fields::read(&source.schema, |name| form.get(name), Purpose::Change)
}

/// The form of a source that is to be connected. Its address names the directory that it makes: whoever
/// comes back to it finds that directory.
pub(super) async fn ask(request: HttpRequest, kind: Path<String>, state: Data<State>) -> Answer {
    let (visit, frame) = enter(&request, &state).await?;
    let (service, source) = (&state.service, state.service.portal_source(&kind).map_err(failed)?);
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let draft = query.get("draft").unwrap_or_default();
    let Some(id) = service.portal_drafted(&visit, source.kind, draft) else {
        let (base, draft) = (&frame.base, service.portal_draft(&visit, source.kind));
        return Ok(lead_to(&format!("{base}/setup/sources/{}?draft={draft}", source.kind)));
    };
    match service.portal_made(&visit, id).await.map_err(failed)? {
        Some(_) => Ok(lead_to(&frame.of(id, "source"))),
        None => Ok(respond(StatusCode::OK, &SourcePage::blank(&frame, source, draft))),
    }
}

/// Makes the directory of a source; nothing is read yet. The same form, corrected, changes what it has made.
pub(super) async fn create(
    request: HttpRequest,
    kind: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, form) = submitted(&request, payload, &state).await?;
    let (service, source) = (&state.service, state.service.portal_source(&kind).map_err(failed)?);
    let draft = form.get("draft");
    let Some(id) = service.portal_drafted(&visit, source.kind, draft) else {
        let message = "the form is of another session or of another source; open it again.";
        return Err(failed(AdminError::invalid("draft", message)));
    };
    let config = read(&source, &form);
    let put = service.portal_source_put(&visit, source.kind, id, &config).await;
    let Err(refusal) = settled(put)? else { return Ok(lead_to(&frame.of(id, ""))) };
    let page = match service.portal_made(&visit, id).await.map_err(failed)? {
        Some(directory) => SourcePage::of(&frame, source, Shown::of(directory)),
        None => SourcePage::blank(&frame, source, draft),
    };
    Ok(page.refused(config, &refusal))
}

/// The form of a source that is there.
pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (_, frame, directory) = opened(&request, &state, &id).await?;
    let source = state.service.portal_source(&directory.kind).map_err(failed)?;
    Ok(respond(StatusCode::OK, &SourcePage::of(&frame, source, directory)))
}

pub(super) async fn change(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory, form) = sent(&request, payload, &state, &id).await?;
    let source = state.service.portal_source(&directory.kind).map_err(failed)?;
    let config = read(&source, &form);
    let put = state.service.portal_source_put(&visit, source.kind, &id, &config).await;
    match settled(put)? {
        Ok(()) => Ok(lead_to(&(frame.of(&id, "source") + "?said=saved"))),
        Err(refusal) => Ok(SourcePage::of(&frame, source, directory).refused(config, &refusal)),
    }
}

/// Keeps a file that was chosen or pasted, and says what of it cannot be used.
pub(super) async fn file(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let ((id, name), service) = (path.into_inner(), &state.service);
    // Nobody without a session has so much of theirs read.
    opened(&request, &state, &id).await?;
    let Upload { form, content } = Upload::read(&request, payload, MAX_FILE_BYTES).await?;
    let (visit, frame, directory) = opened(&request, &state, &id).await?;
    form.check(&request, &visit.form_secret)?;
    let content = match content.is_empty() {
        true => form.get("content").as_bytes().to_vec(),
        false => content,
    };
    let kept = service.source_file_put(&visit.access, &id, &name, content);
    let handed = match settled(service.portal_do(&visit, &id, kept).await)? {
        Err(refusal) => Handed::refused(&name, refusal),
        Ok(_) => {
            let checked = service.source_check(&visit.access, &id);
            match service.portal_see(&visit, &id, checked).await {
                Ok(unusable) => Handed { unusable, ..Handed::default() },
                // It is kept all the same.
                Err(error) => {
                    let unchecked = Some(error.to_scim().detail);
                    Handed { unchecked, ..Handed::default() }
                }
            }
        }
    };
    match handed == Handed::default() {
        true => Ok(lead_to(&(frame.of(&id, "") + "?said=kept"))),
        false => pull::overview(&state, &visit, &frame, directory, handed).await,
    }
}

#[derive(Template)]
#[template(path = "setup/tested.html")]
struct TestedPage<'p> {
    frame: &'p Frame,
    tab: &'static str,
    directory: Shown,
    tested: Tested,
}

/// What a test of the connection came to.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tested {
    ok: bool,
    users: Option<u64>,
    groups: Option<u64>,
    warnings: Vec<String>,
    error: Option<String>,
    code: Option<String>,
}

/// Tries the connection and says what came of it. It changes nothing, so the page is the answer.
pub(super) async fn test(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (visit, frame, directory, _) = sent(&request, payload, &state, &id).await?;
    let tested = state.service.source_test(&visit.access, &id);
    let tested = state.service.portal_see(&visit, &id, tested).await.map_err(failed)?;
    let tested = serde_json::from_value(tested).unwrap_or_default();
    let page = TestedPage { frame: &frame, tab: "", directory, tested };
    Ok(respond(StatusCode::OK, &page))
}
