//! What an expression may cost. Every operation that is not of constant cost draws on a budget, in units
//! that do not depend on the machine: the same expression over the same user always ends the same way.
//!
//! The interpreter has no budget of its own. [`super::bounds`] puts functions around the parts of an
//! expression that work on data: `@cost(value)` draws as much as the value is large and answers it,
//! `@items(range, weight)` draws for a walk over a range before it begins. `@parts(value, text, weight)`
//! draws for what a function makes that may be much larger than what it reads. What is drawn is counted per
//! thread, because the interpreter's functions carry nothing with them; an evaluation never leaves its
//! thread.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt, DYN_TYPE, INT_TYPE,
    STRING_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

/// Draws what its argument costs, and answers it.
pub(super) const COST: &str = "@cost";

/// Draws what a walk over its first argument costs, each step as much as the second says. Answers what is
/// walked over: of a map its keys in order, because the interpreter has them in none.
pub(super) const ITEMS: &str = "@items";

/// Draws what its first argument costs, and besides for each place where the text of the second is in it,
/// or for each element of a list, as much as the third says. Answers the first.
pub(super) const PARTS: &str = "@parts";

/// Bytes that cost one unit.
pub(super) const BYTES: usize = 16;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// The functions that expressions may call.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let added = env
        .add_extension(cel::extensions::strings)
        .and_then(|()| env.add_overload(COST, "cost", vec![DYN_TYPE], cost))
        .and_then(|()| env.add_overload(ITEMS, "items", vec![DYN_TYPE, INT_TYPE], items))
        .and_then(|()| {
            env.add_overload(PARTS, "parts", vec![DYN_TYPE, STRING_TYPE, INT_TYPE], parts)
        });
    if let Err(error) = added {
        tracing::error!(%error, "the functions of expressions cannot be declared");
    }
    Arc::new(env)
});

/// Runs `work` with so many units; answers its result and the units that are left. Zero means that the
/// work was cut short, whatever its result is.
pub(super) fn with_units<T>(units: u64, work: impl FnOnce() -> T) -> (T, u64) {
    LEFT.set(units);
    let result = work();
    (result, LEFT.replace(0))
}

fn draw(units: u64) -> Result<(), ExecutionError> {
    let left = LEFT.get().saturating_sub(units);
    LEFT.set(left);
    match left {
        0 => Err(ExecutionError::function_error(COST, "too many steps")),
        _ => Ok(()),
    }
}

fn cost<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.into_iter().next().ok_or_else(missing)?;
    draw_size(value.as_ref())?;
    Ok(value)
}

fn parts<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut args = args.into_iter();
    let (Some(value), Some(text), Some(weight)) = (args.next(), args.next(), args.next()) else {
        return Err(missing());
    };
    draw_size(value.as_ref())?;
    let count = match (value.downcast_ref::<CelString>(), text.downcast_ref::<CelString>()) {
        (Some(value), Some(text)) => value.inner().matches(text.inner()).count(),
        _ => value.as_sizer().map_or(0, |s| usize::try_from(*s.size().inner()).unwrap_or(0)),
    };
    let weight = weight.downcast_ref::<CelInt>().map_or(1, |weight| *weight.inner());
    let weight = u64::try_from(weight).unwrap_or(1);
    draw(weight.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)))?;
    Ok(value)
}

fn items<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut args = args.into_iter();
    let (Some(range), Some(weight)) = (args.next(), args.next()) else { return Err(missing()) };
    let weight = weight.downcast_ref::<CelInt>().map_or(1, |weight| *weight.inner());
    let weight = u64::try_from(weight).unwrap_or(1);
    draw_size(range.as_ref())?;
    let count = range.as_sizer().map_or(0, |sizer| *sizer.size().inner());
    draw(weight.saturating_mul(u64::try_from(count).unwrap_or(0)))?;
    let Some(map) = range.downcast_ref::<CelMap>() else { return Ok(range) };
    let mut keys: Vec<CelMapKey<'v>> = map.inner().keys().cloned().collect();
    keys.sort_by(compare_keys);
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(key_value).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

/// Texts by their code points, then numbers, then booleans.
fn compare_keys(a: &CelMapKey<'_>, b: &CelMapKey<'_>) -> Ordering {
    fn rank<'k>(key: &'k CelMapKey<'_>) -> (u8, &'k str, i128) {
        match key {
            CelMapKey::String(text) => (0, text.inner(), 0),
            CelMapKey::Int(number) => (1, "", i128::from(*number.inner())),
            CelMapKey::UInt(number) => (1, "", i128::from(*number.inner())),
            CelMapKey::Bool(boolean) => (2, "", i128::from(*boolean.inner())),
        }
    }
    rank(a).cmp(&rank(b))
}

fn key_value<'v>(key: CelMapKey<'v>) -> Box<dyn Val + 'v> {
    match key {
        CelMapKey::String(text) => Box::new(text),
        CelMapKey::Int(number) => Box::new(CelInt::from(*number.inner())),
        CelMapKey::UInt(number) => Box::new(CelUInt::from(*number.inner())),
        CelMapKey::Bool(boolean) => Box::new(CelBool::from(*boolean.inner())),
    }
}

/// Draws a unit for the value, for each value in it, and for every [`BYTES`] of text.
fn draw_size(value: &dyn Val) -> Result<(), ExecutionError> {
    draw(1)?;
    if let Some(text) = value.downcast_ref::<CelString>() {
        draw_text(text.inner())
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().try_for_each(|element| draw_size(element.as_ref()))
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().iter().try_for_each(|(key, value)| {
            if let CelMapKey::String(key) = key {
                draw_text(key.inner())?;
            }
            draw_size(value.as_ref())
        })
    } else {
        Ok(())
    }
}

/// Whether the texts of a value have at most so many bytes, where each value in it counts as one. The
/// answer takes no more steps than that, however large the value is.
pub(super) fn fits(value: &dyn Val, bytes: usize) -> bool {
    take(value, bytes).is_some()
}

/// What is left of the bytes.
fn take(value: &dyn Val, bytes: usize) -> Option<usize> {
    let left = bytes.checked_sub(1)?;
    if let Some(text) = value.downcast_ref::<CelString>() {
        left.checked_sub(text.inner().len())
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().try_fold(left, |left, element| take(element.as_ref(), left))
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().iter().try_fold(left, |left, (key, value)| {
            let CelMapKey::String(key) = key else { return take(value.as_ref(), left) };
            take(value.as_ref(), left.checked_sub(key.inner().len())?)
        })
    } else {
        Some(left)
    }
}

fn draw_text(text: &str) -> Result<(), ExecutionError> {
    draw(u64::try_from(text.len() / BYTES).unwrap_or(u64::MAX))
}

fn missing() -> ExecutionError {
    ExecutionError::missing_argument_or_target()
}
