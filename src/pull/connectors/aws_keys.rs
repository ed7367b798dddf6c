//! Whose key signs: the one of the configuration, or temporary ones of a role that it assumes (AWS STS,
//! AssumeRole).

use serde::Deserialize;
use url::form_urlencoded;

use super::aws_call::{Endpoint, Keys, judged};
use crate::clock::Clock;
use crate::pull::SourceError;

/// How long temporary keys are asked for, in seconds; every role allows an hour.
const ASKED_S: i64 = 3_600;

/// Temporary keys are used until so much of their time is left, in milliseconds: a request may wait that
/// long for a busy service.
const SPARE_MS: i64 = 10 * 60 * 1_000;

/// A role that is assumed.
pub(super) struct Role {
    pub(super) sts: Endpoint,
    pub(super) arn: String,
    pub(super) external_id: String,
    pub(super) session_name: String,
}

/// Gives the keys that sign now.
pub(super) struct KeyRing {
    own: Keys,
    role: Option<Role>,
    clock: Clock,
    /// Of the role, and until when they are used.
    assumed: Option<(Keys, i64)>,
}

impl KeyRing {
    pub(super) fn new(own: Keys, role: Option<Role>, clock: Clock) -> Self {
        Self { own, role, clock, assumed: None }
    }

    pub(super) fn current(&mut self) -> Result<Keys, SourceError> {
        let Some(role) = &mut self.role else { return Ok(self.own.clone()) };
        let now = self.clock.now_ms();
        if let Some((keys, until)) = &self.assumed
            && now < *until
        {
            return Ok(keys.clone());
        }
        let keys = role.assume(&self.own)?;
        // By this clock, from before the request: the two clocks may differ.
        let until = now.saturating_add(ASKED_S * 1_000 - SPARE_MS);
        self.assumed = Some((keys.clone(), until));
        Ok(keys)
    }

    /// Whether there are other keys when those of now have ended: a role gives new ones.
    pub(super) fn can_renew(&self) -> bool {
        self.role.is_some()
    }

    /// Asks the role for new keys the next time.
    pub(super) fn forget(&mut self) {
        self.assumed = None;
    }
}

#[derive(Deserialize)]
struct Assumed {
    #[serde(rename = "AssumeRoleResult")]
    result: AssumedResult,
}

#[derive(Deserialize)]
struct AssumedResult {
    #[serde(rename = "Credentials")]
    credentials: AssumedKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedKeys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

impl Role {
    fn assume(&mut self, own: &Keys) -> Result<Keys, SourceError> {
        let body = self.request();
        let headers = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
        let answer = self.sts.call(own, &headers, &body, &judged).map_err(|error| {
            let about = |message: String| format!("the role cannot be assumed: {message}");
            match error {
                SourceError::Credentials(message) => SourceError::Credentials(about(message)),
                SourceError::Failed { message, retry_after_ms } => {
                    SourceError::Failed { message: about(message), retry_after_ms }
                }
                other => other,
            }
        })?;
        keys_of(&String::from_utf8_lossy(&answer.body))
            .ok_or_else(|| SourceError::failed("the answer to AssumeRole holds no credentials"))
    }

    fn request(&self) -> String {
        let seconds = ASKED_S.to_string();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.arn)
            .append_pair("RoleSessionName", &self.session_name)
            .append_pair("DurationSeconds", &seconds);
        if !self.external_id.is_empty() {
            form.append_pair("ExternalId", &self.external_id);
        }
        form.finish()
    }
}

fn keys_of(xml: &str) -> Option<Keys> {
    let answer: Assumed = quick_xml::de::from_str(xml).ok()?;
    let AssumedKeys { access_key_id, secret_access_key, session_token } = answer.result.credentials;
    // XML may break lines around a text.
    let [access_key_id, secret_access_key, session_token] =
        [access_key_id, secret_access_key, session_token].map(|text| text.trim().to_owned());
    let has_all =
        [&access_key_id, &secret_access_key, &session_token].iter().all(|text| !text.is_empty());
    has_all.then_some(Keys { access_key_id, secret_access_key, session_token: Some(session_token) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_role_are_read_from_xml() {
        let xml = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
                   <AssumeRoleResult>\n    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>\
                   <AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>\n    <Credentials>\n      \
                   <AccessKeyId>ASIA1</AccessKeyId>\n      <SecretAccessKey>a/b+c=</SecretAccessKey>\n      \
                   <SessionToken>\n        tok//en==\n      </SessionToken>\n      \
                   <Expiration>2026-11-21T21:00:00Z</Expiration>\n    </Credentials>\n  \
                   </AssumeRoleResult>\n  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\n\
                   </AssumeRoleResponse>";
        let keys = keys_of(xml).expect("keys");
        assert_eq!(keys.access_key_id, "ASIA1");
        assert_eq!(keys.secret_access_key, "a/b+c=");
        assert_eq!(keys.session_token.as_deref(), Some("tok//en=="));
        let empty = xml.replace("ASIA1", "");
        for xml in [empty.as_str(), "<html><body>Sign in</body></html>", "", "{}"] {
            assert!(keys_of(xml).is_none(), "{xml}");
        }
    }
}
