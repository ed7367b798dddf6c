//! Expressions of the parameters `filter` and `search`, as far as Okta takes them.

use std::cmp::Ordering;

use serde_json::Value;

/// What may stand in an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// `search`: every attribute, every comparison.
    Any,
    /// `filter` of users: these only with `eq`, `lastUpdated` also by size.
    Users,
    /// `filter` of groups.
    Groups,
}

const OF_USERS: [&str; 7] = [
    "status",
    "lastUpdated",
    "id",
    "profile.login",
    "profile.email",
    "profile.firstName",
    "profile.lastName",
];
const OF_GROUPS: [&str; 4] = ["id", "type", "lastUpdated", "lastMembershipUpdated"];

#[derive(Debug)]
pub(super) enum Expression {
    Any(Vec<Self>),
    All(Vec<Self>),
    /// In a search the case of values does not matter, in a filter it does.
    Compare {
        path: String,
        operator: String,
        value: String,
        exact: bool,
    },
    Present(String),
}

/// Reads an expression; the error is what Okta would call invalid search criteria.
pub(super) fn parse(text: &str, allowed: Allowed) -> Result<Expression, String> {
    let mut tokens = tokens(text)?;
    tokens.reverse();
    let read = any(&mut tokens, allowed)?;
    match tokens.pop() {
        None => Ok(read),
        Some(token) => Err(format!("unexpected {token}")),
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '(' | ')' => 1,
            '"' => {
                let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                stream.next().and_then(Result::ok).ok_or("a text without an end")?;
                stream.byte_offset()
            }
            _ => rest.find([' ', '(', ')']).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(end);
        tokens.push(token.to_owned());
        rest = behind.trim_start();
    }
    Ok(tokens)
}

fn is_next(tokens: &mut Vec<String>, word: &str) -> bool {
    let is = tokens.last().is_some_and(|token| token.eq_ignore_ascii_case(word));
    if is {
        tokens.pop();
    }
    is
}

fn any(tokens: &mut Vec<String>, allowed: Allowed) -> Result<Expression, String> {
    let mut parts = vec![all(tokens, allowed)?];
    while is_next(tokens, "or") {
        parts.push(all(tokens, allowed)?);
    }
    Ok(Expression::Any(parts))
}

fn all(tokens: &mut Vec<String>, allowed: Allowed) -> Result<Expression, String> {
    let mut parts = vec![one(tokens, allowed)?];
    while is_next(tokens, "and") {
        parts.push(one(tokens, allowed)?);
    }
    Ok(Expression::All(parts))
}

fn one(tokens: &mut Vec<String>, allowed: Allowed) -> Result<Expression, String> {
    if is_next(tokens, "(") {
        let inner = any(tokens, allowed)?;
        return if is_next(tokens, ")") { Ok(inner) } else { Err("a missing )".to_owned()) };
    }
    let path = tokens.pop().ok_or("nothing to compare")?;
    let operator = tokens.pop().ok_or("no operator")?.to_lowercase();
    let known = match allowed {
        Allowed::Any => true,
        Allowed::Users => {
            OF_USERS.contains(&path.as_str()) && (operator == "eq" || path == "lastUpdated")
        }
        Allowed::Groups => OF_GROUPS.contains(&path.as_str()) && operator != "pr",
    };
    if !known {
        return Err(format!("{path} {operator}"));
    }
    if operator == "pr" {
        return Ok(Expression::Present(path));
    }
    if !["eq", "gt", "ge", "lt", "le", "sw"].contains(&operator.as_str()) {
        return Err(format!("the operator {operator}"));
    }
    let value = tokens.pop().ok_or("no value")?;
    let value = serde_json::from_str(&value).map_err(|_| format!("the value {value}"))?;
    Ok(Expression::Compare { path, operator, value, exact: allowed != Allowed::Any })
}

impl Expression {
    pub(super) fn holds(&self, object: &Value) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.holds(object)),
            Self::All(parts) => parts.iter().all(|part| part.holds(object)),
            Self::Present(path) => at(object, path).is_some(),
            Self::Compare { path, operator, value, exact } => {
                let Some(found) = at(object, path) else { return false };
                let as_meant =
                    |text: &str| if *exact { text.to_owned() } else { text.to_lowercase() };
                let (found, value) = (as_meant(found), as_meant(value));
                let order = found.cmp(&value);
                match operator.as_str() {
                    "eq" => order == Ordering::Equal,
                    "gt" => order == Ordering::Greater,
                    "ge" => order != Ordering::Less,
                    "lt" => order == Ordering::Less,
                    "le" => order != Ordering::Greater,
                    _ => found.starts_with(value.as_str()),
                }
            }
        }
    }
}

fn at<'v>(object: &'v Value, path: &str) -> Option<&'v str> {
    path.split('.').try_fold(object, |value, name| value.get(name))?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_hold_as_they_are_written() {
        let ada = json!({"status": "ACTIVE", "lastUpdated": "2026-01-02T00:00:00.000Z",
            "profile": {"login": "a \"b\" (c)"}});
        for (text, expected) in [
            ("status eq \"ACTIVE\"", true),
            ("lastUpdated gt \"2026-01-02T00:00:00.000Z\"", false),
            ("lastUpdated ge \"2026-01-02T00:00:00.000Z\" and status eq \"STAGED\"", false),
            ("status eq \"STAGED\" or (status sw \"ACT\" AND profile.login pr)", true),
            ("profile.login eq \"a \\\"b\\\" (c)\"", true),
            ("profile.none pr", false),
            ("status eq \"active\"", true),
        ] {
            let read = parse(text, Allowed::Any).expect(text);
            assert_eq!(read.holds(&ada), expected, "{text}");
        }
        for text in ["", "status", "status eq", "status eq ACTIVE", "(status pr", "status pr )"] {
            assert!(parse(text, Allowed::Any).is_err(), "{text}");
        }
        let exact = parse("status eq \"active\"", Allowed::Users).expect("a filter");
        assert!(!exact.holds(&ada));
        assert!(parse("status gt \"A\"", Allowed::Users).is_err());
        assert!(parse("profile.title eq \"A\"", Allowed::Users).is_err());
        assert!(parse("profile.name eq \"A\"", Allowed::Groups).is_err());
        assert!(parse("lastUpdated gt \"A\"", Allowed::Users).is_ok());
    }
}
