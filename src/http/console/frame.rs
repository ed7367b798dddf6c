//! Who looks at a page of the console, and what its pages have in common.

use std::borrow::Cow;

use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::failed;
use crate::http::body::Query;
use crate::http::error::{HttpError, Problem};
use crate::http::observe::RouteName;
use crate::http::web::browser::{Cookie, Form, Site};
use crate::http::{State, limit};
use crate::service::console::{Admin, Role};
use crate::service::error::AdminError;

/// What every page of the console is given.
#[derive(Clone, Debug)]
pub(in crate::http) struct Frame {
    /// What every path of a link begins with.
    pub(in crate::http) base: String,
    pub(in crate::http) admin: Admin,
    /// Goes into every form.
    pub(in crate::http) proof: String,
    /// The part of the console that the page is in.
    pub(in crate::http) area: String,
    /// What was just done, as a sentence.
    pub(in crate::http) said: Option<&'static str>,
    /// The key of that sentence.
    key: Option<String>,
}

/// A part of the console, as the navigation shows it.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Area {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) title: &'static str,
    pub(in crate::http) path: &'static str,
    /// Who sees it.
    role: Role,
}

const fn area(name: &'static str, title: &'static str, path: &'static str) -> Area {
    Area { name, title, path, role: Role::Viewer }
}

const fn owners(name: &'static str, title: &'static str, path: &'static str) -> Area {
    Area { name, title, path, role: Role::Owner }
}

const AREAS: [Area; 14] = [
    area("overview", "Overview", "/console"),
    area("organizations", "Organizations", "/console/organizations"),
    area("directories", "Directories", "/console/directories"),
    area("people", "People", "/console/people"),
    area("groups", "Groups", "/console/groups"),
    area("identities", "Identities", "/console/identities"),
    area("events", "Events", "/console/events"),
    area("webhooks", "Webhooks", "/console/webhooks"),
    area("streams", "Streams", "/console/streams"),
    area("alarms", "Alarms", "/console/alarms"),
    area("audit", "Audit log", "/console/audit"),
    owners("keys", "API keys", "/console/keys"),
    owners("administrators", "Administrators", "/console/administrators"),
    area("health", "Health", "/console/health"),
];

impl Frame {
    pub(in crate::http) fn areas(&self) -> impl Iterator<Item = &'static Area> {
        let role = self.admin.role;
        AREAS.iter().filter(move |area| area.role <= role)
    }

    /// The same page, which says what was just done: `sentences` knows the area's keys.
    pub(in crate::http) fn saying(
        self,
        sentences: impl FnOnce(&str) -> Option<&'static str>,
    ) -> Self {
        let said = self.key.as_deref().and_then(sentences);
        Self { said, ..self }
    }

    /// Whether forms that need the role are shown.
    pub(in crate::http) fn may(&self, role: Role) -> bool {
        self.admin.role >= role
    }

    pub(in crate::http) fn operates(&self) -> bool {
        self.may(Role::Operator)
    }

    pub(in crate::http) fn owns(&self) -> bool {
        self.may(Role::Owner)
    }
}

/// The area of a path of the console.
fn area_of(path: &str) -> &str {
    let name = path.trim_start_matches('/').split('/').nth(1).unwrap_or_default();
    if name.is_empty() { "overview" } else { name }
}

/// Whoever is signed in, if the role is enough; leads to the page that signs in otherwise.
pub(in crate::http) async fn enter(
    request: &HttpRequest,
    state: &State,
    role: Role,
) -> Result<(Admin, Frame), HttpError> {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(request, state);
    let cookie = site.cookie(request, Cookie::Console).unwrap_or_default();
    let admin = state.service.console_visit(&cookie).await.map_err(failed)?;
    let admin = admin.ok_or_else(|| sign_in_first(request, &site))?;
    limit::administrator(request, state, &admin.access)?;
    // No id contains U+0000, and PostgreSQL would not even look.
    if request.match_info().iter().any(|(_, part)| part.contains("%00") || part.contains('\0')) {
        return Err(failed(AdminError::not_found("This page")));
    }
    if admin.role < role {
        let (has, needs) = (admin.role.as_str(), role.as_str());
        let message = format!(
            "This needs the role {needs}; yours is {has}. An owner can change it under Administrators."
        );
        return Err(failed(AdminError::new(403, "role_too_small", message)));
    }
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let frame = Frame {
        base: site.base,
        proof: admin.proof.clone(),
        area: area_of(request.path()).to_owned(),
        said: None,
        key: query.get("said").map(str::to_owned),
        admin: admin.clone(),
    };
    Ok((admin, frame))
}

/// The same for a form, which must be one of this session.
pub(in crate::http) async fn submitted(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    role: Role,
) -> Result<(Admin, Frame, Form), HttpError> {
    // A sender may take its time over the form; the session is looked at when all of it is there.
    let form = Form::read(request, payload).await?;
    let (admin, frame) = enter(request, state, role).await?;
    form.check(request, &admin.proof)?;
    Ok((admin, frame, form))
}

/// To the page that signs in, which leads back to this one.
fn sign_in_first(request: &HttpRequest, site: &Site) -> HttpError {
    let path = match request.method().as_str() {
        "GET" | "HEAD" => request.uri().path_and_query().map_or("/console", |path| path.as_str()),
        _ => "/console",
    };
    let next: Cow<'_, str> = utf8_percent_encode(path, NON_ALPHANUMERIC).into();
    failed(Problem::Elsewhere(format!("{}/console/sign-in?next={next}", site.base)))
}
