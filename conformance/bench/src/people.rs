//! Invented users and groups, computed from a number, so that every run finds those of the seed
//! again without having stored anything.

use std::fmt::Write;

/// A data set: users and groups with these numbers.
#[derive(Clone, Debug)]
pub(crate) struct People {
    /// Stands in every name, so that several data sets fit into one directory.
    pub(crate) namespace: String,
}

/// Spreads neighbouring numbers over the whole key space, as real names are: a bijection of 64 bits.
pub(crate) fn spread(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

impl People {
    pub(crate) fn user_name(&self, number: u64) -> String {
        format!("{:016x}.{}@example.com", spread(number), self.namespace)
    }

    pub(crate) fn email(&self, number: u64) -> String {
        format!("{:016x}.{}@mail.example.com", spread(number), self.namespace)
    }

    pub(crate) fn external_id(&self, number: u64) -> String {
        format!("{}-{:016x}", self.namespace, spread(number))
    }

    pub(crate) fn group_name(&self, number: u64) -> String {
        format!("{} group {number}", self.namespace)
    }

    /// What Entra ID sends with its default mapping.
    pub(crate) fn user(&self, number: u64) -> String {
        let (user_name, email) = (self.user_name(number), self.email(number));
        let external_id = self.external_id(number);
        format!(
            concat!(
                r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","#,
                r#""urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"#,
                r#""externalId":"{external_id}","userName":"{user_name}","active":true,"#,
                r#""displayName":"User {number}","emails":[{{"primary":true,"type":"work","value":"{email}"}}],"#,
                r#""meta":{{"resourceType":"User"}},"#,
                r#""name":{{"formatted":"User {number}","familyName":"{number}","givenName":"User"}},"#,
                r#""title":"Engineer","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":"#,
                r#"{{"department":"Research","employeeNumber":"{number}"}}}}"#
            ),
            external_id = external_id,
            user_name = user_name,
            number = number,
            email = email,
        )
    }

    /// A group without members.
    pub(crate) fn group(&self, number: u64) -> String {
        let name = self.group_name(number);
        format!(
            r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"{name}"}}"#
        )
    }
}

/// A PATCH of these operations, which are JSON.
pub(crate) fn patch(operations: &[String]) -> String {
    format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{}]}}"#,
        operations.join(",")
    )
}

/// Adds or removes members, as most clients do.
pub(crate) fn member_operation(op: &str, ids: &[&str]) -> String {
    let mut values = String::new();
    for id in ids {
        let comma = if values.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(values, r#"{comma}{{"value":"{id}"}}"#);
    }
    format!(r#"{{"op":"{op}","path":"members","value":[{values}]}}"#)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn users_are_json_and_their_names_differ() {
        let people = People { namespace: "b".into() };
        let names: HashSet<String> = (0..1_000).map(|n| people.user_name(n)).collect();
        assert_eq!(names.len(), 1_000);
        for text in
            [people.user(7), people.group(7), patch(&[member_operation("add", &["a", "b"])])]
        {
            serde_json::from_str::<serde_json::Value>(&text).expect(&text);
        }
    }
}
