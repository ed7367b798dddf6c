//! Settings of a directory: the common ones as a form, all of them as JSON, and what would follow; its
//! name; and the configuration of one that is read.

use std::sync::LazyLock;

use actix_web::web::Path;
use askama::Template;
use serde_json::{Value, json};

use super::{
    Answer, By, Faults, Frame, Operator, PageError, Sent, Shown, Top, Viewer, Visit, back, checked,
    document, found, html, html_with, is_read, said, sentences,
};
use crate::http::web::browser::Form;
use crate::http::web::form::{self, Fields, Purpose};
use crate::http::web::text as filters;
use crate::http::{State, after};
use crate::scim::Object;
use crate::service::ServiceError;
use crate::service::administer::{DirectoryChange, SettingsPreview};

/// The common settings as JSON Schemas: of directories that are pushed, and of those that are read.
static COMMON: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("settings.json")).unwrap_or_default());

const PLACE: &str = "settings";

#[derive(Template)]
#[template(path = "console/directories/settings.html")]
struct SettingsPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    common: Fields,
    /// All of them, as JSON.
    whole: String,
    source: Option<Fields>,
    faults: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/directories/settings_preview.html")]
struct PreviewPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    /// What is to be stored, as JSON.
    wanted: String,
    preview: Shown<'p>,
}

/// What a form that was refused had, and why.
#[derive(Default)]
struct Refused {
    common: Object,
    whole: Option<String>,
    source: Object,
    faults: Faults,
}

fn schema_of(directory: &Value) -> &'static Value {
    COMMON.get(if is_read(directory) { "read" } else { "pushed" }).unwrap_or(&Value::Null)
}

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, Refused::default()).await
}

async fn shown(visit: &Visit, id: &str, refused: Refused) -> Answer {
    let (frame, directory) = (&visit.saying(said), found(visit, id).await?);
    let settings = Shown(&directory).at(PLACE);
    let mut values = common_of(settings);
    values.extend(refused.common);
    let (of_source, others): (Faults, Faults) =
        refused.faults.iter().cloned().partition(|(field, _)| field.starts_with("config."));
    let (of_common, others): (Faults, Faults) =
        others.into_iter().partition(|(field, _)| field.starts_with("settings."));
    let source = match Shown(&directory).at("config").0.as_object() {
        None => None,
        Some(stored) => {
            let schema = config_schema(&visit.state, &directory)?;
            let values = form::again(&schema, stored, refused.source);
            Some(Fields::of(&schema, &values, &of_source))
        }
    };
    let page = SettingsPage {
        frame,
        top: Top::new(frame, &directory, "settings"),
        common: Fields::under(PLACE, schema_of(&directory), &values, &of_common),
        whole: refused.whole.unwrap_or_else(|| settings.pretty("")),
        source,
        faults: sentences(&others),
    };
    html_with(&refused.faults, &page)
}

fn config_schema(state: &State, directory: &Value) -> Result<Value, PageError> {
    let connector = state.service.connector(Shown(directory).text("kind"))?;
    Ok(connector.get("config_schema").cloned().unwrap_or_default())
}

/// The common settings as the form has them.
fn common_of(settings: Shown<'_>) -> Object {
    let mut common = settings.0.as_object().cloned().unwrap_or_default();
    for (name, path) in [
        ("records_bodies", "records.bodies"),
        ("records_days", "records.days"),
        ("full_every", "schedule.full_every"),
    ] {
        if settings.has(path) {
            common.insert(name.to_owned(), settings.at(path).0.clone());
        }
    }
    if settings.has("schedule.every") {
        common.insert("schedule".to_owned(), settings.text("schedule.every").into());
    } else if !settings.at("schedule").0.is_string() {
        common.shift_remove("schedule");
    }
    if settings.has("rate_limit.per_second") {
        let (rate, burst) = (settings.number("rate_limit.per_second"), "rate_limit.burst");
        let text = match settings.has(burst) {
            true => format!("{rate}/{}", settings.number(burst)),
            false => rate.to_string(),
        };
        common.insert("rate_limit".to_owned(), text.into());
    }
    let scope: Vec<String> = settings.list("group_scope").map(|group| group.plain("")).collect();
    common.insert("group_scope".to_owned(), scope.join("\n").into());
    let guard = if settings.text("guard") == "off" { "off" } else { "on" };
    common.insert("guard".to_owned(), guard.into());
    common
}

/// The settings with what a form has of the common ones; the others stay.
fn with_common(settings: Shown<'_>, sent: &Object) -> Object {
    let mut whole = settings.0.as_object().cloned().unwrap_or_default();
    let mut put = |name: &str, value: Option<Value>| match value {
        Some(value) => {
            whole.insert(name.to_owned(), value);
        }
        None => {
            whole.shift_remove(name);
        }
    };
    for (name, value) in sent {
        let is_set = !value.is_null() && *value != Value::Bool(false);
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            "full_every" | "records_bodies" | "records_days" => {}
            "schedule" => {
                let full = sent.get("full_every").filter(|full| !full.is_null());
                let schedule = match (text, full) {
                    ("", None) => None,
                    ("off", _) => Some("off".into()),
                    ("", Some(full)) => Some(json!({"full_every": full})),
                    (every, None) => Some(json!({"every": every})),
                    (every, Some(full)) => Some(json!({"every": every, "full_every": full})),
                };
                put(name, schedule);
            }
            "group_scope" => {
                let groups = text.lines().map(str::trim).filter(|group| !group.is_empty());
                let groups: Vec<&str> = groups.collect();
                put(name, (!groups.is_empty()).then(|| json!(groups)));
            }
            "guard" if text == "off" => put(name, Some("off".into())),
            "guard" if settings.text("guard") == "off" => put(name, None),
            "guard" => {}
            _ => put(name, is_set.then(|| value.clone())),
        }
    }
    let kept = [("records_bodies", "bodies"), ("records_days", "days")];
    if kept.iter().any(|(name, _)| sent.contains_key(*name)) {
        let mut records = settings.at("records").0.as_object().cloned().unwrap_or_default();
        for (name, member) in kept {
            match sent.get(name).filter(|value| !value.is_null()) {
                Some(value) => records.insert(member.to_owned(), value.clone()),
                None => records.shift_remove(member),
            };
        }
        put("records", (!records.is_empty()).then(|| records.into()));
    }
    whole
}

