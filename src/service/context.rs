//! A directory as the use cases see it: its row, its profile and its settings, understood.

use serde::{Deserialize, Serialize};

use super::brake::BrakeSettings;
use super::exchange::RecordSettings;
use super::limit::RateLimit;
use super::mapping::Mapping;
use super::oauth::EntraToken;
use super::policy::{InactiveUsers, OnDelete, Policies, Revive, Span};
use super::sync::Schedule;
use crate::profile::{PROVIDERS, Profile};
use crate::pull::guard::Guard;
use crate::pull::{SourceKind, connectors};
use crate::scim::{Registry, ResourceType, ScimError};
use crate::store::directory::DirectoryRow;
use crate::store::resource::AppState;

use std::sync::Arc;

/// The state of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Validating,
    Linked,
    InvalidCredentials,
    Error,
    Paused,
    Disabled,
    Deleting,
}

impl State {
    pub const ALL: [Self; 7] = [
        Self::Validating,
        Self::Linked,
        Self::InvalidCredentials,
        Self::Error,
        Self::Paused,
        Self::Disabled,
        Self::Deleting,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Linked => "linked",
            Self::InvalidCredentials => "invalid_credentials",
            Self::Error => "error",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Deleting => "deleting",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether an identity provider may write.
    pub fn lets_write(self) -> bool {
        matches!(self, Self::Validating | Self::Linked | Self::Error)
    }

    /// The word in events, where directories are active or inactive.
    pub fn in_events(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InvalidCredentials => "invalid_credentials",
            Self::Linked | Self::Error => "active",
            Self::Paused | Self::Disabled => "inactive",
            Self::Deleting => "deleting",
        }
    }

    /// The word in the read API, where directories are linked or unlinked.
    pub fn in_read_api(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InvalidCredentials => "invalid_credentials",
            Self::Linked | Self::Error => "linked",
            Self::Paused | Self::Disabled => "unlinked",
            Self::Deleting => "deleting",
        }
    }
}

/// The settings of a directory; unknown keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Overrides of single profile flags.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub profile: toml::Table,
    /// Lets in with tokens that Entra issues itself, of one tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entra_token: Option<EntraToken>,
    /// How many requests the identity provider may make; the process's limit when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// `keep` or `delete`: how the app sees inactive users.
    #[serde(default)]
    pub inactive_users: InactiveUsers,
    /// `remove` or `deactivate`: what the app sees of a user whom SCIM deletes.
    #[serde(default)]
    pub delete: OnDelete,
    /// How long the app goes on seeing, as inactive, a user whom SCIM has deleted.
    #[serde(default)]
    pub grace_period: Option<Span>,
    /// Whether a user who becomes inactive leaves every group, in SCIM too.
    #[serde(default)]
    pub strip_groups_when_inactive: bool,
    /// `never` or `same_external_id`: whether a POST brings an inactive user back.
    #[serde(default)]
    pub revive_on_create: Revive,
    /// How long a user may be in no group before the app sees it as inactive.
    #[serde(default)]
    pub suspend_when_groupless: Option<Span>,
    /// What happens when it takes away too much within an hour.
    #[serde(default)]
    pub brake: BrakeSettings,
    /// What is kept of its requests.
    #[serde(default)]
    pub records: RecordSettings,
    /// Nobody but the operator lets go of what the brake or a held run has stopped; otherwise a visitor of a
    /// setup link may, too. To put it back, or to reject it, is always the customer's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub operator_decides: bool,
    /// Of a directory that is read: which objects of the source come in. Of one that is pushed: which users
    /// the app sees as active (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Users only: of a directory that is read no group comes in, of one that is pushed the app sees none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_group_sync: bool,
    /// Of a directory that is read: only these groups, by the source's id or name, with all below them and
    /// their members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_scope: Option<Vec<String>>,
    /// Of a directory that is read: when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Of a directory that is read: how much a run may take away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

fn is_false(switch: &bool) -> bool {
    !switch
}

impl Settings {
    /// Reads what was stored; settings that this version does not understand count as none, with a log
    /// line. What a unit goes by is [`Policies::stored`], which passes over what it does not know.
    pub fn stored(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| {
            tracing::warn!(%error, "the settings of a directory are not understood and do not count");
            Self::default()
        })
    }
}

