//! The layers of `src/`: what a module may import, where time and ids come from, how long files are.

use std::fs;
use std::path::{Path, PathBuf};

/// Module and what it may import from this crate.
const ARROWS: [(&str, &[&str]); 10] = [
    ("scim", &[]),
    ("profile", &["scim"]),
    ("auth", &["clock"]),
    ("event", &["scim"]),
    ("store", &["scim", "event", "config", "clock"]),
    ("pull", &["scim", "outbound", "auth", "clock"]),
    ("service", &["scim", "profile", "store", "event", "auth", "outbound", "pull", "clock"]),
    ("http", &["service", "scim", "profile", "auth", "clock", "telemetry"]),
    ("outbound", &[]),
    ("clock", &[]),
];

/// Words that a pure module must not contain.
const IMPURE: [&str; 9] = [
    "diesel",
    "actix_web",
    "tokio",
    "std::fs",
    "std::net",
    "SystemTime",
    "Instant::now",
    "getrandom",
    "std::env",
];

/// Longest source file, in lines.
const MAX_LINES: usize = 600;

/// Longer files, each with its reason.
const LONGER: [(&str, &str); 0] = [];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("readable");
                files.push((path.strip_prefix(&root).expect("below src").to_owned(), text));
            }
        }
    }
    assert!(files.len() > 30, "the sources were found");
    files
}

fn module(path: &Path) -> String {
    let first = path.components().next().expect("not empty").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The part of a file that is not a test module at its end.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().expect("the first part")
}

#[test]
fn modules_import_only_what_their_layer_allows() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module(&path);
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else { continue };
        for (number, line) in product(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for imported in code.split("crate::").skip(1) {
                let name: String =
                    imported.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name != module && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{}:{} imports {name}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn protocol_and_profiles_are_pure() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !matches!(module(&path).as_str(), "scim" | "profile") {
            continue;
        }
        for word in IMPURE.iter().filter(|word| product(&text).contains(**word)) {
            wrong.push(format!("{} contains {word}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_file_asks_which_database_it_is() {
    let asks = |text: &str| {
        text.lines().any(|line| line.contains("AnyConn::Sqlite(") || line.contains("AnyConn::Pg("))
    };
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| asks(text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    // `conn.rs` makes the connections, `dialect.rs` tells them apart.
    for file in &found {
        assert!(["store/conn.rs", "store/dialect.rs"].contains(&file.as_str()), "{file}");
    }
}

#[test]
fn time_and_randomness_come_from_the_clock() {
    const SOURCES: [&str; 6] = [
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "getrandom::",
        "Ulid::new",
        " rand::",
    ];
    for (path, text) in sources() {
        if path == Path::new("clock.rs") {
            continue;
        }
        for source in SOURCES {
            assert!(!product(&text).contains(source), "{} uses {source}", path.display());
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        let file = path.display().to_string();
        let allowed = LONGER.iter().any(|(known, _)| *known == file);
        assert!(lines <= MAX_LINES || allowed, "{file} has {lines} lines; split it");
    }
}

/// The text of the string that begins behind `at`.
fn literal(text: &str) -> Option<&str> {
    text.split_once('"')?.1.split('"').next()
}

#[test]
fn image_is_built_with_every_file_that_the_program_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignore = fs::read_to_string(root.join("docker/Dockerfile.dockerignore")).expect("readable");
    let admitted: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut held = Vec::new();
    for (path, text) in sources() {
        let folder = Path::new("src").join(path.parent().expect("a folder"));
        for mark in ["include_str!(", "include_bytes!("] {
            let names = text.split(mark).skip(1).filter_map(literal);
            held.extend(names.map(|name| folder.join(name)));
        }
        let migrations = text.split("embed_migrations!(").skip(1).filter_map(literal);
        held.extend(migrations.map(PathBuf::from));
        let templates = text.split("#[template(path = ").skip(1).filter_map(literal);
        held.extend(templates.map(|name| Path::new("templates").join(name)));
    }
    assert!(held.len() > 10, "{held:?}");
    for path in held {
        let mut plain = PathBuf::new();
        for part in path.components() {
            if part == std::path::Component::ParentDir {
                plain.pop();
            } else {
                plain.push(part);
            }
        }
        assert!(root.join(&plain).exists(), "{} is there", plain.display());
        let is_admitted = admitted.iter().any(|name| plain.starts_with(name));
        assert!(is_admitted, "{} is left out of the image's build", plain.display());
    }
}
