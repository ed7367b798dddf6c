//! Calls of the server on this machine: of the one that runs, or of one that lives as long as the command.

use serde_json::Value;
use ureq::http::StatusCode;

use super::backup::tell;
use super::call::Call;
use crate::app::{self, App, LocalAccess, StartError};
use crate::clock::Clock;
use crate::config::Config;

/// Sends the call to the running server, or to one that lives as long as the command.
pub(super) fn perform(config: &Config, call: &Call) -> Result<Value, StartError> {
    if let Some(access) = app::running_server(&config.data_dir) {
        return send(&access, call);
    }
    let mut config = config.clone();
    // Answers name the address where the server will listen, not the one of this command.
    let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
    config.public_url.get_or_insert_with(|| format!("{scheme}://{}", config.listen));
    config.listen = "127.0.0.1:0".to_owned();
    config.workers = 1;
    (config.tls_cert, config.tls_key) = (None, None);
    actix_web::rt::System::new().block_on(async {
        let app = App::start(&config, Clock::system()).await?;
        if let Some(first) = &app.first_start {
            let path = app::keep_first_start(first, &config.data_dir)?;
            // Whoever is in another folder than the server's would take it for that one.
            let path = path.display();
            tell(&format!(
                "A new installation was made; base URL, token and API key are in {path}."
            ));
        }
        let access = app.local.clone();
        let handle = app.server.handle();
        let (method, path, body) = (call.method, call.path.clone(), call.body.clone());
        let sent = std::thread::spawn(move || send(&access, &Call { method, path, body }));
        let serving = actix_web::rt::spawn(app.run());
        let answer = actix_web::rt::task::spawn_blocking(move || sent.join()).await;
        handle.stop(true).await;
        let _ = serving.await;
        match answer {
            Ok(Ok(answer)) => answer,
            _ => Err(StartError("the command could not be sent".into())),
        }
    })
}

/// The running server: for what goes on when the command has ended.
pub(super) fn server(config: &Config) -> Result<LocalAccess, StartError> {
    app::running_server(&config.data_dir).ok_or_else(|| {
        StartError("no server runs on this data folder; start one with \"rollbook serve\"".into())
    })
}

pub(super) fn send(access: &LocalAccess, call: &Call) -> Result<Value, StartError> {
    let (status, text) = exchange(access, call)?;
    understood(status, &text)
}

/// The status and the text of an answer. Fails when there is none, or when it breaks off.
pub(super) fn exchange(
    access: &LocalAccess,
    call: &Call,
) -> Result<(StatusCode, String), StartError> {
    let mut response = answer(access, call)?;
    // The client reads 10 MiB unless it is told otherwise; events may have more.
    let read = response.body_mut().with_config().limit(u64::MAX).read_to_string();
    let text = read.map_err(broke_off)?;
    Ok((response.status(), text))
}

/// Writes an answer out as it comes, which may be larger than memory.
pub(super) fn copy(access: &LocalAccess, call: &Call) -> Result<(), StartError> {
    let mut response = answer(access, call)?;
    if !response.status().is_success() {
        let text = response.body_mut().read_to_string().map_err(broke_off)?;
        return understood(response.status(), &text).map(drop);
    }
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    std::io::copy(&mut body, &mut std::io::stdout().lock()).map(drop).map_err(broke_off)
}

fn broke_off(error: impl std::fmt::Display) -> StartError {
    StartError(format!("the answer broke off: {error}"))
}

fn answer(
    access: &LocalAccess,
    call: &Call,
) -> Result<ureq::http::Response<ureq::Body>, StartError> {
    let agent = local_agent();
    let request = ureq::http::Request::builder()
        .method(call.method)
        .uri(format!("{}{}", access.url, call.path))
        .header("Authorization", format!("Bearer {}", access.key))
        .header("Content-Type", "application/json");
    let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let request = request.body(body).map_err(|error| StartError(error.to_string()))?;
    agent.run(request).map_err(|error| StartError(error.to_string()))
}

/// What the server answered, or its refusal.
pub(super) fn understood(status: StatusCode, text: &str) -> Result<Value, StartError> {
    if status.is_success() {
        return match text.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_str(text)
                .map_err(|error| StartError(format!("the answer is not JSON: {error}"))),
        };
    }
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    let message = answer.get("message").and_then(Value::as_str).unwrap_or(text);
    let mut refusal = format!("{} ({status})", message.trim_end_matches('.'));
    // The message is about the first fault alone.
    let errors = answer.get("errors").and_then(Value::as_array).into_iter().flatten();
    for error in errors.skip(1) {
        let said = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        refusal.push_str(&format!("\n  {}: {}", said("field"), said("message")));
    }
    Err(StartError(refusal))
}

/// A client for a server on this machine, whose certificate is for another name.
pub(super) fn local_agent() -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_tells_every_fault() {
        let answer = r#"{"code": "validation_failed", "message": "The field \"a\" is not valid: x.",
            "errors": [{"field": "a", "message": "x."}, {"field": "b", "message": "y."}]}"#;
        let refused = understood(StatusCode::UNPROCESSABLE_ENTITY, answer).expect_err("refused");
        assert_eq!(
            refused.0,
            "The field \"a\" is not valid: x (422 Unprocessable Entity)\n  b: y."
        );
    }
}
