//! `pull.csv`: files of users and memberships, handed in over the API or laid into a folder.
//!
//! A file is good or bad as a whole: beyond `max_errors` nothing of it is applied, and every fault has the
//! line that it stands in.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::csv_columns::{Target, pieces};
use super::csv_table::{Form, Table};
use crate::outbound::Outbound;
use crate::pull::field::{Field, Shape};
use crate::pull::{
    Absence, AccountState, Action, Capabilities, Connector, Envelope, Fault, Faults, Finished,
    GroupsGiven, Kind, Probe, Sink, SourceError, SourceKind, Surroundings,
};
use crate::scim::Object;
use crate::scim::key::text_key;

pub(super) static KIND: SourceKind = SourceKind {
    name: "pull.csv",
    title: "CSV files",
    description: "Reads a file of users, and a file of memberships if there is one.",
    fields: FIELDS,
    files: &[USERS, MEMBERSHIPS],
    every_minutes: None,
    check,
    open,
};

const USERS: &str = "users";
const MEMBERSHIPS: &str = "memberships";

const FIELDS: &[Field] = &[
    Field::optional(
        "key",
        Shape::Word(&["externalId", "userName", "email"]),
        "\"externalId\"",
        "Which column says who somebody is, from one file to the next. Whoever has another key is \
         somebody else. The letter case of a userName or an email does not matter.",
    ),
    Field::optional(
        "mode",
        Shape::Word(&["snapshot", "upsert", "action"]),
        "\"snapshot\"",
        "Whether a file lists everybody (who is missing goes), only who is new or changed, or says in \
         a column \"action\" what is to be done: upsert, deactivate or delete.",
    ),
    Field::optional(
        "columns",
        Shape::Texts,
        "",
        "What columns are, where their names do not say it: {\"Mail\": \"emails[type eq \\\"work\\\"].value\", \
         \"Notes\": \"ignore\"}.",
    ),
    Field::optional(
        "encoding",
        Shape::Word(&["auto", "utf-8", "utf-16le", "utf-16be", "windows-1252"]),
        "\"auto\"",
        "How the file is encoded, where it does not say so itself.",
    ),
    Field::optional(
        "delimiter",
        Shape::Word(&["auto", "comma", "semicolon", "tab", "pipe"]),
        "\"auto\"",
        "What stands between cells. It is found in the header line.",
    ),
    Field::optional(
        "list_separator",
        Shape::Text,
        "\";\"",
        "What stands between several values in one cell, such as groups.",
    ),
    Field::optional(
        "max_errors",
        Shape::Number(0, 10_000),
        "0",
        "How many rows may be faulty before nothing of the file is applied. Nobody counts as missing \
         as long as any row is faulty.",
    ),
    Field::optional(
        "watch",
        Shape::Switch,
        "false",
        "Takes users.csv and memberships.csv from the folder inbox/<directory id> in the data folder.",
    )
    .operator_only(),
];

fn text<'c>(config: &'c Object, name: &str) -> &'c str {
    config.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn check(config: &Object, _: &Outbound) -> Result<(), (String, String)> {
    let columns = config.get("columns").and_then(Value::as_object);
    for (header, target) in columns.into_iter().flatten() {
        Target::parse(target.as_str().unwrap_or_default())
            .map_err(|message| (format!("columns.{header}"), format!("{message}.")))?;
    }
    Ok(())
}

fn open(config: &Object, surroundings: Surroundings) -> Result<Box<dyn Connector>, SourceError> {
    let mut columns = HashMap::new();
    for (header, target) in config.get("columns").and_then(Value::as_object).into_iter().flatten() {
        let target = Target::parse(target.as_str().unwrap_or_default());
        columns.insert(header.trim().to_lowercase(), target.map_err(SourceError::failed)?);
    }
    let max_errors = config.get("max_errors").and_then(Value::as_u64).unwrap_or(0);
    Ok(Box::new(Files {
        key: text(config, "key").to_owned(),
        mode: text(config, "mode").to_owned(),
        columns,
        form: Form::of(text(config, "encoding"), text(config, "delimiter")),
        separator: text(config, "list_separator").to_owned(),
        max_errors: usize::try_from(max_errors).unwrap_or(0),
        surroundings,
    }))
}

