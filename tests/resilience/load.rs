//! Writers that record every answer: users are created, changed by PATCH and PUT, deactivated and
//! deleted, join and leave a group that all writers change, and groups come and go with their members.
//! A writer changes only its own users, so it knows what each must look like.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::model::{Facts, Model, Person, Team};
use crate::support::{Answer, Client, group, patch, user};
use crate::world::Tenant;

/// How long a scenario waits for writes before it gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pause after a write that was not acknowledged, as a client would make one.
const PAUSE: Duration = Duration::from_millis(10);

/// What happened so far, for the scenario to wait on.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Writes that were acknowledged.
    pub done: u64,
    /// Answers 503.
    pub refused: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// The longest time that an answer took.
    pub slowest: Duration,
}

type Progress = Arc<(Mutex<Counts>, Condvar)>;

/// What a writer knows, the versions of the shared group that it was told it made, and answers that must
/// not be.
type Ended = (Model, Vec<u64>, Vec<String>);

/// Writers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    progress: Progress,
    writers: Vec<JoinHandle<Ended>>,
}

/// What all writers know after their end.
pub struct Written {
    pub models: Vec<Model>,
    /// Answers that must not be.
    pub problems: Vec<String>,
    pub counts: Counts,
}

impl Written {
    pub fn summary(&self) -> String {
        let Counts { done, refused, unanswered, slowest } = &self.counts;
        format!(
            "{done} writes acknowledged, {refused} answered 503, {unanswered} not answered; the \
             slowest answer took {} ms",
            slowest.as_millis()
        )
    }
}

impl Load {
    /// Starts that many writers; each writes through the next of the servers.
    pub fn start(tenant: &Tenant, urls: &[&str], writers: usize) -> Self {
        let shared = tenant.scim(urls[0]).post("/Groups", group("Everybody", &[])).expect(201);
        let shared = Team {
            name: "Everybody".into(),
            id: Some(shared.id()),
            may_be: vec![true],
            changes: 0,
            maybe: 0,
            is_unsure: false,
        };
        let (stop, progress) = (Arc::new(AtomicBool::new(false)), Progress::default());
        let writers = (0..writers).map(|number| {
            let wire = Wire {
                scim: tenant.scim(urls[number % urls.len()]),
                progress: Arc::clone(&progress),
                problems: Vec::new(),
            };
            let (model, shared_versions) = (Model::of(&shared), Vec::new());
            let mut writer = Writer { number, turn: 0, wire, model, shared_versions };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    writer.step();
                }
                (writer.model, writer.shared_versions, writer.wire.problems)
            })
        });
        let writers = writers.collect();
        Self { stop, progress, writers }
    }

    /// Waits until that many more writes are acknowledged.
    #[track_caller]
    pub fn wait_done(&self, more: u64) {
        self.wait(more, "acknowledged", |counts| counts.done);
    }

    /// Waits until that many more writes are answered with 503.
    #[track_caller]
    pub fn wait_refused(&self, more: u64) {
        self.wait(more, "answered with 503", |counts| counts.refused);
    }

    #[track_caller]
    fn wait(&self, more: u64, what: &str, of: impl Fn(&Counts) -> u64) {
        let counts = self.progress.0.lock().expect("no writer panics");
        let wanted = of(&counts) + more;
        let (counts, late) = self
            .progress
            .1
            .wait_timeout_while(counts, PATIENCE, |counts| of(counts) < wanted)
            .expect("no writer panics");
        assert!(!late.timed_out(), "{wanted} writes were to be {what}: {counts:?}");
    }

    /// Stops the writers and gathers what they know.
    pub fn end(self) -> Written {
        self.stop.store(true, Ordering::SeqCst);
        let (mut models, mut problems, mut versions) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (number, writer) in self.writers.into_iter().enumerate() {
            let (model, own, wrong) = writer.join().expect("no writer panics");
            models.push(model);
            problems.extend(wrong);
            for version in own {
                if let Some(other) = versions.insert(version, number) {
                    problems.push(format!(
                        "writers {other} and {number} were both told that they made version \
                         {version} of the shared group"
                    ));
                }
            }
        }
        let counts = self.progress.0.lock().expect("no writer panics").clone();
        Written { models, problems, counts }
    }
}

/// What became of a write.
enum Outcome {
    Done(Answer),
    /// It may have been done or not.
    Unknown,
}

struct Wire {
    scim: Client,
    progress: Progress,
    problems: Vec<String>,
}