/// What kinds of directories there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind<'k> {
    /// `entra` of `scim.entra`; `default` for what is read.
    pub provider: &'k str,
}

impl<'k> Kind<'k> {
    /// Reads `scim.<provider>` or `pull.<source>`; the error lists what is allowed.
    pub fn parse(text: &'k str) -> Result<Self, String> {
        if SourceKind::named(text).is_some() {
            return Ok(Self { provider: "default" });
        }
        match text.strip_prefix("scim.") {
            Some(provider) if PROVIDERS.contains(&provider) => Ok(Self { provider }),
            _ => {
                let pushed = PROVIDERS.iter().map(|provider| format!("scim.{provider}"));
                let pulled = connectors::ALL.iter().map(|kind| kind.name.to_owned());
                let known: Vec<String> = pushed.chain(pulled).collect();
                Err(format!(
                    "\"{text}\" is not a directory kind; allowed are {}.",
                    known.join(", ")
                ))
            }
        }
    }
}

/// A directory, ready to serve requests.
#[derive(Clone, Debug)]
pub struct Directory {
    pub key: i64,
    pub id: String,
    pub organization_id: String,
    pub external_key: String,
    /// `entra` of the kind `scim.entra`.
    pub provider: &'static str,
    /// Read from its source; nobody pushes into it.
    pub is_read: bool,
    pub state: State,
    pub rate_limit: Option<RateLimit>,
    pub profile: Arc<Profile>,
    /// As they are stored; what follows from them is in the other fields.
    pub settings: String,
    /// As they were when the row was read. A unit reads them anew.
    pub policies: Policies,
    /// What is kept of its requests.
    pub records: RecordSettings,
    pub registry: Registry,
    /// The version of the directory's own schemas that the registry has, and of its maps.
    pub schema_version: i64,
    /// Key of its organization, where that keeps identities. Switching them on counts as a change of
    /// the schemas, so a unit that goes by this has it right.
    pub identities: Option<i64>,
    /// What the operator makes of its users.
    pub mapping: Arc<Mapping>,
}

impl Directory {
    /// Reads the row. A stored profile override that this version no longer understands does not
    /// count, with a log line: a directory must go on working after an upgrade.
    pub fn from_row(row: &DirectoryRow, registry: Registry) -> Self {
        let settings = Settings::stored(&row.settings);
        let provider = Kind::parse(&row.kind).map_or("default", |kind| kind.provider);
        let (profile, faults) = Profile::of_stored(provider, &settings.profile);
        for fault in faults {
            tracing::warn!(
                directory = row.id,
                flag = fault.flag,
                error = fault.message,
                "a profile override is not understood"
            );
        }
        Self {
            key: row.key,
            id: row.id.clone(),
            organization_id: row.organization_id.clone(),
            external_key: row.external_key.clone(),
            is_read: SourceKind::named(&row.kind).is_some(),
            provider: PROVIDERS
                .iter()
                .copied()
                .find(|known| *known == provider)
                .unwrap_or("default"),
            state: State::parse(&row.state).unwrap_or(State::Error),
            rate_limit: settings.rate_limit,
            settings: row.settings.clone(),
            // As a unit reads them, or one that goes by these would do something else.
            policies: Policies::stored(&row.settings),
            profile: Arc::new(profile),
            records: settings.records,
            registry,
            schema_version: row.schema_version,
            identities: row.identities,
            mapping: Arc::new(Mapping::of_row(row)),
        }
    }

    /// Whether the app sees no group of it, by those policies. Of what is read they are left out while it is
    /// read.
    pub fn hides_groups(&self, policies: &Policies) -> bool {
        policies.disable_group_sync && !self.is_read
    }

    /// How the app sees a new resource: what is neither user nor group is active.
    pub fn state_of_new(
        &self,
        policies: &Policies,
        resource_type: &ResourceType,
        active: bool,
        excluded: bool,
    ) -> AppState {
        match resource_type {
            user if user.is_user() => policies.state(active, false, excluded),
            group if group.is_group() && self.hides_groups(policies) => AppState::Hidden,
            _ => AppState::Active,
        }
    }

    /// The type served at a path segment.
    pub fn resource_type(&self, segment: &str) -> Result<&Arc<ResourceType>, ScimError> {
        self.registry
            .by_endpoint(segment)
            .ok_or_else(|| ScimError::not_found(&format!("The endpoint \"/{segment}\"")))
    }
}
