//! The list of flows that are known to fail: one `provider/file # reason` per line.

use std::collections::BTreeMap;

/// Labels of flows that may fail, each with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    reasons: BTreeMap<String, String>,
}

impl AllowList {
    /// Reads the list. Empty lines and lines that start with `#` are skipped; a flow without a
    /// reason, or named twice, is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reasons = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (label, reason) = line.split_once('#').unwrap_or((line, ""));
            let (label, reason) = (label.trim(), reason.trim());
            if label.is_empty() {
                continue;
            }
            if reason.is_empty() {
                return Err(format!("line {number}: `{label}` needs a reason after `#`"));
            }
            let label = label.strip_suffix(".json").unwrap_or(label).to_owned();
            if reasons.insert(label.clone(), reason.to_owned()).is_some() {
                return Err(format!("line {number}: `{label}` is listed twice"));
            }
        }
        Ok(Self { reasons })
    }

    /// Why this flow may fail; `None` when it must pass.
    pub fn reason(&self, label: &str) -> Option<&str> {
        self.reasons.get(label).map(String::as_str)
    }

    /// The flows of the list.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.reasons.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_labels_with_reasons() {
        let list = AllowList::parse(
            "# known gaps\n\nokta/01_probe.json  # needs paging # twice\nentra/02_x # y\n",
        )
        .unwrap();
        assert_eq!(list.reason("okta/01_probe"), Some("needs paging # twice"));
        assert_eq!(list.reason("entra/02_x"), Some("y"));
        assert_eq!(list.reason("okta/02"), None);
        assert_eq!(list.labels().collect::<Vec<_>>(), ["entra/02_x", "okta/01_probe"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("a/b", "line 1: `a/b` needs a reason after `#`"),
            ("\na/b # ", "line 2: `a/b` needs a reason after `#`"),
            ("a/b # x\na/b.json # y", "line 2: `a/b` is listed twice"),
        ] {
            assert_eq!(AllowList::parse(text), Err(expected.to_owned()));
        }
        assert_eq!(AllowList::parse(""), Ok(AllowList::default()));
    }
}
