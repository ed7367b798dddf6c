//! The kinds of requests that a mix is made of, and how one is done.

use std::io;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::connection::Connection;
use crate::measure::Measurements;
use crate::people::{People, member_operation, patch};

/// One kind of request. The last two are conversations of a provider, measured request by request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Operation {
    /// POST of a new user.
    Create,
    /// GET of a user by id.
    Get,
    /// `userName eq`.
    FindUserName,
    /// `emails[type eq "work" and value eq …]`.
    FindEmail,
    /// `externalId eq`.
    FindExternalId,
    /// A page of 100 users.
    List,
    /// A page of 100 users by userName.
    Sort,
    /// The next page of a walk by cursor through all users.
    Cursor,
    /// PUT of a user.
    Put,
    /// PATCH of one attribute of a user.
    PatchUser,
    /// One member into a group, or out of it again.
    PatchMember,
    /// A hundred members into a group, or out of it again.
    PatchMembers,
    /// Ten creates in one bulk request.
    Bulk,
    /// Okta: find, GET, PUT of what was read.
    Okta,
    /// Entra ID: find, then PATCH with capitalised operations and text as booleans.
    Entra,
}

impl Operation {
    /// The name in mixes and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::FindUserName => "find-user-name",
            Self::FindEmail => "find-email",
            Self::FindExternalId => "find-external-id",
            Self::List => "list",
            Self::Sort => "sort",
            Self::Cursor => "cursor",
            Self::Put => "put",
            Self::PatchUser => "patch-user",
            Self::PatchMember => "patch-member",
            Self::PatchMembers => "patch-members",
            Self::Bulk => "bulk",
            Self::Okta => "okta",
            Self::Entra => "entra",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        Self::from_str(name, true).map_err(|_| {
            let known: Vec<&str> =
                Self::value_variants().iter().map(|known| known.name()).collect();
            format!("\"{name}\" is no kind of request; there are {}", known.join(", "))
        })
    }
}

/// A user of the seed.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) number: u64,
    pub(crate) id: String,
}

/// What all workers of a run share.
pub(crate) struct Scene {
    pub(crate) people: People,
    /// Creates take numbers from here on.
    pub(crate) fresh: u64,
    /// Some of the seeded users.
    pub(crate) users: Vec<Known>,
    /// Ids of seeded groups.
    pub(crate) groups: Vec<String>,
}

impl Scene {
    /// For requests that need nothing of the seed. The numbers of new users are ones that no run
    /// before has used, as good as certainly.
    pub(crate) fn of_nobody(people: People) -> Self {
        let fresh = fastrand::u64(1 << 40..1 << 62);
        Self { people, fresh, users: Vec::new(), groups: Vec::new() }
    }
}

/// One client: a connection and where it stands.
pub(crate) struct Worker<'s> {
    scene: &'s Scene,
    connection: Connection,
    random: fastrand::Rng,
    pub(crate) measurements: Measurements,
    /// The next number of a user to create; workers take every `step`th.
    next: u64,
    step: u64,
    cursor: Option<String>,
    /// Whether the next change of members adds or removes, so that groups keep their size.
    adds: bool,
    /// Which seeded user goes in and out of groups: one of the worker's own.
    member: usize,
    group: usize,
    /// When the request at hand should have been sent; `None` counts from when it is.
    due: Option<Instant>,
}

impl<'s> Worker<'s> {
    pub(crate) fn new(
        scene: &'s Scene,
        connection: Connection,
        index: u64,
        of: u64,
        seed: u64,
    ) -> Self {
        let index_usize = usize::try_from(index).unwrap_or_default();
        Self {
            scene,
            connection,
            random: fastrand::Rng::with_seed(seed ^ (index << 32)),
            measurements: Measurements::default(),
            next: scene.fresh + index,
            step: of,
            cursor: None,
            adds: true,
            member: index_usize,
            group: index_usize,
            due: None,
        }
    }

