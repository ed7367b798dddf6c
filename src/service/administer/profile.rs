//! The profile of a directory: what counts and where it comes from, and its overrides, which are
//! stored in the settings.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::missing;
use crate::profile::{Profile, flags};
use crate::scim::Object;
use crate::service::audit::{Target, action};
use crate::service::context::{Kind, Settings};
use crate::service::error::AdminError;
use crate::service::seen::object;
use crate::service::unit::{EXTERNAL_ID, GROUP_NAME};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::Tx;
use crate::store::directory::DirectoryRow;
use crate::store::snapshot::LAST_ID;

/// The member of the settings that holds the overrides.
const SETTING: &str = "profile";

/// The flags by name, in the order of the default profile's file.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileView {
    pub provider: String,
    pub flags: Object,
    pub overrides: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    pub overrides: Object,
}

/// What happens to the overrides that a change does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// PUT: they go.
    Go,
    /// PATCH: they stay, and null takes an override away.
    Stay,
}

impl ProfileView {
    fn of(row: &DirectoryRow) -> Self {
        let settings: Settings = serde_json::from_str(&row.settings).unwrap_or_default();
        let provider = provider(&row.kind);
        let flags = flags::effective(provider, &settings.profile).into_iter().filter_map(|flag| {
            let name = flag.name.to_owned();
            Some((name, serde_json::to_value(flag).ok()?))
        });
        Self {
            flags: flags.collect(),
            overrides: serde_json::to_value(&settings.profile).unwrap_or_default(),
            provider: provider.to_owned(),
        }
    }
}

impl Service {
    pub async fn profile_get(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<ProfileView, ServiceError> {
        Ok(ProfileView::of(&self.directory_row(access, id).await?))
    }

    /// Sets overrides; they count from the next request.
    pub async fn profile_change(
        &self,
        access: &ApiAccess,
        id: &str,
        change: ProfileChange,
        others: Others,
    ) -> Result<ProfileView, ServiceError> {
        let key = self.directory_row(access, id).await?.key;
        let now = self.clock.now_ms();
        let audit = self.audit(access, action::PROFILE_CHANGED);
        let row: DirectoryRow = self
            .store
            .write("profile_change", move |tx| {
                let state = tx.directory_lock_exclusive(key)?;
                if state.as_deref().is_none_or(|state| state == "deleting") {
                    return Err(missing());
                }
                let row = tx.directory_by_key(key)?.ok_or_else(missing)?;
                let mut settings = object(&row.settings);
                let stored = settings.shift_remove(SETTING);
                let overrides = overridden(stored.as_ref(), &change.overrides, others)?;
                let before = json!({"overrides": stored.unwrap_or_else(|| json!({}))});
                let after = json!({"overrides": overrides});
                if !overrides.is_empty() {
                    settings.insert(SETTING.to_owned(), overrides.into());
                }
                let settings = Value::Object(settings).to_string();
                switch_rules(tx, &row, &settings)?;
                tx.directory_update(key, &row.name, &row.state, &settings, &row.config, now)?;
                audit.write(tx, Target::directory(&row), before, after)?;
                tx.directory_by_key(key)?.ok_or_else(missing)
            })
            .await?;
        self.forget_access();
        Ok(ProfileView::of(&row))
    }
}

/// The overrides after a change.
fn overridden(
    stored: Option<&Value>,
    change: &Object,
    others: Others,
) -> Result<Object, AdminError> {
    let stored = stored.and_then(Value::as_object).cloned().unwrap_or_default();
    if others == Others::Go {
        check(change, "overrides")?;
        return Ok(change.clone());
    }
    // What an earlier version stored can be taken away under its name.
    let unset = |flag: &str, value: &Value| {
        value.is_null() && (flags::exists(flag) || stored.contains_key(flag))
    };
    let mut set = change.clone();
    set.retain(|flag, value| !unset(flag, value));
    check(&set, "overrides")?;
    let mut overrides = stored.clone();
    overrides.retain(|flag, _| !change.contains_key(flag));
    overrides.extend(set);
    Ok(overrides)
}

/// 422 with every override that cannot be; `field` is where they stand.
pub(super) fn check(overrides: &Object, field: &str) -> Result<(), AdminError> {
    let mut faults = flags::check(overrides)
        .into_iter()
        .map(|fault| (format!("{field}.{}", fault.flag), fault.message));
    let Some((first, message)) = faults.next() else { return Ok(()) };
    let mut error = AdminError::invalid(&first, message);
    error.errors.extend(faults);
    Err(error)
}

fn provider(kind: &str) -> &str {
    Kind::parse(kind).map_or("default", |kind| kind.provider)
}

/// Claims what new settings want to be unique and the ones before did not. A rule is not switched on
/// over data that breaks it. The unit has excluded every writer.
pub(super) fn switch_rules(
    tx: &mut Tx<'_>,
    row: &DirectoryRow,
    settings: &str,
) -> Result<(), ServiceError> {
    let profile = |settings: &str| {
        let settings: Settings = serde_json::from_str(settings).unwrap_or_default();
        Profile::of_stored(provider(&row.kind), &settings.profile).0
    };
    let (before, after) = (profile(&row.settings), profile(settings));
    // The app would see another address of every user, and no event would tell.
    if after.email_from_user_name != before.email_from_user_name && has_users(tx, row.key)? {
        let message = "The flag email_from_user_name decides which address the app sees of a user, so \
                       it can be changed only while the directory has no users.";
        return Err(AdminError::new(409, "directory_has_users", message).into());
    }
    let names = after.group_display_name_unique && !before.group_display_name_unique;
    let external_ids = after.external_id_unique && !before.external_id_unique;
    if !names && !external_ids {
        return Ok(());
    }
    if tx.directory_share(row.key)?.is_some_and(|shared| shared.converting) {
        let message = "A change of this directory's schemas is under way; try again.";
        return Err(AdminError::new(409, "schema_change_under_way", message).into());
    }
    if names {
        let twice = tx.unique_claim_group_names(row.key, GROUP_NAME)?;
        refuse_duplicates("duplicate_group_names", "groups have the same displayName", &twice)?;
    }
    if external_ids {
        let twice = tx.unique_claim_external_ids(row.key, EXTERNAL_ID)?;
        let twice: Vec<String> =
            twice.into_iter().map(|(resource_type, id)| format!("{resource_type} {id}")).collect();
        let what = "resources of one type have the same externalId";
        refuse_duplicates("duplicate_external_ids", what, &twice)?;
    }
    // Writers that were let in before do not know the rule.
    Ok(tx.directory_rules_changed(row.key)?)
}

/// Whether the app may know users of the directory, also such as SCIM has deleted.
fn has_users(tx: &mut Tx<'_>, directory_key: i64) -> Result<bool, ServiceError> {
    Ok(tx.count_total(directory_key, "User")? > 0
        || !tx.departed_by_id(directory_key, "", LAST_ID, 1)?.is_empty())
}

fn refuse_duplicates(code: &'static str, what: &str, values: &[String]) -> Result<(), AdminError> {
    if values.is_empty() {
        return Ok(());
    }
    let message = format!("Several {what}, so it cannot be made unique: {}.", values.join(", "));
    Err(AdminError::new(409, code, message))
}
