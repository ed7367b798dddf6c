//! PATCH bodies: whatever is sent, under every profile the result is a canonical document.

use rollbook::profile::{Profile, rewrite};
use rollbook::scim::patch::{ComplexReplace, MemberChange, PatchRules, apply, members, op};
use rollbook::scim::resource::{Document, Notes};
use rollbook::scim::schema::{Attribute, Mutability};
use rollbook::scim::{Object, ScimError};
use serde_json::Value;

use super::{PROFILES, SUBJECTS, Subject, object, stored};
pub fn check(data: &[u8]) {
    let Ok(body) = serde_json::from_slice(data) else { return };
    let body = object(body);
    for subject in SUBJECTS.iter() {
        for profile in PROFILES.iter() {
            match patched(&body, subject, profile) {
                Ok(after) => check_result(&after, subject, profile),
                Err(error) => assert_refusal(&error),
            }
        }
        check_strictness(&body, subject);
    }
}

/// What the service does with a request, but for the database.
fn patched(body: &Object, subject: &Subject, profile: &Profile) -> Result<Document, ScimError> {
    let rules = profile.patch_rules();
    let mut ops = op::parse(body, profile.patch_body_rules())?;
    rewrite::patch(&mut ops, subject.resource_type, profile);
    let (ops, steps) = members::split(ops, subject.resource_type, rules)?;
    if let Some(change) = MemberChange::fold(&steps) {
        assert!(change.add.iter().all(|id| !change.remove.contains(id)), "{change:?}");
    }
    apply(&subject.document, &ops, subject.resource_type, rules, &mut Notes::default())
}

fn check_result(after: &Document, subject: &Subject, profile: &Profile) {
    assert_eq!(after.id(), subject.document.id());
    let object = after.as_object();
    let again = Document::canonical(object.clone(), "id1", subject.resource_type);
    // Text shows the order of members, which equality of documents does not.
    assert_eq!(again.map(|again| again.to_json()), Ok(after.to_json()));
    check_mutability(object, subject);
    // Nothing is stored that a POST of the same content would refuse or change.
    let posted = stored(object, subject.resource_type, profile.value_rules());
    assert_eq!(posted.map(|posted| posted.to_json()), Some(after.to_json()));
}

/// What a client may set once stays, and what only the server sets does not appear.
fn check_mutability(after: &Object, subject: &Subject) {
    let before = subject.document.as_object();
    for schema in subject.resource_type.schemas() {
        let value = |document: &Object, attribute: &Attribute| {
            let inner = document.get(&schema.id).and_then(Value::as_object);
            inner.unwrap_or(document).get(&attribute.name).cloned()
        };
        for attribute in &schema.attributes {
            match attribute.mutability {
                Mutability::Immutable if value(before, attribute).is_some() => {
                    assert_eq!(value(after, attribute), value(before, attribute));
                }
                Mutability::ReadOnly => assert_eq!(value(after, attribute), None),
                _ => {}
            }
        }
    }
}

/// Strict rules refuse; but for whole replacement they never change what a request means.
fn check_strictness(body: &Object, subject: &Subject) {
    let [default, _, strict] = &*PROFILES;
    let Ok(ops) = op::parse(body, strict.patch_body_rules()) else { return };
    let run = |rules: PatchRules| {
        let (ops, steps) = members::split(ops.clone(), subject.resource_type, rules)?;
        let notes = &mut Notes::default();
        let after = apply(&subject.document, &ops, subject.resource_type, rules, notes)?;
        Ok::<_, ScimError>((after, steps))
    };
    let merging = PatchRules { complex_replace: ComplexReplace::Merge, ..strict.patch_rules() };
    if let Ok(strict) = run(merging) {
        assert_eq!(run(default.patch_rules()), Ok(strict));
    }
}

fn assert_refusal(error: &ScimError) {
    assert!(matches!(error.status, 400 | 413), "{error:?}");
    assert!(error.detail.ends_with('.'), "{error:?}");
}
