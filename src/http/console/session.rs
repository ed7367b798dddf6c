//! Signing in and out, the links by which somebody chooses a password, and what everybody may change of
//! their own.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;

use super::{Answer, By, Frame, PageError, Sent, Viewer, failed, html};
use crate::auth::{password, secret};
use crate::http::body::Query;
use crate::http::observe::RouteName;
use crate::http::web::browser::{Cookie, Form, Site};
use crate::http::web::only;
use crate::http::web::page::{lead_to, put_cookie, respond, secure};
use crate::http::web::text as filters;
use crate::http::{State, caller};
use crate::service::console::{Newcomer, Place, SessionView, SignInError, SignedIn, Welcome};
use crate::service::error::AdminError;

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(
            only("/console/sign-in", "GET, POST")
                .route(get().to(sign_in_page))
                .route(post().to(sign_in)),
        )
        .service(only("/console/sign-in/openid", "GET").route(get().to(openid_begin)))
        .service(only("/console/sign-in/openid/return", "GET").route(get().to(openid_return)))
        .service(only("/console/sign-out", "POST").route(post().to(sign_out)))
        .service(only("/console/welcome", "POST").route(post().to(join)))
        .service(only("/console/welcome/{link}", "GET").route(get().to(welcome)))
        .service(only("/console/account", "GET").route(get().to(account)))
        .service(only("/console/account/password", "POST").route(post().to(change_password)))
        .service(only("/console/account/sessions/{id}/end", "POST").route(post().to(end_session)));
}

/// Seconds that a browser is known in which somebody has signed in: a year, from the last time.
const KNOWN_SECONDS: i64 = 365 * 24 * 60 * 60;

/// Makes htmx load the page again.
const REFRESH: HeaderName = HeaderName::from_static("hx-refresh");

/// The form that signs in, with what was wrong the last time.
#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage<'p> {
    base: &'p str,
    proof: &'p str,
    next: &'p str,
    email: &'p str,
    has_openid: bool,
    fault: Option<String>,
}

/// Leads on from a page of another site: the next request is one of this site and brings the cookie.
#[derive(Template)]
#[template(path = "console/onward.html")]
struct OnwardPage<'p> {
    base: &'p str,
    path: &'p str,
}

#[derive(Template)]
#[template(path = "console/welcome.html")]
struct WelcomePage<'p> {
    base: &'p str,
    proof: &'p str,
    link: &'p str,
    welcome: &'p Welcome,
    email: &'p str,
    name: &'p str,
    least: usize,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    frame: Frame,
    sessions: Vec<SessionView>,
    least: usize,
    fault: Option<String>,
}

/// Where a browser comes back to: a page of the console, or the first one.
fn own_path(next: &str) -> &str {
    let rest = next.strip_prefix("/console");
    let is_own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own && is_plain { next } else { "/console" }
}

fn place(request: &HttpRequest, state: &State) -> Place {
    let browser = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let address = caller::address(request, state).map(|address| address.to_string());
    Place { browser: browser.unwrap_or_default().to_owned(), address: address.unwrap_or_default() }
}

/// The text by which a form is known to come from this browser; a new one where there is none.
fn start(request: &HttpRequest, site: &Site) -> String {
    let kept = site.cookie(request, Cookie::ConsoleStart);
    kept.filter(|text| secret::is_random_text(text)).unwrap_or_else(secret::random_text)
}

/// The page for somebody who has no session yet, with the cookie that its form needs.
fn outside(site: &Site, start: &str, status: StatusCode, page: &impl Template) -> HttpResponse {
    let mut answer = respond(status, page);
    put_cookie(&mut answer, &site.set(Cookie::ConsoleStart, start, None));
    answer
}

/// Into the console with a new session.
fn inside(site: &Site, state: &State, text: &str, path: &str) -> HttpResponse {
    let mut answer = lead_to(&format!("{}{path}", site.base));
    let seconds = state.service.console_session_seconds();
    put_cookie(&mut answer, &site.set(Cookie::Console, text, Some(seconds)));
    put_cookie(&mut answer, &site.set(Cookie::ConsoleStart, "", Some(0)));
    answer
}

async fn sign_in_page(request: HttpRequest, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(&request, &state);
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let next = own_path(query.get("next").unwrap_or_default());
    if request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        let page = OnwardPage { base: &site.base, path: next };
        return Ok(respond(StatusCode::OK, &page));
    }
    if request.headers().contains_key("hx-request") {
        // A part of an open page was asked for: the whole of it is loaded again, and leads here.
        let mut answer = HttpResponse::Ok();
        return Ok(secure(&mut answer).insert_header((REFRESH, "true")).finish());
    }
    let start = start(&request, &site);
    let proof = state.service.console_start_secret(&start);
    let page = SignInPage {
        base: &site.base,
        proof: &proof,
        next,
        email: "",
        has_openid: state.service.console_has_openid(),
        fault: None,
    };
    Ok(outside(&site, &start, StatusCode::OK, &page))
}

