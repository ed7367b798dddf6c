//! How the operator wants pages of the portal to look.

use crate::service::portal::Branding;

/// What every page of the portal shows, and failures of it.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Look {
    pub(in crate::http) name: String,
    /// Paths behind that of the public URL; empty where there is none.
    pub(in crate::http) logo: String,
    pub(in crate::http) stylesheet: String,
}

impl From<Branding> for Look {
    fn from(branding: Branding) -> Self {
        let path = |digest: Option<&String>, file: &str| {
            digest.map(|digest| format!("/setup/brand/{digest}/{file}")).unwrap_or_default()
        };
        Self {
            logo: path(branding.logo_digest.as_ref(), "logo"),
            stylesheet: path(branding.stylesheet_digest().as_ref(), "colors.css"),
            name: branding.name.unwrap_or_default(),
        }
    }
}
