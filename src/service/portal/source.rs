//! Sources as a visitor connects them: the form of each kind, and the directory that a form makes.
//!
//! A form has the id of the directory that it is to make, with a mark of this server. So a form that is sent
//! twice makes one directory, and one that is corrected after the way back changes what it has made.

use serde_json::Value;

use super::session::Visit;
use super::setup::told;
use crate::pull::SourceKind;
use crate::pull::field::{self, Field, Setter, merged};
use crate::scim::Object;
use crate::service::administer::{DirectoryChange, DirectoryView};
use crate::service::error::AdminError;
use crate::service::sync::Found;
use crate::service::{Service, ServiceError, on_behalf_of};

/// A kind of source that can be connected.
#[derive(Clone, Debug)]
pub struct SourceForm {
    /// `pull.ldap`.
    pub kind: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    /// Files that are handed in.
    pub files: &'static [&'static str],
    /// JSON Schema of its configuration, without what only the operator may set: no form asks for that, so
    /// no form sets it.
    pub schema: Value,
}

impl SourceForm {
    fn of(kind: &'static SourceKind) -> Self {
        let open = kind.fields.iter().filter(|field| field.setter == Setter::Anyone);
        Self {
            kind: kind.name,
            title: kind.title,
            description: kind.description,
            files: kind.files,
            schema: field::schema(kind.title, &open.copied().collect::<Vec<Field>>()),
        }
    }
}

fn kind_named(name: &str) -> Result<&'static SourceKind, ServiceError> {
    SourceKind::named(name).ok_or_else(|| AdminError::not_found("This page").into())
}

/// What the mark of an id is made for.
fn context(visit: &Visit, kind: &str) -> String {
    format!("directory {} {kind}", visit.link_id)
}

impl Service {
    /// The form of the source of that name.
    pub fn portal_source(&self, name: &str) -> Result<SourceForm, ServiceError> {
        kind_named(name).map(SourceForm::of)
    }

    /// What a form carries that is to make a directory of that kind.
    pub fn portal_draft(&self, visit: &Visit, kind: &str) -> String {
        self.portal.mac.marked(&context(visit, kind), &self.clock.id("directory"))
    }

    /// The id of the directory that such a form makes; `None` for what no form of the visit carries.
    pub fn portal_drafted<'d>(&self, visit: &Visit, kind: &str, draft: &'d str) -> Option<&'d str> {
        self.portal.mac.unmarked(&context(visit, kind), draft)
    }

    /// The directory, if the form was sent already.
    pub async fn portal_made(
        &self,
        visit: &Visit,
        id: &str,
    ) -> Result<Option<DirectoryView>, ServiceError> {
        match self.portal_directory(visit, id).await {
            Ok(directory) => Ok(Some(directory)),
            Err(ServiceError::Admin(error)) if error.status == 404 => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What the last read of a source has found, or the last preview.
    pub async fn portal_found(&self, visit: &Visit, id: &str) -> Result<Found, ServiceError> {
        let row = self.portal_row(visit, id).await?;
        on_behalf_of(row.key, self.source_found(&row)).await
    }

    /// Gives the directory with that id its configuration, as a form has it: what was emptied is null, secrets
    /// that stay are left out. A directory that is not there is made, to be read once somebody says when.
    /// What changes nothing does nothing.
    ///
    /// # Errors
    /// 422 that names the fields.
    pub async fn portal_source_put(
        &self,
        visit: &Visit,
        kind: &str,
        id: &str,
        sent: &Object,
    ) -> Result<(), ServiceError> {
        let kind = kind_named(kind)?;
        if self.portal_made(visit, id).await?.is_none() {
            let config = merged(&Object::new(), sent, kind.fields);
            let (access, organization) = (&visit.access, &visit.organization_id);
            let made = self.source_for_setup(access, organization, id, kind, config);
            visit.acting(visit.in_turn(made)).await?;
            told(visit, id, "a visitor connected a source");
            return Ok(());
        }
        let changed = async {
            if self.source_is(&visit.access, id, sent).await? {
                return Ok(());
            }
            let config = Some(Value::Object(sent.clone()));
            let change = DirectoryChange { config, ..DirectoryChange::default() };
            self.directory_update(&visit.access, id, change).await.map(drop)
        };
        self.portal_do(visit, id, changed).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::connectors::ALL;

    #[test]
    fn operators_fields_are_not_asked_for() {
        let mut found = 0;
        for kind in ALL {
            let asked = SourceForm::of(kind).schema["properties"].clone();
            for field in kind.fields {
                let is_operators = field.setter == Setter::Operator;
                found += usize::from(is_operators);
                assert_eq!(asked.get(field.name).is_none(), is_operators, "{}", field.name);
            }
        }
        assert!(found > 0, "some kinds have such fields");
    }
}
