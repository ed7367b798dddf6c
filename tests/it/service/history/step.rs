//! The operations of a random history. Numbers choose among what is there.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Names that users may have: few, so that they meet again.
pub const NAMES: usize = 14;

#[derive(Clone, Debug)]
pub enum Step {
    /// In a directory, a POST of a user with that name and address, active or not.
    Create {
        at: usize,
        name: usize,
        email: usize,
        active: bool,
    },
    /// A PUT that gives a user another name and address.
    Replace {
        at: usize,
        user: usize,
        name: usize,
        email: usize,
        active: bool,
    },
    /// A PATCH of one attribute.
    Set {
        at: usize,
        user: usize,
        field: usize,
        value: usize,
    },
    Activate {
        at: usize,
        user: usize,
        active: bool,
    },
    Delete {
        at: usize,
        user: usize,
    },
    CreateGroup {
        at: usize,
        name: usize,
        members: Vec<usize>,
        groups: Vec<usize>,
    },
    ReplaceGroup {
        at: usize,
        group: usize,
        name: usize,
        members: Vec<usize>,
        groups: Vec<usize>,
    },
    AddMembers {
        at: usize,
        group: usize,
        members: Vec<usize>,
    },
    RemoveMembers {
        at: usize,
        group: usize,
        members: Vec<usize>,
    },
    RenameGroup {
        at: usize,
        group: usize,
        name: usize,
    },
    DeleteGroup {
        at: usize,
        group: usize,
    },
    /// A bulk request: a user, and a group that has it.
    Bulk {
        at: usize,
        name: usize,
        email: usize,
    },
    Policies {
        at: usize,
        settings: Value,
    },
    /// Hours go by.
    Wait(u64),
    /// A directory is deleted and another one made.
    Renew(usize),
    /// Another directory of the first organization is the primary one, or none.
    Primary(usize),
    /// Accepts, rejects or takes back one of the suggestions in that state.
    Decide {
        state: usize,
        number: usize,
    },
    /// An account is taken out of its identity.
    Unlink {
        identity: usize,
        account: usize,
    },
    /// An identity gets an alias.
    Alias {
        identity: usize,
        email: usize,
    },
    /// Schemas with or without an extension of its own.
    Schemas {
        at: usize,
        own: bool,
    },
}

fn policies() -> impl Strategy<Value = Value> {
    let hours = || proptest::option::of((1_u64..4).prop_map(|n| format!("{n}h")));
    let choice = (any::<bool>(), any::<bool>(), hours(), any::<bool>(), any::<bool>(), hours());
    choice.prop_map(|(hides, deactivates, grace, strips, revives, groupless)| {
        json!({
            "inactive_users": if hides { "delete" } else { "keep" },
            "delete": if deactivates { "deactivate" } else { "remove" },
            "grace_period": grace,
            "strip_groups_when_inactive": strips,
            "revive_on_create": if revives { "same_external_id" } else { "never" },
            "suspend_when_groupless": groupless,
        })
    })
}

pub fn step() -> impl Strategy<Value = Step> {
    let pick = || 0_usize..1_000;
    let name = || 0..NAMES;
    let some = || vec(0_usize..1_000, 0..4);
    let activity = proptest::bool::weighted(0.8);
    prop_oneof![
        20 => (pick(), name(), name(), activity)
            .prop_map(|(at, name, email, active)| Step::Create { at, name, email, active }),
        8 => (pick(), pick(), name(), name(), activity).prop_map(|(at, user, name, email, active)| {
            Step::Replace { at, user, name, email, active }
        }),
        16 => (pick(), pick(), pick(), 0_usize..3)
            .prop_map(|(at, user, field, value)| Step::Set { at, user, field, value }),
        10 => (pick(), pick(), any::<bool>())
            .prop_map(|(at, user, active)| Step::Activate { at, user, active }),
        7 => (pick(), pick()).prop_map(|(at, user)| Step::Delete { at, user }),
        6 => (pick(), pick(), some(), vec(0_usize..1_000, 0..2))
            .prop_map(|(at, name, members, groups)| Step::CreateGroup { at, name, members, groups }),
        5 => (pick(), pick(), pick(), some(), vec(0_usize..1_000, 0..2)).prop_map(
            |(at, group, name, members, groups)| {
                Step::ReplaceGroup { at, group, name, members, groups }
            }),
        10 => (pick(), pick(), some())
            .prop_map(|(at, group, members)| Step::AddMembers { at, group, members }),
        8 => (pick(), pick(), some())
            .prop_map(|(at, group, members)| Step::RemoveMembers { at, group, members }),
        3 => (pick(), pick(), pick())
            .prop_map(|(at, group, name)| Step::RenameGroup { at, group, name }),
        3 => (pick(), pick()).prop_map(|(at, group)| Step::DeleteGroup { at, group }),
        2 => (pick(), name(), name()).prop_map(|(at, name, email)| Step::Bulk { at, name, email }),
        1 => (pick(), policies()).prop_map(|(at, settings)| Step::Policies { at, settings }),
        1 => (1_u64..3).prop_map(Step::Wait),
        1 => pick().prop_map(Step::Primary),
        4 => (0_usize..4, pick()).prop_map(|(state, number)| Step::Decide { state, number }),
        1 => (pick(), pick()).prop_map(|(identity, account)| Step::Unlink { identity, account }),
        1 => (pick(), name()).prop_map(|(identity, email)| Step::Alias { identity, email }),
        1 => prop_oneof![
            2 => pick().prop_map(Step::Renew),
            1 => (pick(), any::<bool>()).prop_map(|(at, own)| Step::Schemas { at, own }),
        ],
    ]
}