async fn sign_in(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(&request, &state);
    let form = Form::read(&request, payload).await?;
    let start = start(&request, &site);
    let proof = state.service.console_start_secret(&start);
    form.check(&request, &proof)?;
    let (email, next) = (form.get("email"), own_path(form.get("next")));
    let (place, address) = (place(&request, &state), caller::address(&request, &state));
    let mark = site.cookie(&request, Cookie::ConsoleKnown).unwrap_or_default();
    let password = form.get("password");
    let signed_in = state.service.console_sign_in(email, password, &mark, &place, address).await;
    let (status, fault, wait) = match signed_in {
        Ok(SignedIn { session, mark }) => {
            let mut answer = inside(&site, &state, &session, next);
            put_cookie(&mut answer, &site.set(Cookie::ConsoleKnown, &mark, Some(KNOWN_SECONDS)));
            return Ok(answer);
        }
        Err(error) => refusal(error)?,
    };
    let has_openid = state.service.console_has_openid();
    let (base, fault) = (&site.base, Some(fault));
    let page = SignInPage { base, proof: &proof, next, email, has_openid, fault };
    let mut answer = outside(&site, &start, status, &page);
    put_wait(&mut answer, wait);
    Ok(answer)
}

/// Where the OpenID provider leads back to.
fn redirect_uri(site: &Site) -> String {
    format!("{}/console/sign-in/openid/return", site.public_url)
}

/// To the OpenID provider; the browser keeps what must come back.
async fn openid_begin(request: HttpRequest, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(&request, &state);
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let next = own_path(query.get("next").unwrap_or_default());
    let begun = state.service.console_openid_begin(&redirect_uri(&site), next).await;
    let departure = begun.map_err(failed)?;
    let mut answer = lead_to(&departure.address);
    put_cookie(&mut answer, &site.set(Cookie::ConsoleAway, &departure.away, Some(AWAY_SECONDS)));
    Ok(answer)
}

/// Seconds that the browser keeps what must come back.
const AWAY_SECONDS: i64 = 600;

/// Back from the provider. The page leads on by itself, because a browser that comes from another site
/// does not send the cookie of the session along yet.
async fn openid_return(request: HttpRequest, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(&request, &state);
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let away = site.cookie(&request, Cookie::ConsoleAway).unwrap_or_default();
    let given = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let (back, code) = (given("state"), given("code"));
    let (place, address) = (place(&request, &state), caller::address(&request, &state));
    let uri = redirect_uri(&site);
    let service = &state.service;
    let returned =
        service.console_openid_return(&away, (&back, &code), &uri, &place, address).await;
    let mut answer = match returned {
        Ok((text, next)) => {
            let page = OnwardPage { base: &site.base, path: own_path(&next) };
            let mut answer = respond(StatusCode::OK, &page);
            let seconds = service.console_session_seconds();
            put_cookie(&mut answer, &site.set(Cookie::Console, &text, Some(seconds)));
            answer
        }
        Err(SignInError::Service(error)) => return Err(failed(error)),
        Err(error) => {
            let (status, fault, wait) = refusal(error)?;
            let start = start(&request, &site);
            let page = SignInPage {
                base: &site.base,
                proof: &service.console_start_secret(&start),
                next: "/console",
                email: "",
                has_openid: true,
                fault: Some(fault),
            };
            let mut answer = outside(&site, &start, status, &page);
            put_wait(&mut answer, wait);
            answer
        }
    };
    put_cookie(&mut answer, &site.set(Cookie::ConsoleAway, "", Some(0)));
    Ok(answer)
}

/// Status, sentence, and seconds to wait.
fn refusal(error: SignInError) -> Result<(StatusCode, String, Option<u64>), PageError> {
    match error {
        SignInError::Wrong => {
            let sentence = "The e-mail address or the password is wrong.";
            Ok((StatusCode::FORBIDDEN, sentence.to_owned(), None))
        }
        SignInError::TooMany(seconds) => {
            let unit = if seconds == 1 { "second" } else { "seconds" };
            let sentence = format!("Too many attempts; try again in {seconds} {unit}.");
            Ok((StatusCode::TOO_MANY_REQUESTS, sentence, Some(seconds)))
        }
        SignInError::Service(error) => Err(failed(error)),
    }
}

