//! What an expression may consist of, and where it draws on its budget ([`super::fuel`]).
//!
//! Expressions are checked when they are saved: a fault that can be seen in the text is told there, not
//! for every user. One walk over the syntax tree checks and rewrites.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators,
};
use cel::common::types::{CelInt, CelString};

use super::fuel::{BYTES, COST, ITEMS, PARTS};

/// Largest syntax tree, in nodes, and its greatest depth. A macro such as `exists` is about ten nodes.
const MAX_NODES: usize = 500;
const MAX_DEPTH: usize = 50;

/// Walks inside walks.
const MAX_WALKS: usize = 2;

/// Longest text that a function is given beside the one that it works on, in characters.
const MAX_LITERAL: usize = 32;

/// Units that a text in a list costs besides its bytes.
const PIECE: usize = 5;

/// What expressions start from.
pub(super) const RAW: &str = "raw";
pub(super) const ENTERPRISE: &str = "enterprise";

/// Functions that take any arguments.
const FUNCTIONS: [&str; 14] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "charAt",
    "lowerAscii",
    "upperAscii",
    "trim",
    "substring",
];

/// Functions whose cost is a product: what they are given beside the value must be a short text.
const WITH_TEXTS: [&str; 5] = ["split", "join", "replace", "indexOf", "lastIndexOf"];

/// Operators whose cost grows with their operands.
const OPERATORS: [&str; 14] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::IN,
    operators::LOGICAL_NOT,
];

/// Operators that cost nothing beside their operands.
const FREE: [&str; 5] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
];

/// A tree within its bounds.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    pub(super) tree: IdedExpr,
    pub(super) depth: usize,
}

/// The walk over a tree.
#[derive(Default)]
struct Walk {
    /// What the expression may start from.
    names: &'static [&'static str],
    nodes: usize,
    /// Of the part that the walk is at, in the tree that it makes.
    depth: usize,
    deepest: usize,
    walks: usize,
    /// Names that macros have made.
    scope: Vec<String>,
}

/// The expression over these names within its bounds; otherwise what is wrong with it.
pub(super) fn bounded(tree: IdedExpr, names: &'static [&'static str]) -> Result<Bounded, String> {
    let mut walk = Walk { names, ..Walk::default() };
    let tree = walk.node(tree)?;
    Ok(Bounded { tree, depth: walk.deepest })
}

impl Walk {
    fn node(&mut self, node: IdedExpr) -> Result<IdedExpr, String> {
        self.nodes += 1;
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.nodes > MAX_NODES {
            return Err(format!("it has more than {MAX_NODES} parts"));
        }
        if self.depth > MAX_DEPTH {
            return Err(format!("its parts are nested more than {MAX_DEPTH} deep"));
        }
        let expr = self.expr(node.expr)?;
        self.depth -= 1;
        Ok(IdedExpr { id: node.id, expr })
    }

