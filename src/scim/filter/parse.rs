//! What reads filters and paths: limits, forms and errors. The rules are in `grammar`.

use std::fmt;

use nom::{Err, Parser};

use super::ast::Filter;
use super::grammar::{filter, lone_path, target_path};
use super::token::Stop;
use crate::scim::{AttrPath, ScimError};

/// Longest filter or path, in bytes.
pub const MAX_FILTER_BYTES: usize = 16 * 1024;

/// Deepest nesting of round and square brackets together.
pub const MAX_FILTER_DEPTH: usize = 32;

/// Whether `userName eq bob` is a filter: some clients leave out the quotation marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnquotedValues {
    Refuse,
    /// After `eq`, `ne`, `co` and `sw`, text without quotation marks is a
    /// [`Literal::Bare`](super::Literal::Bare), whatever it looks like.
    Accept,
}

/// The path of a PATCH operation.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetPath {
    /// With its sub-attribute, unless that stands after a filter.
    pub attr: AttrPath,
    /// The text in square brackets.
    pub filter: Option<Filter>,
    /// The sub-attribute after the brackets.
    pub sub: Option<String>,
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attr)?;
        if let Some(filter) = &self.filter {
            write!(f, "[{filter}]")?;
        }
        if let Some(sub) = &self.sub {
            write!(f, ".{sub}")?;
        }
        Ok(())
    }
}

/// Reads a filter. Text without any expression is an error too.
///
/// Errors are 400 `invalidFilter`; the detail names the position, counted in characters from 1.
pub fn parse_filter(text: &str, unquoted: UnquotedValues) -> Result<Filter, ScimError> {
    whole(text, "filter", |input| filter(input, unquoted)).map_err(ScimError::invalid_filter)
}

/// Reads the name of an attribute, as `attributes` and `sortBy` hold it (RFC 7644 §3.10).
///
/// Errors are 400 `invalidPath`.
pub fn parse_attr_path(text: &str) -> Result<AttrPath, ScimError> {
    whole(text, "path", lone_path).map_err(ScimError::invalid_path)
}

/// Reads the path of a PATCH operation: `attr`, `attr.sub`, `attr[filter]` or `attr[filter].sub`.
///
/// Errors are 400 `invalidPath`.
pub fn parse_target_path(text: &str) -> Result<TargetPath, ScimError> {
    whole(text, "path", target_path).map_err(ScimError::invalid_path)
}