impl Wire {
    fn write(&mut self, method: &str, path: &str, body: Option<Value>, wanted: u16) -> Outcome {
        let since = Instant::now();
        let answer = self.scim.try_send(method, path, &[], body.map(|body| body.to_string()));
        let took = since.elapsed();
        let mut counts = self.progress.0.lock().expect("no writer panics");
        if answer.is_some() {
            counts.slowest = counts.slowest.max(took);
        }
        match &answer {
            Some(answer) if answer.status == wanted => counts.done += 1,
            Some(answer) if answer.status == 503 => counts.refused += 1,
            Some(_) => {}
            None => counts.unanswered += 1,
        }
        drop(counts);
        self.progress.1.notify_all();
        match answer {
            Some(answer) if answer.status == wanted => return Outcome::Done(answer),
            Some(answer) => self.problems.extend(complaint(&answer, method, path)),
            None => {}
        }
        std::thread::sleep(PAUSE);
        Outcome::Unknown
    }

    fn problem(&mut self, what: String) {
        self.problems.push(what);
    }
}

/// What is wrong with an answer that is no success.
fn complaint(answer: &Answer, method: &str, path: &str) -> Option<String> {
    let seconds = answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    let is_error = answer.body["schemas"][0] == "urn:ietf:params:scim:api:messages:2.0:Error"
        && answer.body["detail"].as_str().is_some_and(|detail| detail.ends_with('.'));
    match (answer.status, seconds, is_error) {
        (503, Some(1..), true) => None,
        (503, ..) => Some(format!("{method} {path}: 503 without Retry-After or body: {answer:?}")),
        (status, ..) => Some(format!("{method} {path}: {status} {}", answer.text)),
    }
}

/// The number of an entity tag: 3 of `W/"3"` and of `W/"3-60b1c2d8332a"`.
fn version(answer: &Answer) -> Option<u64> {
    let tag = answer.header("etag")?.strip_prefix("W/\"")?;
    tag.trim_end_matches('"').split('-').next()?.parse().ok()
}

struct Writer {
    number: usize,
    turn: usize,
    wire: Wire,
    model: Model,
    /// Versions of the shared group that this writer was told it made.
    shared_versions: Vec<u64>,
}

impl Writer {
    fn step(&mut self) {
        self.turn += 1;
        match self.turn % 13 {
            0 | 3 | 6 | 9 => self.create(),
            1 | 5 => self.retitle(),
            2 => self.replace(),
            4 | 8 => self.join(),
            7 => self.leave(),
            10 => self.look(),
            11 if self.turn.is_multiple_of(2) => self.team_delete(),
            11 => self.team_create(),
            _ => self.delete(),
        }
    }

    fn create(&mut self) {
        let user_name = format!("w{}-{}@example.com", self.number, self.turn);
        let facts = Facts { title: format!("t{}", self.turn), active: true };
        let person = |id, may_be, version, is_unsure| Person {
            user_name: user_name.clone(),
            id,
            may_be,
            version,
            is_unsure,
        };
        let made = match self.wire.write("POST", "/Users", Some(body(&user_name, &facts)), 201) {
            Outcome::Done(answer) => person(Some(answer.id()), vec![Some(facts)], 1, false),
            Outcome::Unknown => person(None, vec![None, Some(facts)], 0, true),
        };
        self.model.people.push(made);
    }

    fn retitle(&mut self) {
        let Some(person) = self.model.person(self.turn, |_| true) else { return };
        let Some((id, old)) = self.model.people[person].sure() else { return };
        let new = Facts { title: format!("t{}", self.turn), active: old.active };
        let operations = json!([{"op": "replace", "path": "title", "value": new.title}]);
        let path = format!("/Users/{id}");
        let outcome = self.wire.write("PATCH", &path, Some(patch(operations)), 200);
        self.changed(person, new, outcome);
    }

    /// Also takes the access away, or gives it back.
    fn replace(&mut self) {
        let Some(person) = self.model.person(self.turn / 2, |_| true) else { return };
        let Some((id, old)) = self.model.people[person].sure() else { return };
        let new = Facts { title: format!("t{}", self.turn), active: !old.active };
        let (path, body) =
            (format!("/Users/{id}"), body(&self.model.people[person].user_name, &new));
        let outcome = self.wire.write("PUT", &path, Some(body), 200);
        self.changed(person, new, outcome);
    }

    fn changed(&mut self, person: usize, new: Facts, outcome: Outcome) {
        let person = &mut self.model.people[person];
        match outcome {
            Outcome::Done(answer) => {
                let expected = person.version + 1;
                if version(&answer) != Some(expected) {
                    let tag = answer.header("etag");
                    self.wire.problem(format!("{}: {tag:?}, not {expected}", person.user_name));
                }
                person.version = expected;
                person.may_be = vec![Some(new)];
            }
            Outcome::Unknown => {
                person.may_be.push(Some(new));
                person.is_unsure = true;
            }
        }
    }

