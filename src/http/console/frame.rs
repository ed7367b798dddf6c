//! Who looks at a page of the console, and what its pages have in common.
//!
//! A handler takes [`By`] or, for a form, [`Sent`], with the role that it needs: `Sent<Operator>`. It
//! calls a use case as the administrator whom that names, and answers with a page or leads to one.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Answer, PAGE_ROWS, PageError, failed};
use crate::http::body::Query;
use crate::http::error::Problem;
use crate::http::observe::RouteName;
use crate::http::web::browser::{Cookie, Form, Site};
use crate::http::web::page;
use crate::http::web::upload::Upload;
use crate::http::{State, caller, limit};
use crate::service::administer::ListParameters;
use crate::service::console::{Admin, Role};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service};

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

const AREAS: [Area; 15] = [
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
    area("branding", "Branding", "/console/branding"),
    owners("keys", "API keys", "/console/keys"),
    owners("administrators", "Administrators", "/console/administrators"),
    area("health", "Health", "/console/health"),
];

impl Frame {
    pub(in crate::http) fn areas(&self) -> impl Iterator<Item = &'static Area> {
        let role = self.admin.role;
        AREAS.iter().filter(move |area| area.role <= role)
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

/// A request of somebody who is signed in.
pub(in crate::http) struct Visit {
    pub(in crate::http) request: HttpRequest,
    pub(in crate::http) state: Data<State>,
    pub(in crate::http) admin: Admin,
    pub(in crate::http) frame: Frame,
    pub(in crate::http) query: Query,
}

impl Visit {
    /// Of whoever is signed in, if the role is enough; leads to the page that signs in otherwise.
    pub(in crate::http) async fn enter(
        request: &HttpRequest,
        state: &Data<State>,
        role: Role,
    ) -> Result<Self, PageError> {
        request.extensions_mut().insert(RouteName("console"));
        let site = Site::of(request, state);
        let cookie = site.cookie(request, Cookie::Console).unwrap_or_default();
        let admin = state.service.console_visit(&cookie).await?;
        let admin = admin.ok_or_else(|| sign_in_first(request, &site))?;
        limit::administrator(request, state, &admin.access)?;
        // No id contains U+0000, and PostgreSQL would not even look.
        if request.match_info().iter().any(|(_, part)| part.contains("%00") || part.contains('\0'))
        {
            return Err(AdminError::not_found("This page").into());
        }
        if admin.role < role {
            let (has, needs) = (admin.role.as_str(), role.as_str());
            let message = format!(
                "This needs the role {needs}; yours is {has}. An owner can change it under Administrators."
            );
            return Err(AdminError::new(403, "role_too_small", message).into());
        }
        let query = Query::parse(request.query_string())?;
        let frame = Frame {
            base: site.base,
            proof: admin.proof.clone(),
            area: area_of(request.path()).to_owned(),
            said: None,
            key: query.get("said").map(str::to_owned),
            admin: admin.clone(),
        };
        Ok(Self { request: request.clone(), state: state.clone(), admin, frame, query })
    }

    pub(in crate::http) fn service(&self) -> &Arc<Service> {
        &self.state.service
    }

    /// What use cases are given.
    pub(in crate::http) fn access(&self) -> &ApiAccess {
        &self.admin.access
    }

    pub(in crate::http) fn public_url(&self) -> String {
        caller::public_url(&self.request, &self.state)
    }

    /// The frame of a page that says what was just done: `sentences` knows the area's keys.
    pub(in crate::http) fn saying(
        &self,
        sentences: impl FnOnce(&str) -> Option<&'static str>,
    ) -> Frame {
        let said = self.frame.key.as_deref().and_then(sentences);
        Frame { said, ..self.frame.clone() }
    }

