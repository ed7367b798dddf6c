//! What the targets share: what they check, and changes to inputs that keep their form.

pub mod checks;
pub mod mutate;
