//! The pages of the providers say what their profiles say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rollbook::profile::flags::{Origin, effective};
use rollbook::profile::{PROVIDERS, Profile};

/// Kinds that are no identity provider.
const OWN: [&str; 4] = ["generic", "default", "rfc", "strict"];

/// What every page has, in this order.
const SECTIONS: [&str; 5] = ["Set up", "What it sends", "Deprovisioning", "Profile", "Limits"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers")
}

fn page(provider: &str) -> String {
    let path = root().join(format!("{provider}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text under a heading, up to the next one.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, text) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_default();
    text.split("\n## ").next().expect("the first part")
}

/// `| `flag` | `value` | why |` as (flag, value).
fn flags(section: &str) -> BTreeMap<String, String> {
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 3 && cells[2].len() > 20, "a reason in {row}");
        let word = |cell: &str| cell.trim_matches('`').to_owned();
        (word(cells[0]), word(cells[1]))
    })
    .collect()
}

#[test]
fn each_provider_has_a_page_with_every_section() {
    let index = page("README");
    for provider in PROVIDERS.iter().filter(|name| !OWN.contains(name)) {
        let page = page(provider);
        let headings: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, SECTIONS, "{provider}");
        assert!(page.contains(&format!("--kind scim.{provider}\n")), "{provider}");
        assert!(section(&page, "Deprovisioning").contains("../deprovisioning.md"), "{provider}");
        let row = format!("]({provider}.md) | `scim.{provider}` |");
        assert!(index.contains(&row), "the index has no {row}");
    }
    assert!(index.contains("](generic.md) | `scim.generic` |"));
    assert!(page("generic").contains("scim.generic"));
    for entry in fs::read_dir(root()).expect("the pages") {
        let name = entry.expect("a page").file_name().into_string().expect("a name");
        let provider = name.trim_end_matches(".md");
        assert!(provider == "README" || PROVIDERS.contains(&provider), "{name} is nobody's page");
    }
}

#[test]
fn each_page_names_exactly_the_flags_that_its_profile_sets() {
    for provider in PROVIDERS.iter().filter(|name| !OWN.contains(name)) {
        let set: BTreeMap<String, String> = effective(provider, &toml::Table::new())
            .into_iter()
            .filter(|flag| flag.from == Origin::Provider)
            .map(|flag| {
                let value = flag.value.as_str().map_or(flag.value.to_string(), str::to_owned);
                (flag.name.to_owned(), value)
            })
            .collect();
        let page = page(provider);
        let shown = section(&page, "Profile");
        assert_eq!(flags(shown), set, "{provider}");
        assert_eq!(shown.contains("The profile sets no flag"), set.is_empty(), "{provider}");
    }
}

/// A setting in the running text stands as `flag = value`.
#[test]
fn settings_in_the_text_of_a_page_can_be_set() {
    let mut found = 0;
    for entry in fs::read_dir(root()).expect("the pages") {
        let text = fs::read_to_string(entry.expect("a page").path()).expect("readable");
        for setting in text.split('`').skip(1).step_by(2).filter(|word| word.contains(" = ")) {
            let overrides: toml::Table = setting.parse().expect(setting);
            Profile::of("default", &overrides).expect(setting);
            found += 1;
        }
    }
    assert!(found > 0, "the pages name settings");
}

/// `ROLLBOOK_` names in a text.
fn settings_in(text: &str) -> BTreeSet<String> {
    let rest = text.split("ROLLBOOK_").skip(1);
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
    rest.map(name).filter(|name: &String| !name.is_empty()).collect()
}

#[test]
fn each_setting_is_documented_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect(file);
    let config = serde_json::to_value(rollbook::config::Config::default()).expect("JSON");
    let mut known: BTreeSet<String> =
        config.as_object().expect("fields").keys().map(|name| name.to_uppercase()).collect();
    known.insert("LOG".to_owned());
    let readme = settings_in(&read("README.md"));
    known.insert("CONFIG".to_owned());
    let operating = settings_in(&read("docs/operating.md"));
    assert_eq!(operating, known, "docs/operating.md");
    assert!(known.is_subset(&readme), "README.md lacks {:?}", known.difference(&readme));
    for file in ["docker/Dockerfile", "docker/compose.yaml", "docker/compose.postgres.yaml"] {
        let unknown: Vec<_> = settings_in(&read(file)).difference(&known).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "{file}");
    }
}

#[test]
fn each_action_of_the_audit_log_is_there_once_and_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md"));
    let page = page.expect("the page");
    let mut seen = BTreeSet::new();
    for word in rollbook::service::audit::action::ALL {
        assert!(seen.insert(word), "{word} is there twice");
        assert!(page.contains(&format!("`{word}`")), "docs/audit.md lacks {word}");
    }
}

/// The pages of the sources say what their configurations hold.
mod sources {
    use super::*;
    use rollbook::pull::connectors::ALL;

    #[test]
    fn each_source_has_a_page_with_exactly_its_fields() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources");
        let read = |name: &str| {
            fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let index = read("README.md");
        for kind in ALL {
            let name = kind.name.trim_start_matches("pull.");
            let page = read(&format!("{name}.md"));
            assert!(index.contains(&format!("]({name}.md) | `{}` |", kind.name)), "{name}");
            // `| `field`, `field` | what it is |`
            let rows = page.lines().filter(|line| line.starts_with("| `"));
            let cells = rows.filter_map(|row| row.split(" | ").next());
            let written: BTreeSet<String> = cells
                .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned))
                .collect();
            let fields: BTreeSet<String> =
                kind.fields.iter().map(|field| field.name.to_owned()).collect();
            assert_eq!(written, fields, "{name}");
        }
    }
}
