//! The PATCH request body (RFC 7644 §3.5.2).

use serde_json::Value;

use crate::scim::filter::{TargetPath, parse_target_path};
use crate::scim::message::{self, MissingSchemas, member};
use crate::scim::resource::validate::describe;
use crate::scim::{Object, ScimError, urn};

/// Most operations in one request.
pub const MAX_OPERATIONS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    Add,
    Remove,
    Replace,
}

impl OpKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }

    /// The word in a sentence: "an add".
    pub(super) fn with_article(self) -> String {
        format!("{} {}", if self == Self::Add { "an" } else { "a" }, self.as_str())
    }
}

/// One operation. `path` is parsed but not yet resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchOp {
    pub kind: OpKind,
    pub path: Option<TargetPath>,
    /// `None` when the member is missing; JSON null is `Some(Value::Null)`.
    pub value: Option<Value>,
}

/// What an operation without a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPaths {
    /// An add or replace whose value names its attributes (RFC 7644 §3.5.2.1, §3.5.2.3); a remove is
    /// 400 `noTarget` (§3.5.2.2).
    Accept,
    /// 400 `invalidSyntax`.
    Refuse,
}

/// What a request may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRules {
    pub schemas: MissingSchemas,
    pub paths: MissingPaths,
}

#[cfg(test)]
impl BodyRules {
    pub(crate) const LENIENT: Self =
        Self { schemas: MissingSchemas::Accept, paths: MissingPaths::Accept };
    pub(crate) const STRICT: Self =
        Self { schemas: MissingSchemas::Refuse, paths: MissingPaths::Refuse };
}

/// Reads the body. Member names and `op` are accepted in any letter case.
pub fn parse(body: &Object, rules: BodyRules) -> Result<Vec<PatchOp>, ScimError> {
    message::check(body, urn::PATCH_OP, rules.schemas)?;
    let operations = match member(body, "operations") {
        Some(Value::Array(operations)) if !operations.is_empty() => operations,
        Some(Value::Array(_)) => {
            return Err(ScimError::invalid_syntax(
                "\"Operations\" is empty; a PATCH needs at least one operation.",
            ));
        }
        Some(other) => {
            return Err(ScimError::invalid_syntax(format!(
                "\"Operations\" must be an array, but the request has {}.",
                describe(other)
            )));
        }
        None => {
            return Err(ScimError::invalid_syntax("The PATCH request has no \"Operations\"."));
        }
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(ScimError::new(
            413,
            format!(
                "The request has {} operations; at most {MAX_OPERATIONS} are allowed.",
                operations.len()
            ),
        ));
    }
    operations.iter().enumerate().map(|(index, op)| operation(index, op, rules.paths)).collect()
}

fn operation(index: usize, op: &Value, missing: MissingPaths) -> Result<PatchOp, ScimError> {
    let Value::Object(op) = op else {
        return Err(ScimError::invalid_syntax(format!(
            "Operations[{index}] must be an object, but it is {}.",
            describe(op)
        )));
    };
    message::check_unique(op, &format!("Operations[{index}]"))?;
    let kind = match member(op, "op") {
        Some(Value::String(word)) => match word.to_ascii_lowercase().as_str() {
            "add" => OpKind::Add,
            "remove" => OpKind::Remove,
            "replace" => OpKind::Replace,
            _ => return Err(unknown_op(index, &describe(&Value::from(word.as_str())))),
        },
        Some(other) => return Err(unknown_op(index, &describe(other))),
        None => return Err(unknown_op(index, "no \"op\"")),
    };
    let path = match member(op, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.trim().is_empty() => None,
        Some(Value::String(text)) => Some(parse_target_path(text)?),
        Some(other) => {
            return Err(ScimError::invalid_path(format!(
                "The path of Operations[{index}] must be a string, but it is {}.",
                describe(other)
            )));
        }
    };
    let value = member(op, "value").cloned();
    if path.is_none() && missing == MissingPaths::Refuse {
        return Err(ScimError::invalid_syntax(format!(
            "Operations[{index}] is {} without a path; each operation must name its attribute in \
             \"path\".",
            kind.with_article()
        )));
    }
    if kind == OpKind::Remove && path.is_none() {
        return Err(ScimError::no_target(format!(
            "Operations[{index}] is a remove without a path; name the attribute to remove."
        )));
    }
    if kind != OpKind::Remove && value.is_none() {
        return Err(ScimError::invalid_value(format!(
            "Operations[{index}] is {} without a value.",
            kind.with_article()
        )));
    }
    if let (None, Some(value)) = (&path, &value)
        && kind != OpKind::Remove
        && !value.is_object()
    {
        return Err(ScimError::invalid_value(format!(
            "Operations[{index}] is {} without a path, so its value must be an object of attributes, \
             but it is {}.",
            kind.with_article(),
            describe(value)
        )));
    }
    Ok(PatchOp { kind, path, value })
}

fn unknown_op(index: usize, found: &str) -> ScimError {
    ScimError::invalid_syntax(format!(
        "Operations[{index}] has {found}, but \"op\" must be \"add\", \"remove\" or \"replace\"."
    ))
}