    /// Does one operation. `due` is when an open loop wanted it to begin: waiting counts.
    pub(crate) fn perform(&mut self, operation: Operation, due: Option<Instant>) {
        self.due = due;
        match operation {
            Operation::Create => self.create(),
            Operation::Get => self.get(),
            Operation::FindUserName => {
                let Some(user) = self.user() else { return };
                let name = self.scene.people.user_name(user.number);
                self.find("find-user-name", &format!("userName eq \"{name}\""));
            }
            Operation::FindEmail => {
                let Some(user) = self.user() else { return };
                let email = self.scene.people.email(user.number);
                let filter = format!("emails[type eq \"work\" and value eq \"{email}\"]");
                self.find("find-email", &filter);
            }
            Operation::FindExternalId => {
                let Some(user) = self.user() else { return };
                let id = self.scene.people.external_id(user.number);
                self.find("find-external-id", &format!("externalId eq \"{id}\""));
            }
            Operation::List => self.ignore("list", "GET", "/Users?count=100", None),
            Operation::Sort => {
                self.ignore("sort", "GET", "/Users?sortBy=userName&count=100", None);
            }
            Operation::Cursor => self.cursor(),
            Operation::Put => self.put(),
            Operation::PatchUser => self.patch_user(),
            Operation::PatchMember => self.patch_members("patch-member", 1),
            Operation::PatchMembers => self.patch_members("patch-members", 100),
            Operation::Bulk => self.bulk(),
            Operation::Okta => self.okta(),
            Operation::Entra => self.entra(),
        }
    }

    /// Sends a request and measures it; answers the body of a success.
    fn send(
        &mut self,
        kind: &'static str,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Option<&[u8]> {
        let begun = self.due.take().unwrap_or_else(Instant::now);
        let answer = self.connection.exchange(method, path, body);
        let latency = begun.elapsed();
        match answer {
            Ok(answer) => {
                self.measurements.add(kind, latency, answer.status);
                (200..300).contains(&answer.status).then_some(answer.body)
            }
            Err(_) => {
                self.measurements.add(kind, latency, 0);
                None
            }
        }
    }

    fn ignore(&mut self, kind: &'static str, method: &str, path: &str, body: Option<&str>) {
        self.send(kind, method, path, body.map(str::as_bytes));
    }

    fn user(&mut self) -> Option<&'s Known> {
        let scene = self.scene;
        let index = self.random.usize(..scene.users.len().max(1));
        scene.users.get(index)
    }

    fn create(&mut self) {
        let body = self.scene.people.user(self.take_number());
        self.ignore("create", "POST", "/Users", Some(&body));
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next += self.step;
        number
    }

    fn get(&mut self) {
        let Some(user) = self.user() else { return };
        self.ignore("get", "GET", &format!("/Users/{}", user.id), None);
    }

    fn find(&mut self, kind: &'static str, filter: &str) {
        let path = format!("/Users?filter={}", escape(filter));
        self.ignore(kind, "GET", &path, None);
    }

    fn cursor(&mut self) {
        let path = match &self.cursor {
            Some(cursor) => format!("/Users?count=100&cursor={}", escape(cursor)),
            None => "/Users?count=100&cursor=".to_owned(),
        };
        let body = self.send("cursor", "GET", &path, None).and_then(json);
        self.cursor = body.and_then(|body| Some(body.get("nextCursor")?.as_str()?.to_owned()));
    }

    fn put(&mut self) {
        let Some(user) = self.user() else { return };
        let title = self.random.u32(..);
        let body = self.scene.people.user(user.number);
        let body = body.replace("\"Engineer\"", &format!("\"Engineer {title}\""));
        self.ignore("put", "PUT", &format!("/Users/{}", user.id), Some(&body));
    }

    fn patch_user(&mut self) {
        let Some(user) = self.user() else { return };
        let title = self.random.u32(..);
        let operation = format!(r#"{{"op":"replace","path":"title","value":"Engineer {title}"}}"#);
        let path = format!("/Users/{}", user.id);
        self.ignore("patch-user", "PATCH", &path, Some(&patch(&[operation])));
    }

    /// In and, with the next one, out again: the group keeps its size.
    fn patch_members(&mut self, kind: &'static str, count: usize) {
        let scene = self.scene;
        if self.adds {
            self.group = self.random.usize(..scene.groups.len().max(1));
            self.member = self.random.usize(..scene.users.len().max(1));
        }
        let Some(group) = scene.groups.get(self.group) else { return };
        let ids: Vec<&str> = scene
            .users
            .iter()
            .cycle()
            .skip(self.member)
            .take(count.min(scene.users.len()))
            .map(|user| user.id.as_str())
            .collect();
        let body = patch(&[member_operation(if self.adds { "add" } else { "remove" }, &ids)]);
        self.adds = !self.adds;
        self.ignore(kind, "PATCH", &format!("/Groups/{group}?attributes=id"), Some(&body));
    }

    fn bulk(&mut self) {
        let operations: Vec<String> = (0..10)
            .map(|index| {
                let user = self.scene.people.user(self.take_number());
                format!(r#"{{"method":"POST","path":"/Users","bulkId":"b{index}","data":{user}}}"#)
            })
            .collect();
        let body = format!(
            r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{}]}}"#,
            operations.join(",")
        );
        self.ignore("bulk", "POST", "/Bulk", Some(&body));
    }

    fn okta(&mut self) {
        let Some(user) = self.user() else { return };
        let name = self.scene.people.user_name(user.number);
        let filter = escape(&format!("userName eq \"{name}\""));
        let path = format!("/Users?filter={filter}&startIndex=1&count=100");
        self.ignore("okta: find", "GET", &path, None);
        let path = format!("/Users/{}", user.id);
        let read = self.send("okta: get", "GET", &path, None).map(<[u8]>::to_vec);
        if let Some(body) = read {
            self.send("okta: put", "PUT", &path, Some(&body));
        }
    }

    fn entra(&mut self) {
        let Some(user) = self.user() else { return };
        let external_id = self.scene.people.external_id(user.number);
        let filter = escape(&format!("externalId eq \"{external_id}\""));
        self.ignore("entra: find", "GET", &format!("/Users?filter={filter}"), None);
        let title = self.random.u32(..);
        let body = patch(&[
            format!(r#"{{"op":"Replace","path":"title","value":"Engineer {title}"}}"#),
            r#"{"op":"Replace","path":"active","value":"True"}"#.to_owned(),
        ]);
        self.ignore("entra: patch", "PATCH", &format!("/Users/{}", user.id), Some(&body));
    }
}

