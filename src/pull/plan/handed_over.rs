//! Accounts and groups that another directory has handed over. The source knows them by ids of its own, so
//! they are recognised by name, once: what it lists under the name of one of them is that one.

use std::collections::HashMap;

use super::{Kind, Known, Record, Source, Stored};

impl Stored {
    /// Adds one that was handed over.
    pub fn add_handed_over(&mut self, known: Known) {
        let key = known.key;
        if !self.by_key.contains_key(&key) {
            self.add(known);
        }
        self.handed_over.extend(self.by_key.get(&key));
    }

    pub fn has_handed_over(&self) -> bool {
        !self.handed_over.is_empty()
    }

    /// The same with the source's ids. Whom it lists under the id of before is that one; of two who have one
    /// name nobody can tell which is meant.
    pub fn recognising(&self, source: &Source) -> Self {
        let mut listed: HashMap<(Kind, &str), Option<&Record>> = HashMap::new();
        for record in &source.records {
            let one = listed.entry((record.kind, &record.name));
            one.and_modify(|one| *one = None).or_insert(Some(record));
        }
        let mut meant: HashMap<(Kind, &str), Option<usize>> = HashMap::new();
        for place in &self.handed_over {
            let Some(known) = self.things.get(*place) else { continue };
            if !source.speaks_of(known.kind, &known.source_id) {
                let one = meant.entry((known.kind, &known.name));
                one.and_modify(|one| *one = None).or_insert(Some(*place));
            }
        }
        let mut recognised = self.clone();
        for (name, place) in meant {
            let (Some(Some(record)), Some(place)) = (listed.get(&name), place) else { continue };
            if self.get(record.kind, &record.source_id).is_none() {
                recognised.is_named(place, &record.source_id);
            }
        }
        recognised
    }

    fn is_named(&mut self, place: usize, source_id: &str) {
        let Some(known) = self.things.get_mut(place) else { return };
        let before = std::mem::replace(&mut known.source_id, source_id.to_owned());
        let kind = known.kind;
        if self.by_source.get(kind, &before) == Some(place) {
            self.by_source.remove(kind, &before);
        }
        self.by_source.insert(kind, source_id.to_owned(), place);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Extent, Groups, Rules, plan};
    use super::*;
    use crate::pull::{Absence, Members};

    fn known(key: i64, source_id: &str, name: &str) -> Known {
        Known {
            key,
            id: format!("directory_user_{key}"),
            kind: Kind::Account,
            source_id: source_id.to_owned(),
            name: name.to_owned(),
            active: true,
            version: 1,
            digest: None,
        }
    }

    fn record(source_id: &str, name: &str) -> Record {
        Record {
            kind: Kind::Account,
            source_id: source_id.to_owned(),
            name: name.to_owned(),
            active: true,
            digest: "d".to_owned(),
            attributes: Some("{}".into()),
            manager: None,
            members: Members::All,
            place: String::new(),
            usual_name: None,
            is_partial: false,
            id: None,
            manager_id: None,
        }
    }

    fn rules() -> Rules {
        Rules {
            extent: Extent::Everything,
            absence: Absence::IsRemoval,
            group_scope: None,
            groups: Groups::Synced,
        }
    }

    fn of(all: &[(&str, &str)]) -> Source {
        let mut source = Source::default();
        for (id, name) in all {
            source.put(record(id, name));
            source.listed += 1;
        }
        source
    }

    #[test]
    fn who_has_the_name_is_recognised_and_nobody_else_is() {
        let mut stored = Stored::default();
        stored.add(known(1, "own", "own@example.com"));
        stored.add_handed_over(known(2, "okta-2", "ada@example.com"));
        stored.add_handed_over(known(3, "", "bob@example.com"));
        let source = of(&[
            ("own", "own@example.com"),
            ("s-2", "ada@example.com"),
            ("s-3", "bob@example.com"),
            ("s-4", "new@example.com"),
        ]);
        let stored = stored.recognising(&source);
        let plan = plan(source, &stored, &rules());
        let mut updated: Vec<(i64, &str)> = plan
            .updates
            .iter()
            .map(|update| (update.known.key, update.record.source_id.as_str()))
            .collect();
        updated.sort_unstable();
        assert_eq!(updated, [(1, "own"), (2, "s-2"), (3, "s-3")]);
        assert_eq!(plan.creates.len(), 1);
        assert!(plan.removals.is_empty(), "{:?}", plan.removals);
    }

    #[test]
    fn one_whom_the_source_lists_under_the_id_of_before_leaves_the_name_to_others() {
        let mut stored = Stored::default();
        stored.add_handed_over(known(2, "s-2", "ada@example.com"));
        let source = of(&[("s-2", "ada.lane@example.com"), ("s-9", "ada@example.com")]);
        let stored = stored.recognising(&source);
        assert_eq!(stored.get(Kind::Account, "s-2").map(|known| known.key), Some(2));
        assert!(stored.get(Kind::Account, "s-9").is_none());
    }

    #[test]
    fn of_two_with_one_name_nobody_is_taken() {
        let mut stored = Stored::default();
        stored.add_handed_over(known(2, "old", "ada@example.com"));
        let source = of(&[("s-1", "ada@example.com"), ("s-2", "ada@example.com")]);
        let stored = stored.recognising(&source);
        assert!(stored.get(Kind::Account, "s-1").is_none());
        assert!(stored.get(Kind::Account, "s-2").is_none());
    }
}
