//! Predicates as SQL text. It is put together from constants only; values are bound.

use super::Predicate;
use crate::scim::filter::CompareOp;
use crate::store::dialect::Dialect;
use crate::store::sql::Bind;

/// A condition as SQL text and its values.
#[derive(Debug, Default)]
pub(in crate::store) struct Condition {
    pub(in crate::store) text: String,
    pub(in crate::store) binds: Vec<Bind<'static>>,
    /// Number of leaves: few leaves mean few forms of text.
    pub(in crate::store) leaves: usize,
}

/// Renders the predicate; the text always stands in parentheses of its own.
pub(in crate::store) fn render(
    predicate: &Predicate,
    directory_key: i64,
    dialect: Dialect,
) -> Condition {
    let mut condition = Condition::default();
    condition.push(predicate, directory_key, dialect);
    condition
}

impl Condition {
    fn push(&mut self, predicate: &Predicate, directory_key: i64, dialect: Dialect) {
        self.leaves += 1;
        match predicate {
            Predicate::All => self.text.push_str("(1 = 1)"),
            Predicate::Nothing => self.text.push_str("(1 = 0)"),
            Predicate::And(parts) => self.join(parts, " AND ", "(1 = 1)", directory_key, dialect),
            Predicate::Or(parts) => self.join(parts, " OR ", "(1 = 0)", directory_key, dialect),
            Predicate::Text { column, op, key, negated } => {
                self.text_condition(column.sql(), *op, key, *negated, dialect);
            }
            Predicate::TextPresent { column, present } => {
                let (column, empty) = (column.sql(), if *present { "<> ''" } else { "= ''" });
                let null = if *present { "IS NOT NULL AND" } else { "IS NULL OR" };
                self.text.push_str(&format!("({column} {null} {column} {empty})"));
            }
            Predicate::Instant { column, op, ms } => {
                self.text.push_str(&format!("({} {} ?)", column.sql(), symbol(*op)));
                self.binds.push(Bind::Int(*ms));
            }
            Predicate::Active(active) => {
                self.text.push_str("(r.active = ?)");
                self.binds.push(Bind::Bool(*active));
            }
            Predicate::Indexed { path_id, op, key, negated } => {
                let not = if *negated { "NOT " } else { "" };
                let whose = match op {
                    CompareOp::Eq => dialect.whose("a.directory_key"),
                    _ => "a.directory_key = ?".to_owned(),
                };
                self.text.push_str(&format!(
                    "(r.key {not}IN (SELECT a.resource_key FROM resource_attr a \
                     WHERE {whose} AND a.path_id = ? AND "
                ));
                self.binds.push(Bind::Int(directory_key));
                self.binds.push(Bind::Small(*path_id));
                self.text_condition("a.key", *op, key, false, dialect);
                self.text.push_str("))");
            }
            Predicate::HasMember { id, negated } => {
                let not = if *negated { "NOT " } else { "" };
                let (of_member, of_resource) =
                    (dialect.whose("m.directory_key"), dialect.whose("o.directory_key"));
                self.text.push_str(&format!(
                    "(r.key {not}IN (SELECT m.group_key FROM resource o CROSS JOIN member m \
                     WHERE {of_member} AND m.member_key = o.key AND o.id = ? AND {of_resource}))"
                ));
                self.binds.push(Bind::Int(directory_key));
                self.binds.push(Bind::Owned(id.clone()));
                self.binds.push(Bind::Int(directory_key));
            }
        }
    }

    fn join(
        &mut self,
        parts: &[Predicate],
        word: &str,
        empty: &str,
        directory_key: i64,
        dialect: Dialect,
    ) {
        if parts.is_empty() {
            self.text.push_str(empty);
            return;
        }
        self.text.push('(');
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.text.push_str(word);
            }
            self.push(part, directory_key, dialect);
        }
        self.text.push(')');
    }

    fn text_condition(
        &mut self,
        column: &str,
        op: CompareOp,
        key: &str,
        negated: bool,
        dialect: Dialect,
    ) {
        let (condition, binds) = match op {
            CompareOp::Sw => match prefix_end(key) {
                Some(end) => (
                    format!("({column} >= ? AND {column} < ?)"),
                    vec![Bind::Owned(key.to_owned()), Bind::Owned(end)],
                ),
                None => (format!("({column} >= ?)"), vec![Bind::Owned(key.to_owned())]),
            },
            CompareOp::Co => {
                let find = dialect.pick("instr", "strpos");
                (format!("({find}({column}, ?) > 0)"), vec![Bind::Owned(key.to_owned())])
            }
            op => (format!("({column} {} ?)", symbol(op)), vec![Bind::Owned(key.to_owned())]),
        };
        if negated {
            self.text.push_str(&format!("({column} IS NULL OR NOT {condition})"));
        } else {
            self.text.push_str(&condition);
        }
        self.binds.extend(binds);
    }
}

fn symbol(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Ne => "<>",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Eq | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => "=",
    }
}

/// The smallest text that is greater than every text starting with `prefix`, in code point order.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The range of surrogates is no character.
        let next =
            if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_end_bounds_the_prefix() {
        assert_eq!(prefix_end("ab").as_deref(), Some("ac"));
        assert_eq!(prefix_end("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(prefix_end("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{10FFFF}"), None);
    }
}
