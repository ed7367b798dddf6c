//! The checklist of what identity providers need names flows and tests that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rollbook_conformance::checklist::Checklist;
use rollbook_conformance::flow::label;
use rollbook_conformance::load_flows;

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn list() -> Checklist {
    let text = fs::read_to_string(path("conformance/idp/checklist.toml")).expect("the checklist");
    Checklist::parse(&text).expect("a readable checklist")
}

/// Whether `tests/it` has that test: the file of its module has a function of that name, which is
/// marked as a test or listed for both databases, or a module of its two runs.
fn exists(name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else { return false };
    let folder = path("tests/it").join(module.replace("::", "/"));
    let files = [folder.with_extension("rs"), folder.join("mod.rs")];
    let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let plain = format!("#[test]\nfn {function}() ");
    let module = format!("mod {function} {{");
    let (listed, defined) = (format!("{function},\n"), format!("\nfn {function}("));
    let alone = format!("on_both_databases![{function}];");
    let doubled = [listed, alone].iter().any(|form| text.contains(form)) && text.contains(&defined);
    doubled || text.contains(&plain) || text.contains(&module)
}

#[test]
fn every_test_of_the_checklist_exists() {
    let missing: Vec<_> = list().tests().into_iter().map(str::to_owned).collect();
    let missing: Vec<_> = missing.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "the checklist names tests that are not there: {missing:#?}");
    assert!(!exists("http::errors::nothing_of_that_name"), "a missing test is noticed");
}

/// A flow that no line names shows something that nobody asked for, or a line forgot it.
#[test]
fn every_flow_belongs_to_a_line_of_the_checklist() {
    let flows = load_flows(path("conformance/idp")).expect("readable flows");
    let flows: BTreeSet<_> = flows.iter().map(|(path, _)| label(path)).collect();
    let list = list();
    let named: BTreeSet<_> = list.flows().into_iter().map(str::to_owned).collect();
    let unnamed: Vec<_> = flows.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&flows).collect();
    assert!(unnamed.is_empty() && unknown.is_empty(), "unnamed {unnamed:#?}, unknown {unknown:#?}");
}
