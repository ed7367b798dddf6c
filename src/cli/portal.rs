//! `rollbook portal`, `rollbook branding` and `rollbook directory disconnect`: setup links, how their pages
//! look, and the end of a connection.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::call::Call;

#[derive(Subcommand, Debug)]
pub(super) enum Portal {
    /// Make a link that opens the set-up pages of one organization, once
    Link {
        /// Id of the organization
        organization: String,
        /// Where the pages lead back to; of an origin of ROLLBOOK_PORTAL_ORIGINS
        #[arg(long)]
        return_url: Option<String>,
        /// Where they lead when the set-up is finished
        #[arg(long)]
        success_url: Option<String>,
        /// Seconds that the link may wait to be used: 60 to 604800, 300 by default
        #[arg(long)]
        expires_in: Option<i64>,
        /// Your own id of whom the link is for, by which it can be revoked
        #[arg(long)]
        external_user_id: Option<String>,
    },
    /// End the links of an organization and the sessions that came of them
    Revoke {
        /// Id of the organization
        organization: String,
        /// Only those that were made for this one
        #[arg(long)]
        external_user_id: Option<String>,
    },
}

pub(super) fn call(command: Portal) -> Call {
    match command {
        Portal::Link { organization, return_url, success_url, expires_in, external_user_id } => {
            Call::post(
                "/portal/generate_link",
                json!({
                    "organization": organization,
                    "return_url": return_url,
                    "success_url": success_url,
                    "expires_in": expires_in,
                    "external_user_id": external_user_id,
                }),
            )
        }
        Portal::Revoke { organization, external_user_id } => Call::post(
            "/portal/revoke_link",
            json!({"organization": organization, "external_user_id": external_user_id}),
        ),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Disconnection {
    /// What arrives is refused; the app goes on seeing everybody as they were
    Freeze,
    /// Everybody loses access, then the directory is deleted
    Deprovision,
    /// Everybody goes to another directory of the organization, then this one is deleted
    HandOver,
}

pub(super) fn disconnect(path: &str, mode: Disconnection, to: Option<&str>, dry_run: bool) -> Call {
    let mode = match mode {
        Disconnection::Freeze => "freeze",
        Disconnection::Deprovision => "deprovision",
        Disconnection::HandOver => "hand_over",
    };
    Call::post(path, json!({"mode": mode, "to": to, "dry_run": dry_run}))
}

#[derive(Subcommand, Debug)]
pub(super) enum Branding {
    /// What the pages show
    Show,
    /// Set it, in place of all that was there but for a logo that is left out
    Set {
        /// Name of the product
        #[arg(long)]
        name: Option<String>,
        /// Colour of links and buttons on light pages: #rrggbb
        #[arg(long)]
        color: Option<String>,
        /// The same on dark pages
        #[arg(long)]
        color_dark: Option<String>,
        /// A PNG, JPEG, GIF or WebP file of at most 256 KiB
        #[arg(long, value_parser = picture)]
        logo: Option<Picture>,
        /// Take the logo away
        #[arg(long, conflicts_with = "logo")]
        no_logo: bool,
    },
}

/// A file in base64.
#[derive(Clone, Debug)]
pub(super) struct Picture(String);

fn picture(path: &str) -> Result<Picture, String> {
    let bytes = std::fs::read(PathBuf::from(path)).map_err(|error| format!("{path}: {error}"))?;
    Ok(Picture(STANDARD.encode(bytes)))
}

pub(super) fn branding(command: Branding) -> Call {
    const PATH: &str = "/api/v1/branding";
    match command {
        Branding::Show => Call::get(PATH),
        Branding::Set { name, color, color_dark, logo, no_logo } => {
            let mut body = json!({"name": name, "color": color, "color_dark": color_dark});
            if let (true, Some(members)) = (no_logo || logo.is_some(), body.as_object_mut()) {
                let logo = logo.map_or(Value::Null, |Picture(text)| text.into());
                members.insert("logo".to_owned(), logo);
            }
            Call::put(PATH, body)
        }
    }
}