    fn expr(&mut self, expr: Expr) -> Result<Expr, String> {
        match expr {
            Expr::Literal(literal) => Ok(Expr::Literal(literal)),
            Expr::Ident(name) => self.name(name),
            Expr::Select(mut select) => {
                select.operand = Box::new(self.node(*select.operand)?);
                Ok(Expr::Select(select))
            }
            Expr::Call(call) => self.call(call).map(Expr::Call),
            Expr::List(mut list) => {
                let elements = list.elements.into_iter().map(|element| self.costly(element));
                list.elements = elements.collect::<Result<_, _>>()?;
                Ok(Expr::List(list))
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(pair) = &mut entry.expr {
                        pair.key = self.costly(std::mem::take(&mut pair.key))?;
                        pair.value = self.costly(std::mem::take(&mut pair.value))?;
                    }
                }
                Ok(Expr::Map(map))
            }
            Expr::Comprehension(walk) => {
                self.comprehension(*walk).map(|walk| Expr::Comprehension(Box::new(walk)))
            }
            Expr::Struct(_) => Err("it makes a message, of which there are no types".to_owned()),
            Expr::Unspecified => Err("a part of it is empty".to_owned()),
        }
    }

    fn name(&self, name: String) -> Result<Expr, String> {
        let known = self.names.contains(&name.as_str()) || self.scope.contains(&name);
        let quoted = || self.names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        match known {
            true => Ok(Expr::Ident(name)),
            false => Err(format!(
                "it uses \"{}\", which is not there; it may use {}",
                shortened(&name),
                quoted().join(" and ")
            )),
        }
    }

    fn call(&mut self, mut call: CallExpr) -> Result<CallExpr, String> {
        let name = call.func_name.as_str();
        if FREE.contains(&name) {
            let args = std::mem::take(&mut call.args).into_iter().map(|arg| self.node(arg));
            call.args = args.collect::<Result<_, _>>()?;
            return Ok(call);
        }
        if WITH_TEXTS.contains(&name) {
            if call.args.iter().any(|arg| !is_short_text(arg)) {
                return Err(format!(
                    "\"{name}\" takes texts of at most {MAX_LITERAL} characters that stand in the \
                     expression itself"
                ));
            }
        } else if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
            return Err(format!(
                "it calls \"{}\", which is no function here; there are {}",
                shortened(name),
                [FUNCTIONS.as_slice(), WITH_TEXTS.as_slice()].concat().join(", ")
            ));
        }
        let parts = parts(&call);
        let args = std::mem::take(&mut call.args).into_iter().map(|arg| self.costly(arg));
        call.args = args.collect::<Result<_, _>>()?;
        if let Some(target) = call.target {
            call.target = Some(Box::new(match parts {
                None => self.costly(*target)?,
                Some([text, weight]) => {
                    self.depth += 1;
                    let target = self.node(*target)?;
                    self.depth -= 1;
                    self::call(PARTS, vec![target, text, weight])
                }
            }));
        }
        Ok(call)
    }

    fn comprehension(&mut self, mut walk: ComprehensionExpr) -> Result<ComprehensionExpr, String> {
        self.depth += 1;
        let range = self.node(walk.iter_range)?;
        self.depth -= 1;
        self.walks += 1;
        if self.walks > MAX_WALKS {
            return Err(format!("walks over lists are nested more than {MAX_WALKS} deep"));
        }
        let before = self.nodes;
        walk.accu_init = self.node(walk.accu_init)?;
        let known = self.scope.len();
        self.scope.push(walk.accu_var.clone());
        self.scope.push(walk.iter_var.clone());
        self.scope.extend(walk.iter_var2.clone());
        walk.loop_cond = self.node(walk.loop_cond)?;
        walk.loop_step = self.node(walk.loop_step)?;
        walk.result = self.node(walk.result)?;
        self.scope.truncate(known);
        self.walks -= 1;
        let weight = i64::try_from(self.nodes - before).unwrap_or(i64::MAX);
        let weight = literal(LiteralValue::Int(CelInt::from(weight)));
        walk.iter_range = call(ITEMS, vec![range, weight]);
        Ok(walk)
    }

    /// A part whose value is worked on: it draws what its value costs. What a macro has gathered so far is
    /// left out: the interpreter appends to it without a copy, as long as the step of the macro keeps its
    /// form, `@result + [element]`.
    fn costly(&mut self, node: IdedExpr) -> Result<IdedExpr, String> {
        let is_free = match &node.expr {
            // The elements of these have drawn what they cost.
            Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => true,
            Expr::Ident(name) => name.starts_with('@'),
            _ => false,
        };
        if is_free {
            return self.node(node);
        }
        self.depth += 1;
        let node = self.node(node)?;
        self.depth -= 1;
        Ok(call(COST, vec![node]))
    }
}

/// The further arguments of [`PARTS`] around what a function works on that makes more than it reads: the
/// text that it looks for, and what each place costs where that is.
fn parts(call: &CallExpr) -> Option<[IdedExpr; 2]> {
    let text = |index: usize| match call.args.get(index).map(|arg| &arg.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => text.inner(),
        _ => "",
    };
    let weight = match call.func_name.as_str() {
        "split" => PIECE,
        "replace" => 1 + text(1).len() / BYTES,
        "join" => 1 + text(0).len() / BYTES,
        _ => return None,
    };
    let weight = CelInt::from(i64::try_from(weight).unwrap_or(i64::MAX));
    let text = CelString::from(text(0).to_owned());
    Some([literal(LiteralValue::String(text)), literal(LiteralValue::Int(weight))])
}

fn is_short_text(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => text.inner().chars().count() <= MAX_LITERAL,
        Expr::Literal(LiteralValue::Int(_)) => true,
        _ => false,
    }
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(value) }
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    let call = CallExpr { func_name: name.to_owned(), target: None, args };
    IdedExpr { id: 0, expr: Expr::Call(call) }
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise each step would copy what was gathered, and draw nothing for it.
    #[test]
    fn steps_of_map_and_filter_keep_the_form_that_appends() {
        for source in ["raw.a.map(e, e.b + 'c')", "raw.a.filter(e, e.b == 'c')"] {
            let tree = super::super::fuel::ENV.parser().parse(source).expect("CEL");
            let bounded = bounded(tree, &[RAW]).expect("bounds");
            let Expr::Comprehension(walk) = bounded.tree.expr else {
                panic!("{source} is a walk");
            };
            let step = match walk.loop_step.expr {
                Expr::Call(choice) if choice.func_name == operators::CONDITIONAL => {
                    choice.args[1].expr.clone()
                }
                step => step,
            };
            let Expr::Call(step) = step else { panic!("{source}: {step:?}") };
            assert_eq!(step.func_name, operators::ADD);
            assert!(matches!(&step.args[0].expr, Expr::Ident(name) if *name == walk.accu_var));
            assert!(matches!(step.args[1].expr, Expr::List(_)), "{source}");
            assert!(matches!(walk.loop_cond.expr, Expr::Literal(_)), "{source}");
        }
    }
}
