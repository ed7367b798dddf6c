//! Search filters (RFC 4515).

/// Deepest nesting of a filter.
const MAX_DEPTH: usize = 40;

/// What is wrong with a filter, as a sentence.
pub fn check_filter(filter: &str) -> Result<(), String> {
    encoded(filter).map(drop)
}

/// A filter as a search has it.
pub(super) fn encoded(filter: &str) -> Result<Vec<u8>, String> {
    use ldap3::asn1::{ASNTag, write::encode_into};
    let mut depth = 0_usize;
    for c in filter.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep."));
        }
    }
    let parsed = ldap3::parse_filter(filter)
        .map_err(|()| "it is no filter such as (objectClass=person).".to_owned())?;
    let mut bytes = Default::default();
    encode_into(&mut bytes, parsed.into_structure()).map_err(|error| format!("{error}."))?;
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_before_they_are_used() {
        for good in ["(objectClass=person)", "(&(a=b)(!(c=*))(d>=1))", "(cn=Zo\\c3\\ab)"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        let deep = format!("{}(a=b){}", "(!".repeat(4_000), ")".repeat(4_000));
        for wrong in ["", "(a=b", "(&)x", "a b c", deep.as_str()] {
            assert!(check_filter(wrong).is_err(), "{wrong:.20}");
        }
    }
}