/// What a form asks to be stored: all settings as JSON, or the common ones.
fn wanted(directory: &Value, form: &Form) -> Result<(Value, Refused), ServiceError> {
    if form.all(PLACE).next().is_some() {
        let text = form.get(PLACE);
        let refused = Refused { whole: Some(text.to_owned()), ..Refused::default() };
        return Ok((document(PLACE, text)?, refused));
    }
    let get = |name: &str| form.get(name);
    let sent = Fields::read_under(PLACE, schema_of(directory), get, Purpose::Change);
    let whole = with_common(Shown(directory).at(PLACE), &sent);
    Ok((whole.into(), Refused { common: sent, ..Refused::default() }))
}

/// Shows what would follow, or stores the settings.
pub(super) async fn set(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let directory = found(&sent, &id).await?;
    let (settings, refused) = match checked(wanted(&directory, &sent.form))? {
        Ok(wanted) => wanted,
        Err(faults) => {
            let whole = Some(sent.form.get(PLACE).to_owned());
            return shown(&sent, &id, Refused { whole, faults, ..Refused::default() }).await;
        }
    };
    let outcome = match sent.form.get("do") {
        "store" => {
            let change = DirectoryChange { settings: Some(settings), ..DirectoryChange::default() };
            sent.service().directory_update(sent.access(), &id, change).await.map(|_| None)
        }
        _ => {
            let preview = SettingsPreview { settings: settings.clone() };
            let preview = sent.service().settings_preview(sent.access(), &id, preview).await;
            preview.map(|preview| Some((settings, preview)))
        }
    };
    match checked(outcome)? {
        Ok(None) => {
            after::apply_policies(&sent.state);
            back(&sent, &id, "/settings", "settings")
        }
        Ok(Some((settings, preview))) => html(&PreviewPage {
            frame: &sent.frame,
            top: Top::new(&sent.frame, &directory, "settings"),
            wanted: Shown(&settings).pretty(""),
            preview: Shown(&preview),
        }),
        Err(faults) => shown(&sent, &id, Refused { faults, ..refused }).await,
    }
}

pub(super) async fn rename(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let name = Some(sent.form.get("name").trim().to_owned());
    let change = DirectoryChange { name, ..DirectoryChange::default() };
    match checked(sent.service().directory_update(sent.access(), &id, change).await)? {
        Ok(_) => back(&sent, &id, "/settings", "renamed"),
        Err(faults) => shown(&sent, &id, Refused { faults, ..Refused::default() }).await,
    }
}

/// Changes the configuration of a directory that is read.
pub(super) async fn set_source(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let directory = found(&sent, &id).await?;
    let schema = config_schema(&sent.state, &directory)?;
    let source = Fields::read(&schema, |name| sent.form.get(name), Purpose::Change);
    let config = Some(Value::Object(source.clone()));
    let change = DirectoryChange { config, ..DirectoryChange::default() };
    match checked(sent.service().directory_update(sent.access(), &id, change).await)? {
        Ok(_) => back(&sent, &id, "/settings", "source"),
        Err(faults) => shown(&sent, &id, Refused { source, faults, ..Refused::default() }).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn what_the_form_does_not_have_stays() {
        let settings = json!({
            "brake": "hold", "rate_limit": {"per_second": 5, "burst": 9}, "guard": {"role_groups": 2},
            "records": {"count": 50, "days": 3}, "schedule": {"every": "1h"}, "group_scope": ["A", "B"],
        });
        let common = common_of(Shown(&settings));
        assert_eq!(common["rate_limit"], "5/9");
        assert_eq!((&common["schedule"], &common["guard"]), (&json!("1h"), &json!("on")));
        assert_eq!((&common["group_scope"], &common["records_days"]), (&json!("A\nB"), &json!(3)));
        let sent = object(json!({
            "schedule": "2h", "full_every": "1d", "group_scope": "A\r\n C ", "guard": "on",
            "filter": "true", "disable_group_sync": false, "records_days": null,
        }));
        let whole = with_common(Shown(&settings), &sent);
        let expected = json!({
            "brake": "hold", "rate_limit": {"per_second": 5, "burst": 9}, "guard": {"role_groups": 2},
            "records": {"count": 50}, "schedule": {"every": "2h", "full_every": "1d"},
            "group_scope": ["A", "C"], "filter": "true",
        });
        assert_eq!(Value::Object(whole), expected);
        let off = object(json!({"schedule": "off", "guard": "off", "group_scope": null}));
        let whole = with_common(Shown(&settings), &off);
        assert_eq!((&whole["schedule"], &whole["guard"]), (&json!("off"), &json!("off")));
        assert!(!whole.contains_key("group_scope"));
    }

    #[test]
    fn common_settings_are_settings() {
        for of in ["pushed", "read"] {
            assert!(COMMON[of]["properties"].as_object().is_some_and(|all| all.len() > 5), "{of}");
        }
    }
}