struct Files {
    key: String,
    mode: String,
    /// Headers in lower case.
    columns: HashMap<String, Target>,
    form: Form,
    separator: String,
    max_errors: usize,
    surroundings: Surroundings,
}

/// A file of users with the meaning of its columns.
struct Users {
    table: Table,
    targets: Vec<Target>,
}

/// What a row says of its user beside the attributes.
enum Said {
    Nothing,
    State(AccountState),
    Deleted,
}

impl Users {
    /// The cells of a row with their headers and meanings.
    fn columns<'c>(
        &'c self,
        cells: &'c [String],
    ) -> impl Iterator<Item = (&'c String, &'c Target, &'c String)> {
        let columns = self.table.headers.iter().zip(&self.targets).zip(cells);
        columns.map(|((header, target), cell)| (header, target, cell))
    }

    fn cell<'c>(
        &'c self,
        cells: &'c [String],
        wanted: &dyn Fn(&Target) -> bool,
    ) -> Option<&'c str> {
        let found = self.columns(cells).find(|(_, target, _)| wanted(target));
        found.map(|(_, _, cell)| cell.as_str())
    }

    /// The row as it is, for filters.
    fn payload(&self, cells: &[String]) -> Object {
        let named = self.columns(cells).filter(|(header, _, _)| !header.is_empty());
        named.map(|(header, _, cell)| (header.clone(), cell.clone().into())).collect()
    }

    fn groups<'c>(&'c self, cells: &'c [String]) -> &'c str {
        self.cell(cells, &|target| *target == Target::Groups).unwrap_or_default()
    }

    /// What the row says by its state, or the word that is none.
    fn state(&self, cells: &[String]) -> Result<Said, String> {
        match self.cell(cells, &|target| *target == Target::Active) {
            None | Some("") => Ok(Said::Nothing),
            Some(word) => state(word).map(Said::State),
        }
    }

    /// What it says by its action, and by its state where the action leaves that open; or the word that is
    /// neither.
    fn said(&self, cells: &[String]) -> Result<Said, String> {
        let mut action = self
            .cell(cells, &|target| *target == Target::Action)
            .unwrap_or_default()
            .to_lowercase();
        action.retain(|c| !c.is_whitespace());
        match action.as_str() {
            "" | "upsert" | "add" | "create" | "update" => self.state(cells),
            "deactivate" | "disable" => Ok(Said::State(AccountState::Inactive)),
            "suspend" => Ok(Said::State(AccountState::Suspended)),
            "delete" | "remove" => Ok(Said::Deleted),
            other => Err(format!(
                "the action is \"{other}\"; allowed are upsert, deactivate and delete."
            )),
        }
    }
}

/// Groups by their names or ids, with the keys of their members.
#[derive(Default)]
struct Edges {
    groups: BTreeMap<String, Option<String>>,
    edges: Vec<(String, String)>,
    /// Those that are stored and that a row has no more.
    left: Vec<(String, String)>,
}

impl Connector for Files {
    fn capabilities(&self) -> Capabilities {
        let is_snapshot = self.mode == "snapshot";
        Capabilities {
            incremental: false,
            whole_accounts: false,
            absence: if is_snapshot { Absence::IsRemoval } else { Absence::IsNothing },
            faults: Faults::Refuse { beyond: self.max_errors },
        }
    }

    fn probe(&mut self) -> Result<Probe, SourceError> {
        let users = self.users()?;
        let beside: Vec<&str> = users
            .table
            .headers
            .iter()
            .zip(&users.targets)
            .filter(|(_, target)| **target == Target::Beside)
            .map(|(header, _)| header.as_str())
            .collect();
        let mut warnings = Vec::new();
        if !beside.is_empty() {
            let names = beside.join(", ");
            warnings.push(format!("Columns that are kept under their own names: {names}."));
        }
        let count = |rows: usize| u64::try_from(rows).ok();
        let groups = match self.table(MEMBERSHIPS)? {
            Some(table) => count(self.edges(&table, &mut |_| Ok(()))?.groups.len()),
            None => None,
        };
        Ok(Probe { users: count(users.table.len), groups, warnings })
    }