/// The ids that a filter finds, outside the measurement.
pub(crate) fn ids_of(
    connection: &mut Connection,
    endpoint: &str,
    filter: &str,
) -> io::Result<Vec<String>> {
    let path = format!("{endpoint}?attributes=id&filter={}", escape(filter));
    let answer = connection.exchange("GET", &path, None)?;
    let status = answer.status;
    let list = json(answer.body)
        .filter(|_| status == 200)
        .ok_or_else(|| io::Error::other(format!("{path} answered {status}")))?;
    let resources = list.get("Resources").and_then(Value::as_array);
    let ids = resources.into_iter().flatten().filter_map(|r| r.get("id")?.as_str());
    Ok(ids.map(str::to_owned).collect())
}

/// The id of a resource that an answer shows.
pub(crate) fn id_of(body: &[u8]) -> Option<String> {
    Some(json(body)?.get("id")?.as_str()?.to_owned())
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// Text as the value of a parameter.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A mix: kinds with their shares.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    shares: Vec<(Operation, u32)>,
    total: u32,
}

impl Mix {
    /// Reads `get=8,find-user-name=2`; a share that is left out is 1.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut shares = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let share = share
                .parse()
                .ok()
                .filter(|share| (1..=1_000_000).contains(share))
                .ok_or_else(|| format!("the share of {name} is no number from 1 to 1000000"))?;
            shares.push((Operation::parse(name)?, share));
        }
        match shares.iter().map(|(_, share)| share).sum() {
            0 => Err("the mix is empty".to_owned()),
            total => Ok(Self { shares, total }),
        }
    }

    pub(crate) fn pick(&self, random: &mut fastrand::Rng) -> Option<Operation> {
        let mut at = random.u32(..self.total);
        self.shares.iter().find_map(|(operation, share)| {
            if at < *share {
                return Some(*operation);
            }
            at -= share;
            None
        })
    }
}

/// When the requests of an open loop are due: `rate` a second over all workers.
pub(crate) fn due(start: Instant, rate: f64, index: u64, step: u64, turn: u64) -> Instant {
    let number = index.saturating_add(step.saturating_mul(turn));
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a point in time")]
    let seconds = number as f64 / rate;
    start + Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_read_and_keeps_its_shares() {
        let mix = Mix::parse("get=3, create").expect("a mix");
        let mut random = fastrand::Rng::with_seed(1);
        let picked: Vec<Operation> = (0..4_000).filter_map(|_| mix.pick(&mut random)).collect();
        let gets = picked.iter().filter(|operation| **operation == Operation::Get).count();
        assert_eq!(picked.len(), 4_000);
        assert!((2_800..3_200).contains(&gets), "{gets}");
        for (wrong, word) in [("", "empty"), ("fetch", "find-email"), ("get=0", "share of get")] {
            let message = Mix::parse(wrong).expect_err(wrong);
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn every_operation_is_known_by_its_name() {
        for operation in Operation::value_variants() {
            assert_eq!(Operation::parse(operation.name()), Ok(*operation));
        }
    }

    #[test]
    fn open_loop_is_evenly_spread_over_workers() {
        let start = Instant::now();
        let mut times: Vec<Duration> = (0..2)
            .flat_map(|index| (0..3).map(move |turn| due(start, 10.0, index, 2, turn) - start))
            .collect();
        times.sort_unstable();
        let wanted: Vec<Duration> = (0..6).map(|n| Duration::from_millis(n * 100)).collect();
        assert_eq!(times, wanted);
    }
}