/// Runs a parser over the whole text and turns a failure into an error detail.
fn whole<'a, T>(
    text: &'a str,
    what: &str,
    mut parser: impl Parser<&'a str, Output = T, Error = Stop<'a>>,
) -> Result<T, String> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(format!(
            "The {what} is {} bytes long; at most {MAX_FILTER_BYTES} are allowed.",
            text.len()
        ));
    }
    match parser.parse(text) {
        Ok((_, parsed)) => Ok(parsed),
        Err(Err::Error(stop) | Err::Failure(stop)) => Err(stop.detail(text, what)),
        Err(Err::Incomplete(_)) => Err(format!("The {what} ends too early.")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ast::Literal;
    use super::*;
    use crate::scim::ScimType;

    fn canonical(text: &str) -> String {
        parse_filter(text, UnquotedValues::Refuse)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .to_string()
    }

    fn refusal(text: &str) -> String {
        let error = parse_filter(text, UnquotedValues::Refuse).expect_err(text);
        assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidFilter)));
        error.detail
    }

    #[test]
    fn canonical_text_stays() {
        // RFC 7644, Figure 2, and what its grammar allows besides.
        let same = [
            r#"userName eq "bjensen""#,
            r#"name.familyName co "O'Malley""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
            "title pr",
            r#"meta.lastModified ge "2011-05-13T04:42:34Z""#,
            r#"title pr and userType eq "Employee""#,
            r#"title pr or userType eq "Intern""#,
            r#"userType eq "Employee" and (emails co "example.com" or emails.value co "x.org")"#,
            r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "x.org")"#,
            r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp"]"#,
            "a eq null or b eq true or c ne false or d gt -12.5 or e le 18446744073709551615",
            r#"members.$ref eq "x" and members[$ref sw "y"]"#,
            "a-b_c$1.d pr",
            "a pr or b pr and c pr or d pr",
            r#"emails[not (type eq "work" or type pr) and value pr]"#,
            "not (not (a pr))",
        ];
        for text in same {
            assert_eq!(canonical(text), text);
        }
    }

    #[test]
    fn other_spellings_become_canonical() {
        let table = [
            ("  userName   EQ   \"b\"  ", r#"userName eq "b""#),
            ("((a pr))", "a pr"),
            ("(a pr and b pr) and c pr", "a pr and b pr and c pr"),
            ("(a pr and b pr) or c pr", "a pr and b pr or c pr"),
            ("NOT(a Pr)AND( b pr )", "not (a pr) and b pr"),
            ("emails [ type eq \"work\" ]", r#"emails[type eq "work"]"#),
            ("a eq TRUE or a eq Null", "a eq true or a eq null"),
            (r#"a eq "\u00fc\ud83d\ude00\/""#, r#"a eq "ü😀/""#),
            ("a gt 1e3 or a gt -0", "a gt 1000.0 or a gt 0"),
            (r#"e[type eq "w"].Value eq "y""#, r#"e[type eq "w" and Value eq "y"]"#),
            ("e[a pr or b pr].value pr and c pr", "e[(a pr or b pr) and value pr] and c pr"),
            ("notes pr and nothing pr", "notes pr and nothing pr"),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        let literal = "expected a quoted string, a number, true, false or null.";
        let operator = "expected an operator (eq, ne, co, sw, ew, gt, ge, lt, le or pr).";
        let term = "expected an attribute name, `not` or an opening parenthesis.";
        let end = "expected `and`, `or` or the end of the filter.";
        let string = "expected a string with a closing quotation mark and the escapes of JSON, \
                      without U+0000.";
        let table = [
            ("userName eq bob", 13, "`bob`", literal),
            ("userName eq", 12, "the end of the filter", literal),
            ("userName eq bob)", 13, "`bob`", literal),
            (
                "naïve eq 1",
                3,
                "`ïve`",
                "expected a space and an operator after the attribute name.",
            ),
            ("userName", 9, "the end of the filter", operator),
            ("userName regex \"x\"", 10, "`regex`", operator),
            ("userName eq\"x\"", 12, "`\"x\"`", "expected a space after the operator."),
            ("title pr1", 9, "`1`", "expected a space after the operator."),
            ("", 1, "the end of the filter", term),
            ("   ", 4, "the end of the filter", term),
            ("(((", 4, "the end of the filter", term),
            ("(a pr", 6, "the end of the filter", "expected `and`, `or` or a closing parenthesis."),
            ("a pr)", 5, "`)`", end),
            ("a pr b pr", 6, "`b`", end),
            ("a pr xor b pr", 6, "`xor`", end),
            ("a pr and", 9, "the end of the filter", term),
            ("a pr and or b pr", 13, "`b`", operator),
            ("not a pr", 5, "`a`", "expected an opening parenthesis after `not`."),
            ("ä pr", 1, "`ä`", term),
            ("ü eq \"é\" x", 1, "`ü`", term),
            ("a eq \"é\" x", 10, "`x`", end),
            ("a eq \"é", 6, "`\"é`", string),
            (r#"a eq "\q""#, 6, r#"`"\q"`"#, string),
            (r#"a eq "\ud800""#, 6, r#"`"\ud800"`"#, string),
            (r#"a eq "\u0000""#, 6, r#"`"\u0000"`"#, string),
            (
                "a eq \"b\"and c pr",
                9,
                "`and`",
                "expected a space or a closing bracket after the string.",
            ),
            ("a eq 01", 6, "`01`", literal),
            ("a eq +1", 6, "`+1`", literal),
            ("a eq 1.", 6, "`1.`", literal),
            ("a eq 1e999", 6, "`1e999`", literal),
            ("a eq truex", 6, "`truex`", literal),
            ("a eq 'x'", 6, "`'x'`", literal),
            ("a eq [1]", 6, "`[`", literal),
            ("emails[]", 8, "`]`", term),
            (
                "emails[type pr",
                15,
                "the end of the filter",
                "expected `and`, `or` or a closing square bracket.",
            ),
            (
                "e[a[b pr]]",
                4,
                "`[`",
                "expected an operator, because square brackets cannot be nested.",
            ),
            ("e[a pr]. b pr", 9, "` `", "expected a sub-attribute name."),
            ("e[a pr].Not pr", 9, "`Not`", "expected a sub-attribute name."),
            (
                "e[a pr].b.c pr",
                10,
                "`.c`",
                "expected a space and an operator after the attribute name.",
            ),
            ("a.b.c pr", 4, "`.c`", "expected a space and an operator after the attribute name."),
            (".a pr", 1, "`.a`", term),
            ("1a pr", 1, "`1a`", term),
        ];
        for (text, position, found, expected) in table {
            let detail = format!(
                "The filter could not be read at position {position}: found {found}, {expected}"
            );
            assert_eq!(refusal(text), detail, "{text}");
        }
    }

    #[test]
    fn long_text_is_shortened_in_details() {
        let detail = refusal(&format!("a eq {}", "x".repeat(300)));
        assert!(detail.contains(&format!("found `{}…`,", "x".repeat(40))), "{detail}");
    }

    #[test]
    fn hostile_filters_are_refused() {
        let long = format!("a eq \"{}\"", "x".repeat(1024 * 1024));
        assert_eq!(refusal(&long), "The filter is 1048583 bytes long; at most 16384 are allowed.");
        for bracket in ["(", "not (", "e[", "not("] {
            assert!(!refusal(&bracket.repeat(10_000)).is_empty());
        }
        let deep = "The filter could not be read at position 33: its brackets are nested deeper \
                    than 32 levels.";
        assert_eq!(refusal(&"(".repeat(10_000)), deep);
        assert_eq!(refusal(&format!("{}a pr{}", "(".repeat(33), ")".repeat(33))), deep);
        assert_eq!(canonical(&format!("{}a pr{}", "(".repeat(32), ")".repeat(32))), "a pr");
        // As written this is 32 levels, but its canonical text would have 33.
        let (open, close) = ("not (".repeat(31), ")".repeat(31));
        assert!(refusal(&format!("{open}e[a pr or b pr].c pr{close}")).contains("deeper"));
        assert!(!canonical(&format!("{open}e[a pr and b pr].c pr{close}")).is_empty());
        let wide = vec!["a pr"; 1800].join(" or ");
        assert_eq!(canonical(&wide), wide);
    }

    #[test]
    fn unquoted_values_are_kept_as_written() {
        let bare = |text: &str| parse_filter(text, UnquotedValues::Accept);
        for (text, value) in [
            ("a eq bob", "bob"),
            ("a ne 1042", "1042"),
            ("a co true", "true"),
            ("(a sw null)", "null"),
            ("a eq b\"c", "b\"c"),
            ("e[a eq ü.x@y]", "ü.x@y"),
        ] {
            let filter = bare(text).unwrap();
            let compare = match &filter {
                Filter::Element { filter, .. } => filter,
                other => other,
            };
            let Filter::Compare { value: found, .. } = compare else { panic!("{filter}") };
            assert_eq!(*found, Literal::Bare(value.into()));
            assert_eq!(bare(&filter.to_string()), Ok(filter));
        }
        let quoted = bare("a eq \"bob\"").unwrap();
        assert_eq!(Ok(quoted), parse_filter("a eq \"bob\"", UnquotedValues::Refuse));
        for text in ["a eq", "a eq )", "a gt bob", "a ew bob", "a eq b\0", "a eq \"b", "a eq b c"] {
            assert!(bare(text).is_err(), "{text}");
        }
    }

    #[test]
    fn attribute_paths() {
        let table: [(&str, Option<&str>, &str, Option<&str>); 9] = [
            ("userName", None, "userName", None),
            (" name.givenName ", None, "name", Some("givenName")),
            ("members.$ref", None, "members", Some("$ref")),
            ("urn:x:2.0:User:manager", Some("urn:x:2.0:User"), "manager", None),
            ("URN:x:2.0:User:manager.value", Some("URN:x:2.0:User"), "manager", Some("value")),
            ("urn:x:2.0:User", Some("urn:x:2.0"), "User", None),
            ("urn:x:2.0:User.manager", Some("urn:x:2.0"), "User", Some("manager")),
            ("urn:x:2.0", None, "urn:x:2.0", None),
            ("http://example.com/ext:a", Some("http://example.com/ext"), "a", None),
        ];
        for (text, schema, name, sub) in table {
            let path = parse_attr_path(text).unwrap();
            let found = (path.schema.as_deref(), path.name.as_str(), path.sub.as_deref());
            assert_eq!(found, (schema, name, sub), "{text}");
            assert_eq!(path.to_string(), text.trim());
        }
        for text in ["", " ", "a b", "a.", "a..b", ":a", "a[b pr]", "a.b.c", "é"] {
            let error = parse_attr_path(text).expect_err(text);
            assert_eq!(error.scim_type, Some(ScimType::InvalidPath));
        }
        assert_eq!(
            parse_attr_path("a b").unwrap_err().detail,
            "The path could not be read at position 3: found `b`, expected the end of the path."
        );
    }

    #[test]
    fn target_paths() {
        // RFC 7644, Figure 8, and what identity providers send.
        let table = [
            ("members", false, None),
            ("name.familyName", false, None),
            ("addresses[type eq \"work\"]", true, None),
            ("members[value eq \"2819c223\"].displayName", true, Some("displayName")),
            ("emails[primary eq true].value", true, Some("value")),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", false, None),
            ("urn:x:1.0:User:rooms[number gt 3].name", true, Some("name")),
        ];
        for (text, has_filter, sub) in table {
            let path = parse_target_path(text).unwrap();
            assert_eq!((path.filter.is_some(), path.sub.as_deref()), (has_filter, sub), "{text}");
            assert_eq!(path.to_string(), text);
        }
        assert_eq!(parse_target_path("name.x").unwrap().attr, AttrPath::sub("name", "x"));
        for text in
            ["", "/emails", "a[b eq c]", "a[b pr].c.d", "a[b pr]c", "a[b[c pr]]", "a[", "not (a)"]
        {
            let error = parse_target_path(text).expect_err(text);
            assert_eq!(error.scim_type, Some(ScimType::InvalidPath));
        }
    }
}