    fn full(&mut self, sink: &mut dyn Sink) -> Result<Finished, SourceError> {
        let users = self.users()?;
        let memberships = self.table(MEMBERSHIPS)?;
        let has_column = users.targets.contains(&Target::Groups);
        let is_snapshot = self.mode == "snapshot";
        let mut edges = Edges::default();
        let mut keys: HashMap<String, u64> = HashMap::new();
        for (index, row) in users.table.rows().enumerate() {
            if index % 1_000 == 0 {
                self.surroundings.term.check()?;
            }
            let place = format!("line {} of {USERS}", row.line);
            let read = row
                .cells
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|cells| self.account(&users, cells))
                .and_then(|envelope| match keys.insert(envelope.resource.clone(), row.line) {
                    None => Ok(envelope),
                    Some(line) => {
                        Err(format!("the key \"{}\" is also in line {line}.", envelope.resource))
                    }
                });
            match read {
                Ok(envelope) => {
                    if envelope.action == Action::Upsert {
                        let member = &envelope.resource;
                        let groups = users.groups(row.cells.as_deref().unwrap_or_default());
                        let groups: Vec<&str> = pieces(groups, &self.separator).collect();
                        edges.join(member, &groups);
                        // Of a list of everybody, the memberships that it lacks are missing like its users.
                        if has_column && !is_snapshot {
                            edges.leave(member, &groups, sink.groups_of(member));
                        }
                    }
                    sink.put(envelope.at(place))?;
                }
                Err(message) => {
                    let ended = row.cells.as_ref().ok().and_then(|cells| self.ended(&users, cells));
                    let is_meant = |ended: &Envelope| {
                        !keys.contains_key(&ended.resource)
                            && sink.is_stored(Kind::Account, &ended.resource)
                    };
                    if let Some(ended) = ended.filter(is_meant) {
                        sink.put(ended.at(place.clone()))?;
                    }
                    sink.fault(Fault { kind: Kind::Account, place, message })?;
                }
            }
        }
        if let Some(table) = &memberships {
            let more = self.edges(table, &mut |fault| sink.fault(fault))?;
            edges.groups.extend(more.groups);
            edges.edges.extend(more.edges);
        }
        for (group, name) in &edges.groups {
            // What a file does not name keeps the name that it has.
            let name = name.clone().or_else(|| sink.group_name(group));
            let attributes = object(json!({"displayName": name.as_ref().unwrap_or(group)}));
            sink.put(Envelope::group(group.clone(), attributes.clone(), attributes))?;
        }
        let membership = |(group, member): (String, String)| {
            let payload = object(json!({"group": group, "member": member}));
            Envelope::membership(group, member, payload)
        };
        for left in edges.left {
            sink.put(Envelope { action: Action::Delete, ..membership(left) })?;
        }
        for edge in edges.edges {
            sink.put(membership(edge))?;
        }
        let is_given = has_column || memberships.is_some();
        let groups = if is_given { GroupsGiven::Yes } else { GroupsGiven::No };
        Ok(Finished { cursor: None, groups })
    }

    fn incremental(&mut self, _: &str, _: &mut dyn Sink) -> Result<Finished, SourceError> {
        Err(SourceError::CursorLost("a file has no changes".to_owned()))
    }
}

impl Edges {
    /// A row that is good names groups of its user.
    fn join(&mut self, member: &str, named: &[&str]) {
        for group in named {
            self.groups.entry((*group).to_owned()).or_default();
            self.edges.push(((*group).to_owned(), member.to_owned()));
        }
    }

    /// It names all of them.
    fn leave(&mut self, member: &str, named: &[&str], stored: Vec<String>) {
        for group in stored.into_iter().filter(|group| !named.contains(&group.as_str())) {
            self.groups.entry(group.clone()).or_default();
            self.left.push((group, member.to_owned()));
        }
    }
}

impl Files {
    /// Whether a column says who somebody is.
    fn is_key(&self, target: &Target) -> bool {
        match self.key.as_str() {
            "userName" => is_user_name(target),
            "email" => is_email(target),
            _ => *target == Target::ExternalId,
        }
    }

    /// A cell that says who somebody is. Names and addresses are compared like names of users: in another
    /// letter case they are the same.
    fn key_of(&self, cell: &str) -> String {
        match self.key.as_str() {
            "userName" | "email" => text_key(cell, false),
            _ => cell.to_owned(),
        }
    }