    fn delete(&mut self) {
        if self.model.people.len() < 8 {
            return;
        }
        let Some(person) = self.model.person(self.turn / 3, |_| true) else { return };
        let Some((id, _)) = self.model.people[person].sure() else { return };
        let path = format!("/Users/{id}");
        let outcome = self.wire.write("DELETE", &path, None, 204);
        let done = matches!(outcome, Outcome::Done(_));
        for team in self.model.teams_of(person) {
            if done {
                self.model.members.insert((team, person), vec![false]);
                self.model.teams[team].changes += 1;
            } else {
                self.model.teams[team].maybe += 1;
            }
        }
        let person = &mut self.model.people[person];
        if done {
            person.may_be = vec![None];
        } else {
            person.may_be.push(None);
            person.is_unsure = true;
        }
    }

    fn join(&mut self) {
        let free = |person| !self.model.is_member(0, person);
        let Some(person) = self.model.person(self.turn, free) else { return };
        let Some((id, _)) = self.model.people[person].sure() else { return };
        let operations = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        self.move_member(person, operations, true);
    }

    fn leave(&mut self) {
        let member = |person| self.model.is_member(0, person);
        let Some(person) = self.model.person(self.turn, member) else { return };
        let Some((id, _)) = self.model.people[person].sure() else { return };
        let path = format!("members[value eq \"{id}\"]");
        self.move_member(person, json!([{"op": "remove", "path": path}]), false);
    }

    fn move_member(&mut self, person: usize, operations: Value, inside: bool) {
        let id = self.model.teams[0].id.as_deref().unwrap_or_default();
        let path = format!("/Groups/{id}?excludedAttributes=members");
        match self.wire.write("PATCH", &path, Some(patch(operations)), 200) {
            Outcome::Done(answer) => {
                self.model.members.insert((0, person), vec![inside]);
                self.model.teams[0].changes += 1;
                match version(&answer) {
                    Some(version) => self.shared_versions.push(version),
                    None => self.wire.problem(format!("{path}: a PATCH without a version")),
                }
            }
            Outcome::Unknown => {
                self.model.members.insert((0, person), vec![!inside, inside]);
                self.model.teams[0].maybe += 1;
                self.model.people[person].is_unsure = true;
            }
        }
    }

    /// A group with three members: all of it or nothing.
    fn team_create(&mut self) {
        let of = |n| self.model.person(self.turn + n, |_| true);
        let mut people: Vec<usize> = (0..3).filter_map(of).collect();
        people.dedup();
        let ids: Vec<&str> =
            people.iter().filter_map(|p| Some(self.model.people[*p].sure()?.0)).collect();
        let name = format!("Team {}-{}", self.number, self.turn);
        let body = group(&name, &ids);
        let mut team =
            Team { name, id: None, may_be: vec![true], changes: 0, maybe: 0, is_unsure: false };
        match self.wire.write("POST", "/Groups", Some(body), 201) {
            Outcome::Done(answer) => team.id = Some(answer.id()),
            Outcome::Unknown => {
                team.may_be = vec![false, true];
                team.is_unsure = true;
                // Whoever may be in it is left alone: deleting one would change it.
                people.iter().for_each(|p| self.model.people[*p].is_unsure = true);
            }
        }
        let number = self.model.teams.len();
        self.model.members.extend(people.into_iter().map(|person| ((number, person), vec![true])));
        self.model.teams.push(team);
    }

    fn team_delete(&mut self) {
        let Some(number) = self.model.own_team() else { return };
        let Some(id) = self.model.teams[number].sure() else { return };
        let path = format!("/Groups/{id}");
        let outcome = self.wire.write("DELETE", &path, None, 204);
        let gone = matches!(outcome, Outcome::Done(_));
        let team = &mut self.model.teams[number];
        team.may_be = if gone { vec![false] } else { vec![true, false] };
        team.is_unsure = !gone;
        for person in 0..self.model.people.len() {
            if self.model.is_member(number, person) {
                if gone {
                    self.model.members.insert((number, person), vec![false]);
                } else {
                    self.model.people[person].is_unsure = true;
                }
            }
        }
    }

    /// A reader sees what it wrote.
    fn look(&mut self) {
        let Some(person) = self.model.person(self.turn * 5, |_| true) else { return };
        let Some((id, facts)) = self.model.people[person].sure() else { return };
        let path = format!("/Users/{id}");
        let Some(answer) = self.wire.scim.try_get(&path) else { return };
        if answer.status == 200 && answer.body["title"] != *facts.title {
            let title = &answer.body["title"];
            self.wire.problems.push(format!("{path}: read {title} after {facts:?} was stored"));
        } else if answer.status != 200 {
            self.wire.problems.extend(complaint(&answer, "GET", &path));
        }
    }
}

fn body(user_name: &str, facts: &Facts) -> Value {
    let mut body = user(user_name);
    body["title"] = facts.title.clone().into();
    body["active"] = facts.active.into();
    body["externalId"] = format!("x-{user_name}").into();
    body
}
