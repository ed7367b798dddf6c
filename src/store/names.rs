//! What directories and organizations are called, for lists that refer to them by id.

use diesel::sql_types::Text;

use super::StoreError;
use super::sql::{Bind, Tx};

/// Something with a name.
#[derive(Clone, Debug, PartialEq, Eq, diesel::Queryable)]
pub struct NameRow {
    pub id: String,
    pub name: String,
    /// Of a directory its organization, of an organization itself.
    pub organization_id: String,
}

impl Tx<'_> {
    /// The names of those of the ids that a directory or an organization has.
    pub fn names(&mut self, ids: &[String]) -> Result<Vec<NameRow>, StoreError> {
        let list = self
            .dialect
            .pick("json_each(?) j", "jsonb_array_elements_text(CAST(? AS jsonb)) j (value)");
        let text = format!(
            "SELECT d.id, d.name, o.id FROM {list} CROSS JOIN directory d \
             CROSS JOIN organization o WHERE d.id = j.value AND o.key = d.organization_key \
             UNION ALL SELECT o.id, o.name, o.id FROM {list} \
             CROSS JOIN organization o WHERE o.id = j.value"
        );
        let ids = serde_json::Value::from(ids.to_vec()).to_string();
        self.rows::<(Text, Text, Text), _>(&text, &[Bind::Text(&ids), Bind::Text(&ids)])
    }
}
