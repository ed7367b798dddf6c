//! How the pages of the set-up portal look: name, logo and colours of the operator's product.
//!
//! A logo is a picture that was looked at: PNG, JPEG, GIF or WebP by its first bytes. SVG is none, because it
//! can run scripts. A colour is refused when text in it could not be read.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::auth::secret;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;

/// Largest logo, in bytes.
pub const MAX_LOGO_BYTES: usize = 256 * 1024;

/// Longest name, in characters.
const MAX_NAME: usize = 80;

/// Least contrast of text (WCAG 2.2, 1.4.3).
const CONTRAST: f64 = 4.5;

/// The backgrounds of the pages, light and dark, and the text on buttons: as in `web/rollbook.css`.
const LIGHT: Surroundings = Surroundings { name: "light", page: "#ffffff", on_button: "#ffffff" };
const DARK: Surroundings = Surroundings { name: "dark", page: "#12161c", on_button: "#0c1117" };

/// Names of the settings that hold it.
const BRANDING: &str = "branding";
const LOGO: &str = "branding_logo";

struct Surroundings {
    name: &'static str,
    page: &'static str,
    on_button: &'static str,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branding {
    /// In place of the name of this server.
    pub name: Option<String>,
    /// Of links and buttons on light pages, `#rrggbb`.
    pub color: Option<String>,
    /// The same on dark pages.
    pub color_dark: Option<String>,
    /// Its media type, if there is a logo.
    pub logo_type: Option<String>,
    /// Names what is in the logo.
    pub logo_digest: Option<String>,
}

/// `PUT /api/v1/branding`: in place of all that was there before, but for a logo that is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrandingChange {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub color: Option<String>,
    #[serde(default)]
    pub color_dark: Option<String>,
    /// Base64; null takes it away, left out it stays.
    #[serde(default, deserialize_with = "crate::service::administer::present")]
    pub logo: Option<Option<String>>,
}

impl Branding {
    /// The style sheet that pages load behind their own; `None` where nothing differs.
    pub fn stylesheet(&self) -> Option<String> {
        let light = self.color.as_ref().map(|color| format!(":root{{--strong:{color}}}"));
        let dark = self.color_dark.as_ref().map(|color| {
            format!("@media (prefers-color-scheme:dark){{:root{{--strong:{color}}}}}")
        });
        match (&light, dark) {
            (None, None) => None,
            // The light colour does not reach dark pages.
            (Some(light), None) => {
                Some(format!("@media not (prefers-color-scheme:dark){{{light}}}"))
            }
            (_, Some(dark)) => Some(format!("{}{dark}", light.unwrap_or_default())),
        }
    }

    /// Names what is in the style sheet.
    pub fn stylesheet_digest(&self) -> Option<String> {
        Some(secret::text_digest(&self.stylesheet()?).chars().take(16).collect())
    }
}

fn refuse_limited(access: &ApiAccess) -> Result<(), AdminError> {
    match access.organization_ids {
        None => Ok(()),
        Some(_) => {
            let message = "This API key is limited to certain organizations; how the set-up portal looks \
                           is the same for all.";
            Err(AdminError::new(403, "forbidden", message))
        }
    }
}

impl Service {
    /// What pages show; nothing where nobody has set anything.
    pub async fn branding(&self) -> Result<Branding, ServiceError> {
        let stored: Result<Option<String>, StoreError> =
            self.store.lookup_one("branding", |tx| tx.setting_get(BRANDING)).await;
        Ok(stored?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// The same for whoever manages the server.
    pub async fn branding_get(&self, access: &ApiAccess) -> Result<Branding, ServiceError> {
        refuse_limited(access)?;
        self.branding().await
    }

    /// The logo with that digest and its media type.
    pub async fn branding_logo(
        &self,
        digest: &str,
    ) -> Result<Option<(String, Vec<u8>)>, ServiceError> {
        let digest = digest.to_owned();
        let stored: Result<_, StoreError> = self
            .store
            .read("branding_logo", |tx| Ok((tx.setting_get(BRANDING)?, tx.setting_get(LOGO)?)))
            .await;
        let (Some(branding), Some(logo)) = stored? else { return Ok(None) };
        let branding: Branding = serde_json::from_str(&branding).unwrap_or_default();
        let is_wanted = branding.logo_digest.is_some_and(|known| known == digest);
        let bytes = STANDARD.decode(logo).ok().filter(|_| is_wanted);
        Ok(branding.logo_type.zip(bytes))
    }

    /// Sets how the pages look.
    pub async fn branding_put(
        self: &Arc<Self>,
        access: &ApiAccess,
        change: BrandingChange,
    ) -> Result<Branding, ServiceError> {
        refuse_limited(access)?;
        let name = change.name.map(|name| checked_name(&name)).transpose()?;
        let color = change.color.map(|text| checked_color("color", &text, &LIGHT)).transpose()?;
        let color_dark =
            change.color_dark.map(|text| checked_color("color_dark", &text, &DARK)).transpose()?;
        let logo = match change.logo {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(checked_logo(&text)?)),
        };
        let audit = self.audit(access, action::BRANDING_CHANGED);
        self.store
            .write("branding_put", move |tx| {
                let stored = tx.setting_get(BRANDING)?;
                let stored: Branding =
                    stored.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                let before = stored.clone();
                let (logo_type, logo_digest) = match &logo {
                    None => (stored.logo_type, stored.logo_digest),
                    Some(None) => (None, None),
                    Some(Some(logo)) => (Some(logo.media_type.into()), Some(logo.digest.clone())),
                };
                if let Some(logo) = &logo {
                    tx.setting_put(LOGO, logo.as_ref().map_or("", |logo| &logo.base64))?;
                }
                let branding = Branding {
                    name: name.clone(),
                    color: color.clone(),
                    color_dark: color_dark.clone(),
                    logo_type,
                    logo_digest,
                };
                let text = serde_json::to_string(&branding).unwrap_or_default();
                tx.setting_put(BRANDING, &text)?;
                let shown =
                    |branding: &Branding| serde_json::to_value(branding).unwrap_or_default();
                let target = Target::of_server("branding", None);
                audit.write(tx, target, shown(&before), shown(&branding))?;
                Ok::<_, ServiceError>(branding)
            })
            .await
    }
}

struct Logo {
    media_type: &'static str,
    digest: String,
    base64: String,
}

fn checked_name(name: &str) -> Result<String, AdminError> {
    let name = name.trim();
    let count = name.chars().count();
    match (1..=MAX_NAME).contains(&count) && !name.chars().any(char::is_control) {
        true => Ok(name.to_owned()),
        false => {
            let message = format!(
                "it has {count} characters; it must have 1 to {MAX_NAME}, without control characters."
            );
            Err(AdminError::invalid("name", message))
        }
    }
}

fn checked_logo(base64: &str) -> Result<Logo, AdminError> {
    let wrong = |message: String| AdminError::invalid("logo", message);
    let bytes = STANDARD
        .decode(base64.trim())
        .map_err(|_| wrong("it must be the file in base64.".to_owned()))?;
    if bytes.len() > MAX_LOGO_BYTES {
        return Err(wrong(format!(
            "it has {} bytes; at most {MAX_LOGO_BYTES} are allowed.",
            bytes.len()
        )));
    }
    let media_type = media_type(&bytes).ok_or_else(|| {
        wrong("it is none of the pictures that are allowed: PNG, JPEG, GIF, WebP.".to_owned())
    })?;
    let base64 = STANDARD.encode(&bytes);
    let digest = secret::text_digest(&base64).chars().take(16).collect();
    Ok(Logo { media_type, digest, base64 })
}

/// What a picture is, by its first bytes.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let known: [(&[u8], &str); 4] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
    ];
    let found = known.iter().find(|(begin, _)| bytes.starts_with(begin));
    found.map(|(_, name)| *name).or_else(|| is_webp.then_some("image/webp"))
}

