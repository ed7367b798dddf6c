//! One created user, as the database holds it: rows like it differ in what carries its number.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::people::People;

/// A number that occurs in nothing but this user.
const NUMBER: u64 = 7_316_409_258_634_017;

/// The user of the template, as SCIM.
pub(crate) fn user() -> (String, String) {
    let people = people();
    (people.user_name(NUMBER), people.user(NUMBER))
}

fn people() -> People {
    People { namespace: "baseline".to_owned() }
}

/// A text with places for the two forms in which a user's number occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// 16 hexadecimal digits.
    Name,
    Decimal,
}

/// The columns of the created rows under the names that the statements use.
pub(super) struct Template {
    values: BTreeMap<String, Value>,
    /// The 16 digits that stand in the names of the user.
    pub(super) name: String,
    pub(super) decimal: String,
}

impl Template {
    /// Reads `{"id": …, "attributes": [[path_id, key, ordinal], …], …}`.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("the row of the baseline cannot be read: {what}");
        let read: Value = serde_json::from_str(json).map_err(|error| wrong(&error.to_string()))?;
        let Value::Object(mut columns) = read else { return Err(wrong("no object")) };
        let attributes = columns.remove("attributes").unwrap_or_default();
        let mut values: BTreeMap<String, Value> = columns.into_iter().collect();
        let mut entries = Vec::new();
        for (index, entry) in attributes.as_array().into_iter().flatten().enumerate() {
            for (at, name) in ["path_id", "attribute", "ordinal"].iter().enumerate() {
                let value = entry.get(at).cloned().unwrap_or_default();
                values.insert(format!("{name}_{}", index + 1), value);
            }
            let at = |at: usize| entry.get(at).cloned().unwrap_or_default();
            entries.push(json!({"path_id": at(0), "key": at(1), "ordinal": at(2)}));
        }
        values.insert("one".to_owned(), Value::from(1));
        // All index entries as one value, and that there is an event.
        values.insert("entries".to_owned(), Value::from(Value::Array(entries).to_string()));
        values.insert("has_event".to_owned(), Value::from(true));
        let user_name = people().user_name(NUMBER);
        let name = user_name.split('.').next().unwrap_or_default().to_owned();
        Ok(Self { values, name, decimal: NUMBER.to_string() })
    }

    /// A value that the SELECT cannot give.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    pub(super) fn value(&self, name: &str) -> Result<&Value, String> {
        self.values.get(name).ok_or_else(|| {
            format!("the statements of the baseline name `:{name}`, which no created row has")
        })
    }

    /// The text, taken apart at the user's number.
    pub(super) fn pieces(&self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (index, part) in text.split(self.name.as_str()).enumerate() {
            if index > 0 {
                pieces.push(Piece::Name);
            }
            for (index, part) in part.split(self.decimal.as_str()).enumerate() {
                if index > 0 {
                    pieces.push(Piece::Decimal);
                }
                if !part.is_empty() {
                    pieces.push(Piece::Text(part.to_owned()));
                }
            }
        }
        pieces
    }
}

/// Where the rows of a created user are; the user's name is the one value.
pub(super) const CREATED: &str = " FROM resource r JOIN directory d ON d.key = r.directory_key
             JOIN event e ON e.resource_id = r.id AND e.directory_key = r.directory_key
         WHERE r.user_name_key = ";

/// The SELECT of a template, for both databases; they differ in the names of three functions, and `data` is
/// the text of the event or NULL. The user's name is the one value.
pub(super) fn select(object: &str, array: &str, list: &str, data: &str) -> String {
    format!(
        "SELECT {object}(
            'directory_key', r.directory_key, 'resource_type', r.resource_type,
            'user_name_key', r.user_name_key, 'display_key', r.display_key, 'display', r.display,
            'external_id', r.external_id, 'active', r.active, 'doc', r.doc, 'extra', r.extra,
            'app_state', r.app_state, 'now', r.created, 'custom_attributes', r.custom_attributes,
            'attribute_faults', r.attribute_faults, 'roles', r.roles,
            'event', e.event, 'data', {data}, 'reason', e.reason,
            'schema_version', d.schema_version, 'settings', d.settings,
            'attributes', (SELECT {list}({array}(a.path_id, a.key, a.ordinal))
                FROM resource_attr a WHERE a.directory_key = r.directory_key
                AND a.resource_key = r.key)){CREATED}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_found_in_both_forms() {
        let (user_name, body) = user();
        let template = Template::parse(r#"{"attributes":[[1,"a",0]],"active":1}"#).expect("JSON");
        assert_eq!(
            template.pieces(&user_name),
            [Piece::Name, Piece::Text(".baseline@example.com".into())]
        );
        let pieces = template.pieces(&body);
        assert!(pieces.contains(&Piece::Decimal));
        let back: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Name => &template.name,
                Piece::Decimal => &template.decimal,
            })
            .map(String::as_str)
            .collect();
        assert_eq!(back, body);
        assert_eq!(template.value("attribute_1"), Ok(&Value::from("a")));
        assert!(template.value("other").is_err());
    }
}
