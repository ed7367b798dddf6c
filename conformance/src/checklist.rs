//! The checklist: what identity providers need of a server, line by line, with the flows and the
//! tests that show each line. `idp/checklist.toml` is the list.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Deserialize;

/// All lines, in the order of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    #[serde(rename = "line")]
    pub lines: Vec<Line>,
}

/// One line. It has proofs, or a reason why there are none yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `1` to `22`: always on. `P1` …: by profile. `C1` …: conflicts between clients.
    pub id: String,
    pub text: String,
    /// Flows as `provider/file`.
    #[serde(default)]
    pub flows: Vec<String>,
    /// Tests of `tests/it` as `module::path::function`.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Why nothing shows this line yet.
    pub open: Option<String>,
}

/// How a flow or a test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Passed,
    /// A flow of the list of known failures.
    Known,
    /// It was not part of this run.
    NotRun,
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Known => "failed as expected",
            Self::NotRun => "not run",
            Self::Failed => "FAILED",
        }
    }
}

impl Checklist {
    /// Reads the list. Two lines of one id, and a line with neither proof nor reason or with both,
    /// are errors.
    pub fn parse(text: &str) -> Result<Self, String> {
        let list: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut ids = BTreeSet::new();
        for line in &list.lines {
            let id = &line.id;
            if !ids.insert(id) {
                return Err(format!("line {id} is there twice"));
            }
            let shown = !line.flows.is_empty() || !line.tests.is_empty();
            match (shown, &line.open) {
                (false, None) => {
                    return Err(format!("line {id} has no flow, no test and no reason"));
                }
                (true, Some(_)) => return Err(format!("line {id} is shown and open at once")),
                _ => {}
            }
        }
        Ok(list)
    }

    /// Every test that the list names, once.
    pub fn tests(&self) -> BTreeSet<&str> {
        self.lines.iter().flat_map(|line| &line.tests).map(String::as_str).collect()
    }

    /// Every flow that the list names, once.
    pub fn flows(&self) -> BTreeSet<&str> {
        self.lines.iter().flat_map(|line| &line.flows).map(String::as_str).collect()
    }

    /// The tests as an expression for `cargo nextest run -E`. A test runs on both databases under one
    /// name each.
    pub fn test_filter(&self) -> String {
        let names: Vec<_> = self.tests().into_iter().collect();
        format!("test(/^({})(::sqlite|::postgres)?$/)", names.join("|"))
    }
}

/// Outcomes by name, read from a report that has a line `ok NAME`, `FAILED NAME …`,
/// `failed as expected NAME …` or `skipped NAME: …` for each flow or test; other lines are passed over.
pub fn outcomes(report: &str) -> BTreeMap<String, Outcome> {
    const WORDS: [(&str, Outcome); 4] = [
        ("ok ", Outcome::Passed),
        ("FAILED ", Outcome::Failed),
        ("failed as expected ", Outcome::Known),
        ("skipped ", Outcome::NotRun),
    ];
    let mut outcomes = BTreeMap::new();
    for line in report.lines() {
        for (word, outcome) in WORDS {
            let name = line.strip_prefix(word).and_then(|rest| rest.split(' ').next());
            if let Some(name) = name {
                outcomes.insert(name.trim_end_matches(':').to_owned(), outcome);
            }
        }
    }
    outcomes
}