fn checked_color(field: &str, text: &str, around: &Surroundings) -> Result<String, AdminError> {
    let text = text.trim().to_ascii_lowercase();
    let Some(color) = luminance(&text) else {
        let message = format!(
            "it is \"{}\"; a colour is written as #rrggbb.",
            text.chars().take(40).collect::<String>()
        );
        return Err(AdminError::invalid(field, message));
    };
    for (what, other) in [
        (format!("the {} background", around.name), around.page),
        ("the text on buttons".to_owned(), around.on_button),
    ] {
        let found = contrast(color, luminance(other).unwrap_or_default());
        if found < CONTRAST {
            let word = if around.name == "light" { "darker" } else { "lighter" };
            let message = format!(
                "its contrast with {what} ({other}) is {found:.1}:1, and below {CONTRAST}:1 many cannot read \
                 it; choose a {word} one."
            );
            return Err(AdminError::invalid(field, message));
        }
    }
    Ok(text)
}

/// Relative luminance of `#rrggbb` (WCAG 2.2).
fn luminance(color: &str) -> Option<f64> {
    let digits = color.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let digits = Some(digits).filter(|d| d.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let channel = |from: usize| {
        let value = u8::from_str_radix(digits.get(from..from + 2)?, 16).ok()?;
        let part = f64::from(value) / 255.0;
        Some(match part <= 0.04045 {
            true => part / 12.92,
            false => ((part + 0.055) / 1.055).powf(2.4),
        })
    };
    Some(0.2126 * channel(0)? + 0.7152 * channel(2)? + 0.0722 * channel(4)?)
}

/// Contrast ratio of two luminances.
fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_that_cannot_be_read_are_refused_with_their_contrast() {
        assert_eq!(checked_color("color", " #0B5CAD ", &LIGHT).as_deref(), Ok("#0b5cad"));
        assert_eq!(checked_color("color_dark", "#8ec3ff", &DARK).as_deref(), Ok("#8ec3ff"));
        for (text, around, words) in [
            ("#ffcc00", &LIGHT, "1.5:1"),
            ("#0b5cad", &DARK, "choose a lighter one"),
            ("blue", &LIGHT, "#rrggbb"),
            ("#12345", &LIGHT, "#rrggbb"),
            ("#12é45", &LIGHT, "#rrggbb"),
        ] {
            let error = checked_color("color", text, around).expect_err("refused");
            assert!(error.message.contains(words), "{}", error.message);
        }
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>", None),
            (b"", None),
        ] {
            assert_eq!(media_type(bytes), expected);
        }
    }

    #[test]
    fn each_colour_reaches_the_pages_that_it_is_for() {
        let with = |color: Option<&str>, dark: Option<&str>| Branding {
            color: color.map(str::to_owned),
            color_dark: dark.map(str::to_owned),
            ..Branding::default()
        };
        assert_eq!(with(None, None).stylesheet(), None);
        let light = with(Some("#000000"), None).stylesheet().expect("a sheet");
        assert!(light.starts_with("@media not (prefers-color-scheme:dark)"), "{light}");
        let both = with(Some("#000000"), Some("#ffffff")).stylesheet().expect("a sheet");
        assert!(both.starts_with(":root{--strong:#000000}@media (prefers-color-scheme:dark)"));
    }
}