    /// The file of that name, if it was handed in.
    fn table(&self, name: &str) -> Result<Option<Table>, SourceError> {
        let Some(bytes) = self.surroundings.files.get(name) else { return Ok(None) };
        let table = Table::read(bytes, self.form);
        table.map(Some).map_err(|error| SourceError::failed(format!("the file {name}: {error}")))
    }

    fn users(&self) -> Result<Users, SourceError> {
        let failed = |message: String| SourceError::failed(format!("the file {USERS}: {message}"));
        let table = self
            .table(USERS)?
            .ok_or_else(|| SourceError::failed("no file of users was handed in yet"))?;
        let target = |header: &String| match self.columns.get(&header.to_lowercase()) {
            Some(target) => target.clone(),
            None => match Target::of_header(header) {
                Target::Action if self.mode != "action" => Target::Beside,
                target => target,
            },
        };
        let targets: Vec<Target> = table.headers.iter().map(target).collect();
        for (index, target) in targets.iter().enumerate().filter(|(_, target)| target.is_single()) {
            if let Some(other) = targets.iter().take(index).position(|other| other == target) {
                let name = |index: usize| table.headers.get(index).map_or("", String::as_str);
                return Err(failed(format!(
                    "the columns \"{}\" and \"{}\" are the same attribute; set \"columns\" so that \
                     one of them is \"ignore\"",
                    name(other),
                    name(index)
                )));
            }
        }
        if !targets.iter().any(|target| self.is_key(target)) {
            return Err(failed(format!(
                "it has no column for the key \"{}\"; {}. Set \"key\" or \"columns\"",
                self.key,
                table.named_columns()
            )));
        }
        if self.mode == "action" && !targets.contains(&Target::Action) {
            return Err(failed("it has no column \"action\", which its mode asks for".to_owned()));
        }
        Ok(Users { table, targets })
    }

    /// A row of users, or what is wrong with it.
    fn account(&self, users: &Users, cells: &[String]) -> Result<Envelope, String> {
        let mut attributes = Object::new();
        for (header, target, cell) in users.columns(cells) {
            let is_number = self.is_key(target)
                || matches!(target, Target::ExternalId | Target::Manager)
                || matches!(target, Target::Enterprise(name) if name == "employeeNumber");
            if is_number {
                whole(header, [cell.as_str()])?;
            }
            if *target == Target::Groups {
                whole(header, pieces(cell, &self.separator))?;
            }
            match target {
                Target::Manager => {
                    target.set(&mut attributes, header, &self.key_of(cell), &self.separator);
                }
                _ => target.set(&mut attributes, header, cell, &self.separator),
            }
        }
        let key = self.key(users, cells)?;
        let said = users.said(cells)?;
        if matches!(said, Said::Deleted) {
            return Ok(Envelope::deleted(Kind::Account, key));
        }
        let (email, user_name) = (users.cell(cells, &is_email), users.cell(cells, &is_user_name));
        // Who has no name of its own has that of the address, or of the key.
        let name = [user_name, email].into_iter().flatten().find(|name| !name.is_empty());
        let name = name.unwrap_or(&key).to_owned();
        // A column that is not there says nothing, not that a name is gone.
        let usual_name = match user_name {
            Some(_) => {
                attributes.insert("userName".to_owned(), name.into());
                None
            }
            None => Some(name),
        };
        let account = Envelope::account(key, users.payload(cells), attributes);
        let account = Envelope { usual_name, ..account };
        Ok(match said {
            Said::State(state) => account.in_state(state),
            Said::Nothing | Said::Deleted => account,
        })
    }

    fn key(&self, users: &Users, cells: &[String]) -> Result<String, String> {
        let key = users.cell(cells, &|target| self.is_key(target));
        let key = self.key_of(key.unwrap_or_default());
        if key.is_empty() {
            return Err(format!("the key \"{}\" is empty.", self.key));
        }
        if key.len() > 512 {
            return Err(format!("the key has {} bytes; at most 512 are allowed.", key.len()));
        }
        Ok(key)
    }

