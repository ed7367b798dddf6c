//! Flow files: the requests of one identity provider in order, and what it needs to see in return.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One flow file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The identity provider; the name of the folder and of the profile.
    pub idp: String,
    pub name: String,
    /// Where the shape of the requests was seen.
    pub source: String,
    /// Settings of the directory, as the management API takes them; the provider's own without them.
    pub settings: Option<Value>,
    pub steps: Vec<Step>,
}

/// One request and what its answer must look like.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub request: Request,
    pub expect: Expect,
    /// Variable name → JSON pointer into the answer.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: String,
    /// Appended to the base URL as it stands, escapes included.
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Any of these codes will do.
    pub status: Vec<u16>,
    /// Header → how its value must begin.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body_contains: Option<Value>,
    /// JSON pointers that must lead nowhere.
    #[serde(default)]
    pub body_absent: Vec<String>,
}

/// Every `*.json` file below the folder, sorted by path. A file that is no flow is an error that
/// names it.
pub fn load_flows(dir: impl AsRef<Path>) -> io::Result<Vec<(PathBuf, Flow)>> {
    let mut paths = Vec::new();
    collect(dir.as_ref(), &mut paths)?;
    paths.sort();
    paths.into_iter().map(|path| Ok((path.clone(), load(&path)?))).collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = fs::read_dir(dir).map_err(|error| at(dir, &error))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    Ok(())
}

fn load(path: &Path) -> io::Result<Flow> {
    let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
    serde_json::from_str(&text).map_err(|error| at(path, &io::Error::from(error)))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// `provider/file` without `.json`: how reports and allow lists name a flow.
pub fn label(path: &Path) -> String {
    let part = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let folder = part(path.parent().and_then(Path::file_name));
    let file = part(path.file_stem());
    if folder.is_empty() { file } else { format!("{folder}/{file}") }
}

/// True for a flow that belongs to the directory's SCIM 1.1 base URL.
pub fn is_scim11(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains("scim11"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::matching::{Vars, substitute};

    fn shipped() -> Vec<(PathBuf, Flow)> {
        load_flows(Path::new(env!("CARGO_MANIFEST_DIR")).join("idp")).unwrap()
    }

    #[test]
    fn shipped_flows_stand_in_the_folder_of_their_provider() {
        let flows = shipped();
        assert!(!flows.is_empty());
        for (path, flow) in &flows {
            let label = label(path);
            assert_eq!(label.split('/').next(), Some(flow.idp.as_str()), "{label}");
            assert!(label.ends_with(&flow.name), "{label} is not named {}", flow.name);
            assert!(!flow.steps.is_empty(), "{label} has no steps");
        }
    }

    #[test]
    fn shipped_flows_use_only_variables_saved_before() {
        for (path, flow) in shipped() {
            let given = ["base_url", "token"].map(|name| (name.to_owned(), String::new()));
            let mut vars = Vars::from(given);
            for step in &flow.steps {
                let text = serde_json::to_string(&(&step.request, &step.expect)).unwrap();
                assert_eq!(substitute(&text, &vars).err(), None, "{}", path.display());
                vars.extend(step.save.keys().map(|name| (name.clone(), String::new())));
            }
        }
    }

    #[test]
    fn shipped_flows_have_labels_of_their_own() {
        let flows = shipped();
        let labels: BTreeSet<_> = flows.iter().map(|(path, _)| label(path)).collect();
        assert_eq!(labels.len(), flows.len());
    }

    #[test]
    fn label_is_folder_and_file() {
        for (path, expected) in [
            ("conformance/idp/okta/01_probe.json", "okta/01_probe"),
            ("okta/01_probe.json", "okta/01_probe"),
            ("01_probe.json", "01_probe"),
        ] {
            assert_eq!(label(Path::new(path)), expected);
        }
    }

    #[test]
    fn unknown_field_is_an_error_with_the_path() {
        let dir = std::env::temp_dir().join(format!("rollbook-flow-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("a.json"), r#"{"idp":"x","name":"a","source":"","step":[]}"#).unwrap();
        let error = load_flows(&dir).unwrap_err().to_string();
        fs::remove_dir_all(&dir).unwrap();
        assert!(error.contains("a.json: unknown field `step`"), "{error}");
    }
}