fn put_wait(answer: &mut HttpResponse, wait: Option<u64>) {
    if let Some(seconds) = wait {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

async fn sign_out(sent: Sent<Viewer>) -> Answer {
    sent.service().console_sign_out(&sent.admin).await?;
    let mut answer = lead_to(&sent.address("sign-in"));
    let site = Site::of(&sent.request, &sent.state);
    put_cookie(&mut answer, &site.set(Cookie::Console, "", Some(0)));
    Ok(answer)
}

/// Whoever comes by a link that opens nothing.
fn closed() -> AdminError {
    let message = "This link was used already, has ended, or was not copied as a whole. An owner can make \
                   another one; on the machine of the server, \"rollbook admin create\" makes an account.";
    AdminError::new(404, "link_closed", message)
}

/// The page of a link. It changes nothing, however often it is read and by whom.
async fn welcome(request: HttpRequest, link: Path<String>, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(&request, &state);
    let found = state.service.console_welcome(&link).await.map_err(failed)?;
    let welcome = found.ok_or_else(|| failed(closed()))?;
    let start = start(&request, &site);
    let page = WelcomePage {
        base: &site.base,
        proof: &state.service.console_start_secret(&start),
        link: &link,
        welcome: &welcome,
        email: "",
        name: "",
        least: password::MIN_CHARS,
        fault: None,
    };
    Ok(outside(&site, &start, StatusCode::OK, &page))
}

async fn join(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    request.extensions_mut().insert(RouteName("console"));
    let site = Site::of(&request, &state);
    let form = Form::read(&request, payload).await?;
    let start = start(&request, &site);
    let proof = state.service.console_start_secret(&start);
    form.check(&request, &proof)?;
    let link = form.get("link");
    let newcomer = Newcomer {
        email: form.get("email").to_owned(),
        name: form.get("name").to_owned(),
        password: form.get("password").to_owned(),
    };
    let joined = match form.get("password") == form.get("again") {
        true => state.service.console_join(link, newcomer, &place(&request, &state)).await,
        false => Err(unlike().into()),
    };
    let fault = match joined {
        Ok(Some(text)) => return Ok(inside(&site, &state, &text, "/console")),
        Ok(None) => return Err(failed(closed())),
        Err(error) if error.to_scim().status == 422 => error.to_scim().detail,
        Err(error) => return Err(failed(error)),
    };
    let found = state.service.console_welcome(link).await.map_err(failed)?;
    let welcome = found.ok_or_else(|| failed(closed()))?;
    let page = WelcomePage {
        base: &site.base,
        proof: &proof,
        link,
        welcome: &welcome,
        email: form.get("email"),
        name: form.get("name"),
        least: password::MIN_CHARS,
        fault: Some(fault),
    };
    Ok(outside(&site, &start, StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn unlike() -> AdminError {
    AdminError::invalid("password", "it was entered twice, and not the same.")
}

fn said(key: &str) -> Option<&'static str> {
    match key {
        "password" => Some("The password was changed; other browsers are signed out."),
        "ended" => Some("That browser is signed out."),
        _ => None,
    }
}

async fn account(visit: By<Viewer>) -> Answer {
    let sessions = visit.service().admin_sessions(visit.access(), &visit.admin.id).await?;
    let (frame, least) = (visit.saying(said), password::MIN_CHARS);
    html(&AccountPage { frame, sessions, least, fault: None })
}

async fn change_password(sent: Sent<Viewer>) -> Answer {
    let (request, state, admin) = (&sent.request, &sent.state, &sent.admin);
    let (before, after) = (sent.form.get("before"), sent.form.get("password"));
    let (place, service) = (place(request, state), &state.service);
    let changed = match after == sent.form.get("again") {
        true => service.console_change_password(admin, before, after, &place).await,
        false => Err(SignInError::Service(unlike().into())),
    };
    let (status, fault, wait) = match changed {
        Ok(text) => {
            let site = Site::of(request, state);
            return Ok(inside(&site, state, &text, "/console/account?said=password"));
        }
        Err(SignInError::Wrong) => {
            let sentence = "The password that counts until now is another one.";
            (StatusCode::UNPROCESSABLE_ENTITY, sentence.to_owned(), None)
        }
        Err(SignInError::Service(error)) if error.to_scim().status == 422 => {
            (StatusCode::UNPROCESSABLE_ENTITY, error.to_scim().detail, None)
        }
        Err(error) => refusal(error)?,
    };
    let sessions = service.admin_sessions(&admin.access, &admin.id).await?;
    let frame = sent.frame.clone();
    let page = AccountPage { frame, sessions, least: password::MIN_CHARS, fault: Some(fault) };
    let mut answer = respond(status, &page);
    put_wait(&mut answer, wait);
    Ok(answer)
}

async fn end_session(sent: Sent<Viewer>, id: Path<String>) -> Answer {
    sent.service().admin_session_end(sent.access(), &sent.admin.id, Some(&id)).await?;
    sent.back_to("account", "ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_paths_are_led_back_to() {
        for path in ["/console", "/console/people?q=a", "/console?said=x"] {
            assert_eq!(own_path(path), path);
        }
        for path in [
            "",
            "https://evil.example.com/console",
            "//evil.example.com/console",
            "/consoles",
            "/console\\..\\x",
            "/console/\r\nSet-Cookie: x",
            "/setup",
        ] {
            assert_eq!(own_path(path), "/console", "{path:?}");
        }
    }
}