    /// Of a faulty row, that it ends somebody's access: that counts whatever is wrong with the rest.
    fn ended(&self, users: &Users, cells: &[String]) -> Option<Envelope> {
        let key = self.key(users, cells).ok()?;
        // Beside an action that nobody knows the state still says it.
        let said = users.said(cells).or_else(|_| users.state(cells));
        let state = match said.ok()? {
            Said::State(state) if state != AccountState::Active => state,
            Said::Deleted => AccountState::Inactive,
            Said::State(_) | Said::Nothing => return None,
        };
        let usual_name = Some(key.clone());
        let account = Envelope::account(key, users.payload(cells), Object::new());
        Some(Envelope { usual_name, ..account.in_state(state) })
    }

    /// A file of memberships: a row for each, with the group and the key of the member, or the keys of several.
    /// A group may have a name beside.
    fn edges(
        &self,
        table: &Table,
        fault: &mut dyn FnMut(Fault) -> Result<(), SourceError>,
    ) -> Result<Edges, SourceError> {
        let column = |names: &[&str]| {
            table.headers.iter().position(|header| {
                let plain: String = header.chars().filter(|c| c.is_alphanumeric()).collect();
                names.contains(&plain.to_lowercase().as_str())
            })
        };
        let group = column(&["group", "groupid"]);
        let member = column(&["member", "memberid", "user", "userid", "externalid"]);
        let name = column(&["groupname", "displayname", "name"]);
        let (Some(group), Some(member)) = (group, member) else {
            return Err(SourceError::failed(format!(
                "the file {MEMBERSHIPS}: it must have the columns \"group\" and \"member\"; {}",
                table.named_columns()
            )));
        };
        let mut edges = Edges::default();
        for row in table.rows() {
            let place = format!("line {} of {MEMBERSHIPS}", row.line);
            let mut refuse = |message: String| {
                fault(Fault { kind: Kind::Membership, place: place.clone(), message })
            };
            let cells = match &row.cells {
                Ok(cells) => cells,
                Err(message) => {
                    refuse(message.clone())?;
                    continue;
                }
            };
            let cell = |index: usize| cells.get(index).map_or("", String::as_str);
            let header = |index: usize| table.headers.get(index).map_or("", String::as_str);
            let is_whole = whole(header(group), [cell(group)])
                .and_then(|()| whole(header(member), pieces(cell(member), &self.separator)));
            if let Err(message) = is_whole {
                refuse(message)?;
                continue;
            }
            let (group, member) = (cell(group), cell(member));
            if group.is_empty() || group.len() > 512 {
                refuse("the group must have 1 to 512 bytes.".to_owned())?;
                continue;
            }
            let named = name.map(cell).filter(|name| !name.is_empty());
            let known = edges.groups.entry(group.to_owned()).or_default();
            if let Some(named) = named {
                known.get_or_insert_with(|| named.to_owned());
            }
            // A row has one member or several; a group without members has a row without one.
            for member in pieces(member, &self.separator) {
                edges.edges.push((group.to_owned(), self.key_of(member)));
            }
        }
        Ok(edges)
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn is_user_name(target: &Target) -> bool {
    matches!(target, Target::Plain(name) if name == "userName")
}

fn is_email(target: &Target) -> bool {
    matches!(target, Target::Typed(name, kind) if name == "emails" && kind == "work")
}

/// Of cells that may hold numbers, that none is lost.
fn whole<'c>(header: &str, cells: impl IntoIterator<Item = &'c str>) -> Result<(), String> {
    match cells.into_iter().find(|cell| is_shortened(cell)) {
        None => Ok(()),
        Some(cell) => Err(format!(
            "the column \"{header}\" holds {cell}: a spreadsheet has shortened the number, and its digits \
             are lost."
        )),
    }
}

/// `1.23E+05`
fn is_shortened(cell: &str) -> bool {
    let Some((number, exponent)) = cell.split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once([',', '.']).unwrap_or((number, "0"));
    digits(whole) && digits(fraction) && exponent.strip_prefix('+').is_some_and(digits)
}

fn state(word: &str) -> Result<AccountState, String> {
    match word.to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "active" | "enabled" | "employed" => Ok(AccountState::Active),
        "false" | "no" | "n" | "0" | "inactive" | "disabled" | "terminated" | "left" => {
            Ok(AccountState::Inactive)
        }
        "suspended" => Ok(AccountState::Suspended),
        _ => Err(format!(
            "the column of the state holds \"{word}\"; allowed are true, yes, 1, active, enabled and \
             false, no, 0, inactive, disabled, suspended, terminated."
        )),
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
