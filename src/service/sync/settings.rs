//! What the settings of a directory say about reading it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pull::SourceKind;
use crate::pull::guard::Guard;
use crate::pull::plan::Groups;
use crate::service::brake::BrakeSettings;
use crate::service::context::Settings;
use crate::service::error::AdminError;
use crate::service::mapping::filter::Filter;
use crate::service::policy::Span;

/// Most groups of a scope, and longest name of one, in bytes.
const MAX_SCOPE: usize = 1_000;
const MAX_SCOPE_NAME: usize = 512;

/// How often everything is read where changes can be read, if nothing else is said.
const FULL_EVERY: Span = Span::days(1);

/// When a directory is read: `"off"`, or how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Schedule {
    Off,
    Every { every: Option<Span>, full_every: Option<Span> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full_every: Option<Span>,
}

impl TryFrom<Value> for Schedule {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if value.as_str() == Some("off") {
            return Ok(Self::Off);
        }
        if !value.is_object() {
            return Err(format!(
                "it is {value}; allowed is \"off\" or an object such as {{\"every\": \"1h\", \
                 \"full_every\": \"1d\"}}"
            ));
        }
        let written: Written = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Ok(Self::Every { every: written.every, full_every: written.full_every })
    }
}

impl From<Schedule> for Value {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Off => "off".into(),
            Schedule::Every { every, full_every } => {
                serde_json::to_value(Written { every, full_every }).unwrap_or_default()
            }
        }
    }
}

/// The settings that a read goes by.
#[derive(Clone, Debug)]
pub(super) struct ReadSettings {
    pub(super) filter: Option<Filter>,
    pub(super) groups: Groups,
    pub(super) group_scope: Option<Vec<String>>,
    /// `None` for on request only.
    pub(super) every_ms: Option<i64>,
    pub(super) full_every_ms: i64,
    pub(super) guard: Guard,
}

impl ReadSettings {
    /// From what is stored. A filter that this version does not understand is an error: without it
    /// everybody would come in.
    pub(super) fn of(settings: &Settings, kind: &SourceKind) -> Result<Self, String> {
        let usual = Self::usual(kind).every_ms;
        let (every_ms, full_every) = match settings.schedule {
            None => (usual, None),
            Some(Schedule::Off) => (None, None),
            Some(Schedule::Every { every, full_every }) => {
                (every.map(Span::as_ms).or(usual), full_every)
            }
        };
        Ok(Self {
            filter: settings.filter.as_deref().map(Filter::compile).transpose()?,
            groups: if settings.disable_group_sync { Groups::LeftOut } else { Groups::Synced },
            group_scope: settings.group_scope.clone(),
            every_ms,
            full_every_ms: full_every.unwrap_or(FULL_EVERY).as_ms(),
            guard: settings.guard.unwrap_or_default(),
        })
    }

    /// As nothing is said.
    pub(super) fn usual(kind: &SourceKind) -> Self {
        Self {
            filter: None,
            groups: Groups::Synced,
            group_scope: None,
            every_ms: kind.every_minutes.map(|minutes| minutes * 60 * 1_000),
            full_every_ms: FULL_EVERY.as_ms(),
            guard: Guard::default(),
        }
    }

    /// Whether groups have to be read.
    pub(super) fn wants_groups(&self) -> bool {
        self.groups == Groups::Synced || self.group_scope.is_some()
    }
}

/// Refuses settings that do not belong to a directory of that kind.
pub(in crate::service) fn check(settings: &Settings, kind: &str) -> Result<(), AdminError> {
    let Some(source) = SourceKind::named(kind) else {
        let given = [
            ("group_scope", settings.group_scope.is_some()),
            ("schedule", settings.schedule.is_some()),
            ("guard", settings.guard.is_some()),
        ];
        return match given.iter().find(|(_, is_given)| *is_given) {
            None => check_filter(settings),
            Some((name, _)) => Err(AdminError::invalid(
                &format!("settings.{name}"),
                format!(
                    "it is for directories that are read, whose kind begins with \"pull.\"; this one \
                         is {kind}."
                ),
            )),
        };
    };
    if settings.entra_token.is_some() {
        let message = format!("nobody pushes into a directory of the kind {}.", source.name);
        return Err(AdminError::invalid("settings.entra_token", message));
    }
    if settings.brake != BrakeSettings::default() {
        let message = "it is for directories that are pushed; for one that is read, settings.guard says \
                       what is too much.";
        return Err(AdminError::invalid("settings.brake", message));
    }
    check_filter(settings)?;
    if let Some(scope) = &settings.group_scope {
        let fits = |name: &String| (1..=MAX_SCOPE_NAME).contains(&name.len());
        if scope.is_empty() || scope.len() > MAX_SCOPE || !scope.iter().all(fits) {
            let message = format!(
                "it must hold 1 to {MAX_SCOPE} ids or names of groups of at most {MAX_SCOPE_NAME} \
                 bytes; leave it out for all groups."
            );
            return Err(AdminError::invalid("settings.group_scope", message));
        }
    }
    Ok(())
}

fn check_filter(settings: &Settings) -> Result<(), AdminError> {
    let Some(filter) = &settings.filter else { return Ok(()) };
    let compiled = Filter::compile(filter).map(drop);
    compiled.map_err(|message| AdminError::invalid("settings.filter", format!("{message}.")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schedules_are_read_and_written() {
        for value in [
            json!("off"),
            json!({}),
            json!({"every": "30m"}),
            json!({"every": "1h", "full_every": "1d"}),
        ] {
            let schedule: Schedule = serde_json::from_value(value.clone()).expect("a schedule");
            assert_eq!(serde_json::to_value(schedule).expect("JSON"), value);
        }
        for value in [json!("hourly"), json!({"every": 5}), json!({"at": "1h"})] {
            assert!(serde_json::from_value::<Schedule>(value).is_err());
        }
    }

    #[test]
    fn settings_of_readers_are_refused_for_directories_that_are_pushed() {
        let settings = Settings { schedule: Some(Schedule::Off), ..Settings::default() };
        assert!(check(&settings, "pull.csv").is_ok());
        let error = check(&settings, "scim.okta").expect_err("refused");
        assert!(error.message.contains("settings.schedule"), "{}", error.message);
        for kind in ["pull.csv", "scim.okta"] {
            let filtered = |filter: &str| {
                check(&Settings { filter: Some(filter.into()), ..Settings::default() }, kind)
            };
            assert!(filtered("true").is_ok() && filtered("payload.").is_err(), "{kind}");
        }
        let settings = Settings { group_scope: Some(Vec::new()), ..Settings::default() };
        assert!(check(&settings, "pull.csv").is_err());
    }
}