    /// A parameter of the address that is not empty.
    pub(in crate::http) fn asked(&self, name: &str) -> Option<String> {
        let text = self.query.get(name).map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Where a list starts: `after` or `before` of the address.
    pub(in crate::http) fn stretch(&self) -> ListParameters {
        ListParameters {
            limit: Some(PAGE_ROWS),
            after: self.asked("after"),
            before: self.asked("before"),
        }
    }

    /// An address below `/console`.
    pub(in crate::http) fn address(&self, path: &str) -> String {
        format!("{}/console/{path}", self.frame.base)
    }

    /// Leads to a page, which says what was done.
    pub(in crate::http) fn back_to(&self, path: &str, said: &str) -> Answer {
        Ok(page::lead_to(&format!("{}?said={said}", self.address(path))))
    }
}

/// A role that a page needs, as a type.
pub(in crate::http) trait Needed {
    const ROLE: Role;
}

pub(in crate::http) struct Viewer;
pub(in crate::http) struct Operator;
pub(in crate::http) struct Owner;

impl Needed for Viewer {
    const ROLE: Role = Role::Viewer;
}

impl Needed for Operator {
    const ROLE: Role = Role::Operator;
}

impl Needed for Owner {
    const ROLE: Role = Role::Owner;
}

/// A visit by somebody with that role, or a greater one.
pub(in crate::http) struct By<R> {
    visit: Visit,
    role: PhantomData<R>,
}

/// The same with a form, which is one of this session.
pub(in crate::http) struct Sent<R> {
    pub(in crate::http) form: Form,
    visit: Visit,
    role: PhantomData<R>,
}

impl<R> Deref for By<R> {
    type Target = Visit;

    fn deref(&self) -> &Visit {
        &self.visit
    }
}

impl<R> Deref for Sent<R> {
    type Target = Visit;

    fn deref(&self) -> &Visit {
        &self.visit
    }
}

impl<R: Needed> By<R> {
    /// Reads a form with a file of at most `limit` bytes. Nobody who is not signed in has so much of theirs
    /// read, and the session is looked at again when all of it is there.
    pub(in crate::http) async fn uploaded(
        self,
        payload: Payload,
        limit: usize,
    ) -> Result<(Sent<R>, Vec<u8>), PageError> {
        let Upload { form, content } = Upload::read(&self.request, payload, limit).await?;
        let visit = Visit::enter(&self.request, &self.state, R::ROLE).await?;
        form.check(&self.request, &visit.admin.proof)?;
        Ok((Sent { form, visit, role: PhantomData }, content))
    }
}

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, actix_web::Error>>>>;

impl<R: Needed + 'static> FromRequest for By<R> {
    type Error = actix_web::Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = Data::<State>::extract(&request).await?;
            let visit = Visit::enter(&request, &state, R::ROLE).await?;
            Ok(Self { visit, role: PhantomData })
        })
    }
}

impl<R: Needed + 'static> FromRequest for Sent<R> {
    type Error = actix_web::Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), Payload::from_request(request, payload));
        Box::pin(async move {
            let state = Data::<State>::extract(&request).await?;
            // A sender may take its time over the form; the session is looked at when all of it is there.
            let form = Form::read(&request, payload.await?).await?;
            let visit = Visit::enter(&request, &state, R::ROLE).await?;
            form.check(&request, &visit.admin.proof)?;
            Ok(Self { form, visit, role: PhantomData })
        })
    }
}

/// To the page that signs in, which leads back to this one. Who has sent a form is told what became of it.
fn sign_in_first(request: &HttpRequest, site: &Site) -> PageError {
    if !request.method().is_safe() {
        let message =
            "You are signed out, so nothing was changed. Sign in, then send the form again.";
        return AdminError::new(403, "signed_out", message).into();
    }
    let path = request.uri().path_and_query().map_or("/console", |path| path.as_str());
    let next: Cow<'_, str> = utf8_percent_encode(path, NON_ALPHANUMERIC).into();
    failed(Problem::Elsewhere(format!("{}/console/sign-in?next={next}", site.base)))
}
