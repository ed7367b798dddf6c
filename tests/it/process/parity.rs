//! Whatever the console does, the API and the commands do: the table in `docs/console.md` names for each page
//! and form a route and a command, and they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::run;

/// What begins the session of a browser, which only a browser needs.
const OF_A_BROWSER: [&str; 2] = ["/console/sign-in", "/console/welcome"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rust files in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

/// The rows of a route table, `name("/path", "GET, POST")`, as `METHOD /path`.
fn routes(source: &str, name: &str, prefix: &str) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for table in source.split("fn routes(").skip(1) {
        let table = table.split("\n}\n").next().expect("the first part");
        for row in table.split(&format!("{name}(")).skip(1) {
            let mut words = row.split('"').skip(1).step_by(2);
            let (path, methods) = (words.next().expect("a path"), words.next().expect("methods"));
            routes.extend(methods.split(", ").map(|method| format!("{method} {prefix}{path}")));
        }
    }
    routes
}

/// Pages and forms of the console that do not begin a session.
fn console() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/console");
    let mut all = BTreeSet::new();
    for file in files(&folder) {
        let text = fs::read_to_string(&file).expect("readable");
        let table = text.split("fn routes(").nth(1).unwrap_or_default();
        let paths = table.split("\n}\n").next().unwrap_or_default().matches("\"/console").count();
        let found = routes(&text, "only", "");
        let named: BTreeSet<&str> =
            found.iter().filter_map(|r| Some(r.split_once(' ')?.1)).collect();
        assert_eq!(named.len(), paths, "every path of {} has its methods", file.display());
        all.extend(found);
    }
    assert!(all.len() > 80, "{all:?}");
    let is_of_a_browser = |route: &String| OF_A_BROWSER.iter().any(|path| route.contains(path));
    all.into_iter().filter(|route| !is_of_a_browser(route)).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Routes and commands by page or form.
fn table() -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let text = read("docs/console.md");
    let (_, section) = text.split_once("\n## The same by API and command\n").expect("the section");
    let section = section.split("\n## ").next().expect("the first part");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<Vec<String>> = row.trim_matches('|').split(" | ").map(quoted).collect();
        let [page, routes, commands] = &cells[..] else { panic!("three cells: {row}") };
        assert!(page.len() == 1 && !routes.is_empty() && !commands.is_empty(), "{row}");
        (page[0].clone(), (routes.clone(), commands.clone()))
    })
    .collect()
}

#[test]
fn every_page_and_form_of_the_console_has_a_route_and_a_command() {
    let named: BTreeSet<String> = table().into_keys().collect();
    let pages = console();
    let missing: Vec<&String> = pages.difference(&named).collect();
    let gone: Vec<&String> = named.difference(&pages).collect();
    assert!(missing.is_empty(), "docs/console.md does not name {missing:?}");
    assert!(gone.is_empty(), "the console does not have {gone:?}");
}

#[test]
fn the_routes_that_it_names_are_there() {
    let mut known = routes(&read("src/http/admin/mod.rs"), "methods", "/api/v1");
    known.extend(routes(&read("src/http/api/mod.rs"), "methods", ""));
    known.extend(routes(&read("src/http/ssf.rs"), "methods", ""));
    known.insert("GET /health/ready".to_owned());
    for (page, (routes, _)) in table() {
        for route in routes {
            assert!(known.contains(&route), "{page} names {route}");
        }
    }
}

#[test]
fn the_commands_that_it_names_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let commands: BTreeSet<String> =
        table().into_values().flat_map(|(_, commands)| commands).collect();
    for command in commands {
        let words: Vec<&str> = command.split(' ').skip(1).chain(["--help"]).collect();
        let output = run(folder.path(), &words);
        let text = String::from_utf8_lossy(&output.stdout);
        let usage = text.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
        assert!(usage.starts_with(&format!("Usage: {command}")), "{command}: {text}");
        assert!(!usage.contains("<COMMAND>"), "{command} is no command by itself");
    }
}