/// The outcome of a test over all databases that it ran on.
fn of_test(name: &str, tests: &BTreeMap<String, Outcome>) -> Outcome {
    let runs = tests.iter().filter(|(run, _)| {
        run.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    runs.map(|(_, outcome)| *outcome).max().unwrap_or(Outcome::NotRun)
}

/// How many lines held, are open and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub held: usize,
    pub open: usize,
    pub failed: usize,
}

/// Prints every line with what shows it. Without `tests` the tests were not part of the run, and the
/// flows alone decide; with them a test that did not run is a failure, as a flow always is.
pub fn print(
    out: &mut impl Write,
    list: &Checklist,
    flows: &BTreeMap<String, Outcome>,
    tests: Option<&BTreeMap<String, Outcome>>,
) -> io::Result<Count> {
    let mut count = Count::default();
    let width = list.lines.iter().map(|line| line.id.len()).max().unwrap_or_default();
    for line in &list.lines {
        let flow = |name| flows.get(name).copied().unwrap_or(Outcome::NotRun);
        let by_flow = line.flows.iter().map(|name| ("flow", name, flow(name)));
        let test = |name: &str| tests.map_or(Outcome::NotRun, |tests| of_test(name, tests));
        let by_test = line.tests.iter().map(|name| ("test", name, test(name)));
        let proofs: Vec<_> = by_flow.chain(by_test).collect();
        let counts = |kind: &str| kind == "flow" || tests.is_some();
        let failed = proofs.iter().any(|(kind, _, outcome)| {
            counts(kind) && matches!(outcome, Outcome::Failed | Outcome::NotRun)
        });
        let open = line.open.is_some() || proofs.iter().any(|(.., o)| *o == Outcome::Known);
        let (word, counter) = match (failed, open) {
            (true, _) => ("FAILED", &mut count.failed),
            (false, true) => ("open", &mut count.open),
            (false, false) => ("ok", &mut count.held),
        };
        *counter += 1;
        writeln!(out, "{word:6} {:width$}  {}", line.id, line.text)?;
        for (kind, name, outcome) in proofs {
            writeln!(out, "       {:width$}  {kind} {name}: {}", "", outcome.word())?;
        }
        if let Some(reason) = &line.open {
            writeln!(out, "       {:width$}  {reason}", "")?;
        }
    }
    writeln!(out)?;
    let Count { held, open, failed } = count;
    let total = list.lines.len();
    writeln!(out, "checklist: {held} of {total} lines held, {open} open, {failed} failed")?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{label, load_flows};

    const LIST: &str = r#"
        [[line]]
        id = "1"
        text = "media types"
        flows = ["okta/01", "entra/02"]
        tests = ["http::errors::media"]
        [[line]]
        id = "P1"
        text = "names"
        tests = ["http::names"]
        [[line]]
        id = "P18"
        text = "brake"
        open = "not built"
    "#;

    fn printed(flows: &str, tests: Option<&str>) -> (Count, String) {
        let mut out = Vec::new();
        let list = Checklist::parse(LIST).unwrap();
        let tests = tests.map(outcomes);
        let count = print(&mut out, &list, &outcomes(flows), tests.as_ref()).unwrap();
        (count, String::from_utf8(out).unwrap())
    }

    #[test]
    fn lines_hold_when_all_their_proofs_passed() {
        let flows = "ok okta/01\nok entra/02\n";
        let tests = "ok http::errors::media::sqlite\nok http::errors::media::postgres\n\
                     ok http::names\n";
        let (count, text) = printed(flows, Some(tests));
        assert_eq!(count, Count { held: 2, open: 1, failed: 0 });
        assert!(text.contains("ok     1    media types\n"), "{text}");
        assert!(text.contains("flow entra/02: ok\n"), "{text}");
        assert!(text.ends_with("\nchecklist: 2 of 3 lines held, 1 open, 0 failed\n"), "{text}");
    }

    #[test]
    fn failures_and_what_did_not_run_fail_a_line() {
        let good = "ok okta/01\nok entra/02\n";
        for (flows, tests, expected) in [
            (good, None, (2, 0)),
            (good, Some("ok http::errors::media\n"), (1, 1)),
            (good, Some("ok http::errors::media\nok http::names_of\n"), (1, 1)),
            (
                good,
                Some("FAILED http::errors::media::sqlite\nok http::errors::media::postgres\n"),
                (0, 2),
            ),
            ("ok okta/01\nFAILED entra/02 (1 of 2 steps)\n", None, (1, 1)),
            ("ok okta/01\n", None, (1, 1)),
            ("ok okta/01\nskipped entra/02: no server\n", None, (1, 1)),
        ] {
            let (count, text) = printed(flows, tests);
            assert_eq!((count.held, count.failed), expected, "{text}");
        }
    }

    #[test]
    fn known_failure_leaves_a_line_open() {
        let (count, text) =
            printed("ok okta/01\nfailed as expected entra/02 (1 of 2 steps)\n", None);
        assert_eq!(count, Count { held: 1, open: 2, failed: 0 }, "{text}");
    }

    #[test]
    fn mistakes_are_named() {
        let line = |id: &str, rest: &str| format!("[[line]]\nid = \"{id}\"\ntext = \"\"\n{rest}\n");
        let shown = line("1", "flows = [\"a/b\"]");
        for (text, expected) in [
            (line("1", ""), "line 1 has no flow, no test and no reason"),
            (line("1", "open = \"x\"\ntests = [\"a\"]"), "line 1 is shown and open at once"),
            (format!("{shown}{shown}"), "line 1 is there twice"),
        ] {
            assert_eq!(Checklist::parse(&text).err().as_deref(), Some(expected));
        }
        assert!(Checklist::parse(&line("1", "flow = []")).is_err());
    }

    #[test]
    fn test_filter_names_each_test_on_each_database() {
        let filter = Checklist::parse(LIST).unwrap().test_filter();
        assert_eq!(filter, "test(/^(http::errors::media|http::names)(::sqlite|::postgres)?$/)");
    }

    #[test]
    fn shipped_list_has_every_line_and_names_flows_that_are_there() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("idp");
        let text = std::fs::read_to_string(folder.join("checklist.toml")).unwrap();
        let list = Checklist::parse(&text).unwrap();
        let ids: Vec<_> = list.lines.iter().map(|line| line.id.clone()).collect();
        let always = (1..=22).map(|number| number.to_string());
        let profiles = (1..=18).map(|number| format!("P{number}"));
        let conflicts = (1..=6).map(|number| format!("C{number}"));
        assert_eq!(ids, always.chain(profiles).chain(conflicts).collect::<Vec<_>>());
        let flows: BTreeSet<_> =
            load_flows(&folder).unwrap().iter().map(|(path, _)| label(path)).collect();
        for name in list.flows() {
            assert!(flows.contains(name), "`{name}` is no flow");
        }
    }
}
