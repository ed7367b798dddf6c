//! Which events a reader knows, and may ask for by name.

use crate::event::name;
use crate::service::error::AdminError;

/// Who reads: native readers see events that the app-facing API does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    App,
    Native,
}

impl Audience {
    pub(super) fn sees(self, event: &str) -> bool {
        self == Self::Native || !name::is_native(event)
    }
}

/// Names of events, checked. Those of other families than ours are no fault and match nothing: an app
/// may ask for all that it understands.
pub(super) fn names(
    events: &[String],
    audience: Audience,
) -> Result<Option<Vec<String>>, AdminError> {
    let is_unknown = |event: &&String| match audience {
        _ if event.starts_with("dsync.") => !name::ALL.contains(&event.as_str()),
        Audience::Native => name::is_native(event) && !name::NATIVE.contains(&event.as_str()),
        Audience::App => false,
    };
    match events.iter().find(is_unknown) {
        Some(event) => {
            let known = if name::is_native(event) { &name::NATIVE[..] } else { &name::ALL[..] };
            let event: String = event.chars().take(80).collect();
            let what = if name::is_native(&event) { "the server" } else { "directories" };
            let known = known.join(", ");
            let message = format!("\"{event}\" is no event; those of {what} are {known}.");
            Err(AdminError::invalid("events", message))
        }
        None => Ok((!events.is_empty()).then(|| events.to_vec())),
    }
}
