//! Which objects of a source come in, and which users of a directory that is pushed the app sees as active:
//! an expression over each of them (CEL).

use serde_json::{Value, json};

use super::expression::{Expression, Input, NoThread, Outcome, on_large_stack};
use crate::pull::Envelope;

/// What a filter may start from.
const NAMES: &[&str] = &["envelope", "resource", "action", "payload"];

/// An expression that yields true or false.
#[derive(Clone, Debug)]
pub struct Filter(Expression);

impl Filter {
    /// Reads and checks an expression; the error says what is wrong with it.
    pub fn compile(source: &str) -> Result<Self, String> {
        on_large_stack(|| Expression::over(source, NAMES))
            .unwrap_or_else(|_| Err("it cannot be read now".to_owned()))
            .map(Self)
    }

    /// Whether the object comes in. An error is one of that object; it never decides.
    pub fn lets_in(&self, envelope: &Envelope) -> Result<bool, String> {
        let payload = Value::Object(envelope.payload.clone());
        let resource = Value::from(envelope.resource.as_str());
        let action = Value::from(envelope.action.as_str());
        let shown = json!({
            "kind": envelope.kind.as_str(),
            "resource": resource,
            "action": action,
            "member": envelope.member,
        });
        let evaluate = || {
            let values = [
                ("envelope", &shown),
                ("resource", &resource),
                ("action", &action),
                ("payload", &payload),
            ];
            Input::of(values).evaluate(&self.0)
        };
        let outcome: Result<Outcome, NoThread> = match self.0.is_deep() {
            true => on_large_stack(evaluate),
            false => Ok(evaluate()),
        };
        match outcome {
            Ok(Outcome::Value(Value::Bool(lets_in))) => Ok(lets_in),
            Ok(Outcome::Value(_)) => {
                Err("the filter must yield true or false for it, and yields something else.".into())
            }
            Ok(Outcome::Absent) => {
                Err("the filter yields nothing for it: it uses a member that the object does not \
                     have; ask with has() first."
                    .into())
            }
            Ok(Outcome::Failed(message)) => Err(format!("the filter fails for it: {message}.")),
            Err(_) => Err("the filter could not be evaluated for it.".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::Object;

    fn account(payload: Value) -> Envelope {
        let Value::Object(payload) = payload else { panic!("an object") };
        Envelope::account("7".into(), payload, Object::new())
    }

    #[test]
    fn filter_sees_the_envelope_and_never_decides_by_an_error() {
        let ada = account(json!({"department": "R&D", "level": 3}));
        let group = Envelope::group("g".into(), Object::new(), Object::new());
        for (source, of_ada, of_group) in [
            ("true", Ok(true), Ok(true)),
            ("envelope.kind != 'account' || payload.department == 'R&D'", Ok(true), Ok(true)),
            ("has(payload.department) && payload.level > 3", Ok(false), Ok(false)),
            ("resource == '7' && action == 'upsert'", Ok(true), Ok(false)),
            ("payload.department == 'R&D'", Ok(true), Err("has() first")),
            ("payload.level + 'x' == 'y'", Err("fails for it"), Err("has() first")),
            ("'yes'", Err("true or false"), Err("true or false")),
        ] {
            let filter = Filter::compile(source).expect(source);
            for (envelope, expected) in [(&ada, of_ada), (&group, of_group)] {
                match (filter.lets_in(envelope), expected) {
                    (Ok(lets_in), Ok(expected)) => assert_eq!(lets_in, expected, "{source}"),
                    (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                    (found, expected) => panic!("{source}: {found:?}, not {expected:?}"),
                }
            }
        }
        for source in ["", "payload.", "raw.title == 'x'"] {
            assert!(Filter::compile(source).is_err(), "{source}");
        }
    }
}
