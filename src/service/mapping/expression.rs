//! One expression of an attribute map: CEL (<https://cel.dev>) over what the source sent of a user.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use cel::{Context, ExecutionError};
use serde_json::{Number, Value};

use super::bounds::{Bounded, ENTERPRISE, RAW, bounded};
use super::fuel::{ENV, fits, with_units};
use crate::scim::{Object, urn};
use crate::store::StoreError;

/// Longest expression, in bytes.
pub(super) const MAX_BYTES: usize = 2_048;

/// Deepest nesting that the parser follows.
const MAX_RECURSION: u16 = 32;

/// Units that one expression may draw ([`super::fuel`]): some milliseconds.
const UNITS: u64 = 100_000;

/// Units that all expressions of one user may draw.
pub(super) const USER_UNITS: u64 = 500_000;

/// Largest value of an attribute, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// How deep a tree may be for the stack that any thread has. The interpreter takes about 50 KiB for each
/// level.
pub(super) const INLINE_DEPTH: usize = 12;

/// Stack for anything that is accepted, in bytes.
const LARGE_STACK: usize = 16 * 1024 * 1024;

/// An evaluation has not taken place: the machine has no thread for it now. That says nothing about the
/// user or the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoThread(String);

impl From<NoThread> for StoreError {
    fn from(NoThread(reason): NoThread) -> Self {
        Self::Unavailable(format!("no thread for an evaluation: {reason}"))
    }
}

/// Runs `work` on a thread of its own with a large stack.
pub(in crate::service) fn on_large_stack<T: Send>(
    work: impl FnOnce() -> T + Send,
) -> Result<T, NoThread> {
    #[cfg(test)]
    if tests::NO_THREADS.get() {
        return Err(NoThread("a test".to_owned()));
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(LARGE_STACK);
        let running =
            thread.spawn_scoped(scope, work).map_err(|error| NoThread(error.to_string()))?;
        // What an expression makes the interpreter do is caught inside.
        running.join().map_err(|_| NoThread("it has stopped".to_owned()))
    })
}

/// An expression that may be evaluated.
#[derive(Clone, Debug)]
pub(in crate::service) struct Expression(Bounded);

/// What an expression makes of a user.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::service) enum Outcome {
    Value(Value),
    /// Null, or a member that the user does not have.
    Absent,
    /// Why there is no value; without anything of the user in it.
    Failed(String),
}

impl Expression {
    /// Reads and checks an expression; the error says what is wrong with it. The parser wants a large
    /// stack.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        Self::over(source, &[RAW, ENTERPRISE])
    }

    /// The same for an expression that starts from other names.
    pub(in crate::service) fn over(
        source: &str,
        names: &'static [&'static str],
    ) -> Result<Self, String> {
        if source.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        if source.len() > MAX_BYTES {
            return Err(format!("it has {} bytes; at most {MAX_BYTES} are allowed", source.len()));
        }
        let parser = ENV.parser().max_recursion_depth(MAX_RECURSION).enable_optional_syntax(false);
        // Whatever the parser meets, the process goes on.
        let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse(source)));
        let tree = match parsed {
            Ok(Ok(tree)) => tree,
            Ok(Err(errors)) => return Err(syntax_error(&errors)),
            Err(_) => return Err("it is not understood".to_owned()),
        };
        bounded(tree, names).map(Self)
    }

    /// How deep the tree is: more than [`INLINE_DEPTH`] wants a large stack.
    pub(super) fn depth(&self) -> usize {
        self.0.depth
    }

    /// Whether evaluating it wants a large stack.
    pub(in crate::service) fn is_deep(&self) -> bool {
        self.0.depth > INLINE_DEPTH
    }
}

/// The first error with its place.
fn syntax_error(errors: &cel::ParseErrors) -> String {
    let Some(first) = errors.errors.first() else { return "it is not understood".to_owned() };
    let message: String = first.msg.lines().next().unwrap_or_default().chars().take(200).collect();
    let (line, column) = first.pos;
    format!("it is not CEL: {message} (line {line}, column {column})")
}

/// A user, ready for expressions.
pub(in crate::service) struct Input<'u> {
    context: Context<'u, 'u>,
    left: u64,
}

impl<'u> Input<'u> {
    /// `raw` is what events show as `raw_attributes`.
    pub(super) fn new(raw: &'u Object) -> Self {
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_as_val(ENTERPRISE, Box::new(enterprise(raw)));
        context.add_variable_as_val(RAW, Box::new(map(raw)));
        Self { context, left: USER_UNITS }
    }

    /// Values under their names.
    pub(in crate::service) fn of(values: [(&'static str, &'u Value); 4]) -> Self {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (name, value) in values {
            context.add_variable_as_val(name, val(value));
        }
        Self { context, left: USER_UNITS }
    }

    /// Units that the expressions have drawn so far.
    pub(super) fn drawn(&self) -> u64 {
        USER_UNITS.saturating_sub(self.left)
    }

    /// Evaluates the expression, within its own bounds and those of all expressions of the user.
    pub(in crate::service) fn evaluate(&mut self, expression: &Expression) -> Outcome {
        let units = UNITS.min(self.left);
        let (outcome, left) = with_units(units, || self.outcome(expression));
        self.left = self.left.saturating_sub(units - left);
        match left {
            0 => Outcome::Failed("it takes too many steps for this user".to_owned()),
            _ => outcome,
        }
    }

    fn outcome(&self, expression: &Expression) -> Outcome {
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let value = cel::Value::resolve_val(&expression.0.tree, &self.context)?;
            // Before it is copied: it may be as large as the user, or larger.
            Ok(fits(value.as_ref(), MAX_VALUE_BYTES).then(|| json(value.as_ref())))
        }));
        match evaluated {
            Ok(Ok(None)) => too_large(),
            Ok(Ok(Some(Ok(Value::Null)))) => Outcome::Absent,
            Ok(Ok(Some(Ok(value)))) => match value.to_string().len() <= MAX_VALUE_BYTES {
                true => Outcome::Value(value),
                false => too_large(),
            },
            Ok(Ok(Some(Err(kind)))) => {
                Outcome::Failed(format!("its value is {kind}, which JSON does not have"))
            }
            Ok(Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_))) => {
                Outcome::Absent
            }
            Ok(Err(error)) => Outcome::Failed(explained(&error)),
            Err(_) => Outcome::Failed("it cannot be evaluated".to_owned()),
        }
    }
}

fn too_large() -> Outcome {
    Outcome::Failed(format!("its value is larger than {MAX_VALUE_BYTES} bytes"))
}

/// The extension of RFC 7643 §4.3, with what came beside its schema: `urn:…:User:title`.
fn enterprise(raw: &Object) -> CelMap<'_> {
    let known = raw.get(urn::ENTERPRISE_USER).and_then(Value::as_object);
    let mut members: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> = HashMap::new();
    for (name, value) in raw {
        let member =
            name.strip_prefix(urn::ENTERPRISE_USER).and_then(|rest| rest.strip_prefix(':'));
        if let Some(member) = member {
            members.insert(CelMapKey::from(member), val(value));
        }
    }
    for (name, value) in known.into_iter().flatten() {
        members.insert(CelMapKey::from(name.as_str()), val(value));
    }
    CelMap::from(members)
}

fn map(object: &Object) -> CelMap<'_> {
    let members = object.iter().map(|(name, value)| (CelMapKey::from(name.as_str()), val(value)));
    CelMap::from(members.collect::<HashMap<_, _>>())
}

fn val(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(boolean) => Box::new(CelBool::from(*boolean)),
        Value::Number(number) => number_val(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(elements) => {
            let elements: Vec<Box<dyn Val + '_>> = elements.iter().map(val).collect();
            Box::new(CelList::from(elements))
        }
        Value::Object(object) => Box::new(map(object)),
    }
}

fn number_val(number: &Number) -> Box<dyn Val + 'static> {
    if let Some(whole) = number.as_i64() {
        return Box::new(CelInt::from(whole));
    }
    match number.as_u64() {
        Some(whole) => Box::new(CelUInt::from(whole)),
        None => Box::new(CelDouble::from(number.as_f64().unwrap_or(0.0))),
    }
}

/// The value as JSON, members by name; otherwise what it is.
fn json(value: &dyn Val) -> Result<Value, String> {
    if value.downcast_ref::<CelNull>().is_some() {
        Ok(Value::Null)
    } else if let Some(boolean) = value.downcast_ref::<CelBool>() {
        Ok((*boolean.inner()).into())
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        Ok((*number.inner()).into())
    } else if let Some(number) = value.downcast_ref::<CelUInt>() {
        Ok((*number.inner()).into())
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        let number = Number::from_f64(*number.inner());
        number.map(Value::Number).ok_or_else(|| "no finite number".to_owned())
    } else if let Some(text) = value.downcast_ref::<CelString>() {
        Ok(text.inner().into())
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().map(|element| json(element.as_ref())).collect()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        let mut members = Vec::with_capacity(map.inner().len());
        for (key, value) in map.inner() {
            let CelMapKey::String(name) = key else {
                return Err("a map with other keys than texts".to_owned());
            };
            members.push((name.inner().to_owned(), json(value.as_ref())?));
        }
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Value::Object(members.into_iter().collect()))
    } else {
        Err(format!("of the type {}", value.get_type().name()))
    }
}

/// Why an evaluation ended, without a value of the user.
fn explained(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(error) => format!(
            "\"{}\" does not take {}",
            operator(error.function()),
            error.argument_types().join(", ")
        ),
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            let name = symbol(name);
            format!("\"{name}\" does not take {}, {}", left.type_of(), right.type_of())
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedIndex(index, value) => {
            format!("{} cannot be indexed by {}", value.type_of(), index.type_of())
        }
        ExecutionError::UnexpectedType { got, want } => {
            format!("it finds {got} where it needs {want}")
        }
        ExecutionError::FunctionError { function, .. } => {
            format!("\"{function}\" cannot use what it is given")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number becomes too large".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map has a key twice".to_owned(),
        _ => "it cannot be evaluated".to_owned(),
    }
}

/// `+` for `add`, as some errors call it.
fn symbol(name: &'static str) -> &'static str {
    match name {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        other => other,
    }
}

/// `+` for `_+_`.
fn operator(name: &str) -> &str {
    name.trim_start_matches('@').trim_matches('_')
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
