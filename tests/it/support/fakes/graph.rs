//! Microsoft Graph v1.0: users, groups, members and their deltas (`graph_delta`), behind the token endpoint
//! of Microsoft Entra ID (`graph_token`).
//!
//! As Graph answers: without `$select` a few properties only, `@odata.nextLink` as an opaque link, counts
//! and advanced filters only with `ConsistencyLevel: eventual`, managers only with `$expand`, which is never
//! taken together with these. What is asked for by id has an id of Graph.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::fake::{Asked, Fake, Said};
use super::graph_delta::Log;
pub use super::graph_token::{CLIENT, Door, SECRET, TENANT, certificate, other_key, private_key};

/// What users hold where nothing is selected.
const USUAL: &str = "businessPhones,displayName,givenName,id,jobTitle,mail,mobilePhone,\
                     officeLocation,preferredLanguage,surname,userPrincipalName";

/// Properties of users that the tenant knows.
const KNOWN: &str = "accountEnabled,businessPhones,city,companyName,country,createdDateTime,department,\
                     displayName,employeeHireDate,employeeId,employeeOrgData,employeeType,\
                     extension_1_shoe,externalUserState,givenName,id,jobTitle,mail,mobilePhone,\
                     officeLocation,onPremisesExtensionAttributes,onPremisesImmutableId,\
                     onPremisesSamAccountName,onPremisesSyncEnabled,otherMails,postalCode,preferredLanguage,proxyAddresses,\
                     state,streetAddress,surname,usageLocation,userPrincipalName,userType";

const GROUP: &str = "id,displayName,description,mail,mailEnabled,mailNickname,securityEnabled,\
                     groupTypes,visibility,onPremisesSyncEnabled,createdDateTime,membershipRule";

/// A tenant.
pub struct Graph {
    pub(super) url: String,
    pub door: Door,
    /// By id.
    pub users: BTreeMap<String, Map<String, Value>>,
    pub groups: BTreeMap<String, Map<String, Value>>,
    /// Ids by the id of the group; of users, groups, and others.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// By the id of the user.
    pub managers: BTreeMap<String, String>,
    pub(super) log: Log,
    /// Most objects on a page, whatever is asked for.
    pub page: usize,
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

/// An error as Graph writes it down.
pub fn error(status: u16, code: &str, message: &str) -> Said {
    Said::json(status, &error_body(code, message))
}

pub fn error_body(code: &str, message: &str) -> Value {
    json!({"error": {
        "code": code, "message": message,
        "innerError": {"date": "2025-06-15T15:06:40", "request-id": "r", "client-request-id": "c"},
    }})
}

impl Graph {
    /// A tenant of so many users, `u001` to, all in the group `g1`.
    pub fn start(users: usize, now: i64) -> Fake<Self> {
        Fake::start(
            |url| {
                let mut graph = Self {
                    url: url.to_owned(),
                    door: Door::new(url, now),
                    users: BTreeMap::new(),
                    groups: BTreeMap::new(),
                    members: BTreeMap::new(),
                    managers: BTreeMap::new(),
                    log: Log::default(),
                    page: 100,
                };
                for n in 1..=users {
                    graph.put_user(&format!("u{n:03}"), json!({}));
                }
                let ids: Vec<String> = graph.users.keys().cloned().collect();
                graph.add_group("g1", "Everybody");
                for id in ids {
                    graph.join("g1", &id);
                }
                graph
            },
            Self::answer,
        )
    }

    /// Makes a user, or changes properties of one.
    pub fn put_user(&mut self, id: &str, properties: Value) {
        let properties = object(properties);
        if !self.users.contains_key(id) {
            let name = format!("{id}@example.com");
            let user = json!({"id": id, "userPrincipalName": name, "mail": name,
                "displayName": format!("User {id}"), "accountEnabled": true, "userType": "Member"});
            self.users.insert(id.to_owned(), object(user));
            self.log.user(
                id,
                &["id", "userPrincipalName", "mail", "displayName", "accountEnabled", "userType"],
            );
        }
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        self.log.user(id, &names);
        self.users.get_mut(id).expect("it is there").extend(properties);
    }

    /// `changed` for a user who can be restored, `deleted` for one who cannot.
    pub fn remove_user(&mut self, id: &str, reason: &str) {
        self.users.remove(id).expect("the user exists");
        self.log.user_gone(id, reason);
        self.managers.retain(|user, manager| user != id && manager != id);
        let groups: Vec<String> = self.members.keys().cloned().collect();
        for group in groups {
            if self.members[&group].contains(id) {
                self.leave(&group, id);
            }
        }
    }

    /// A user who was in these groups and comes back from the deleted ones: no delta of groups says so.
    pub fn restore_user(&mut self, id: &str, groups: &[&str]) {
        self.put_user(id, json!({}));
        for group in groups {
            self.members.get_mut(*group).expect("the group exists").insert(id.to_owned());
        }
    }

    pub fn set_manager(&mut self, id: &str, manager: &str) {
        self.managers.insert(id.to_owned(), manager.to_owned());
        self.log.user(id, &["manager"]);
    }

    pub fn add_group(&mut self, id: &str, name: &str) {
        let group = json!({"id": id, "displayName": name, "description": null, "mail": null,
            "mailEnabled": false, "mailNickname": id, "securityEnabled": true, "groupTypes": [],
            "visibility": null, "onPremisesSyncEnabled": null});
        self.groups.insert(id.to_owned(), object(group));
        self.members.entry(id.to_owned()).or_default();
        self.log.group(id, &["id", "displayName"]);
    }

    pub fn put_group(&mut self, id: &str, properties: Value) {
        let properties = object(properties);
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        self.log.group(id, &names);
        self.groups.get_mut(id).expect("the group exists").extend(properties);
    }

    pub fn remove_group(&mut self, id: &str) {
        self.groups.remove(id).expect("the group exists");
        self.members.remove(id);
        self.log.group_gone(id);
    }

    pub fn join(&mut self, group: &str, member: &str) {
        self.members.get_mut(group).expect("the group exists").insert(member.to_owned());
        self.log.member(group, member);
    }

    pub fn leave(&mut self, group: &str, member: &str) {
        self.members.get_mut(group).expect("the group exists").remove(member);
        self.log.member(group, member);
    }

    /// Delta links that were given out are known no more.
    pub fn forget_deltas(&mut self) {
        self.log.forget();
    }

    /// What a member is.
    pub(super) fn type_of(&self, id: &str) -> &'static str {
        match (self.groups.contains_key(id), id.starts_with("device")) {
            (true, _) => "#microsoft.graph.group",
            (_, true) => "#microsoft.graph.device",
            _ => "#microsoft.graph.user",
        }
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        let parts = asked.parts();
        if let ("POST", [tenant, "oauth2", "v2.0", "token"]) = (asked.method.as_str(), &parts[..]) {
            return self.door.token(tenant, asked);
        }
        if !self.door.lets_in(asked) {
            let message = "Access token has expired or is not yet valid.";
            return error(401, "InvalidAuthenticationToken", message);
        }
        let ["v1.0", rest @ ..] = &parts[..] else {
            return error(404, "BadRequest", "Resource not found for the segment.");
        };
        match rest {
            ["users"] => self.list_users(asked),
            ["groups"] => self.list_groups(asked),
            ["users", "delta" | "delta()" | "microsoft.graph.delta()"] => self.users_delta(asked),
            ["groups", id, "members"] => match self.members.get(*id) {
                Some(members) => {
                    let rows = members
                        .iter()
                        .map(|id| json!({"@odata.type": self.type_of(id), "id": id}))
                        .collect();
                    self.page(asked, &format!("groups/{id}/members"), rows)
                }
                None => error(404, "Request_ResourceNotFound", "Resource does not exist."),
            },
            ["users", id, list @ ("memberOf" | "transitiveMemberOf")] => {
                self.groups_of(asked, id, list)
            }
            ["groups", "delta" | "delta()" | "microsoft.graph.delta()"] => self.groups_delta(asked),
            _ => error(404, "BadRequest", "Resource not found for the segment."),
        }
    }

    fn list_users(&self, asked: &Asked) -> Said {
        let select = match asked.param("$select") {
            "" => USUAL,
            select => select,
        };
        if let Some(unknown) = select.split(',').find(|name| !KNOWN.split(',').any(|k| k == *name))
        {
            let message = format!(
                "Could not find a property named '{unknown}' on type 'microsoft.graph.user'."
            );
            return error(400, "BadRequest", &message);
        }
        let expands = asked.param("$expand").starts_with("manager");
        if expands && is_advanced(asked) {
            let message = "$expand is not supported with advanced queries.";
            return error(400, "Request_UnsupportedQuery", message);
        }
        let wrong = ids_asked(asked).find(|id| !is_guid(id) && !self.log.has_user(id));
        if let Some(id) = wrong {
            let message = format!("Invalid object identifier '{id}'.");
            return error(400, "Request_BadRequest", &message);
        }
        let rows: Vec<Value> = match filtered(asked, self.users.values()) {
            Ok(users) => users
                .into_iter()
                .map(|user| {
                    let mut row = selected(user, select);
                    let manager = self.managers.get(user["id"].as_str().expect("an id"));
                    if let (true, Some(id)) = (expands, manager) {
                        row["manager"] = json!({"@odata.type": "#microsoft.graph.user", "id": id});
                    }
                    row
                })
                .collect(),
            Err(said) => return said,
        };
        self.page(asked, "users", rows)
    }

    fn list_groups(&self, asked: &Asked) -> Said {
        let select = match asked.param("$select") {
            "" => GROUP,
            select => select,
        };
        match filtered(asked, self.groups.values()) {
            Ok(groups) => {
                let rows = groups.into_iter().map(|group| selected(group, select)).collect();
                self.page(asked, "groups", rows)
            }
            Err(said) => said,
        }
    }

    /// `memberOf` and `transitiveMemberOf` of a user: groups, and a role.
    fn groups_of(&self, asked: &Asked, id: &str, list: &str) -> Said {
        if !self.users.contains_key(id) {
            return error(404, "Request_ResourceNotFound", "Resource does not exist.");
        }
        let mut found = BTreeSet::new();
        let mut waiting = vec![id];
        while let Some(member) = waiting.pop() {
            for (group, _) in self.members.iter().filter(|(_, members)| members.contains(member)) {
                if found.insert(group) && list == "transitiveMemberOf" {
                    waiting.push(group);
                }
            }
        }
        let select = if asked.param("$select").is_empty() { GROUP } else { asked.param("$select") };
        let role = json!({"@odata.type": "#microsoft.graph.directoryRole", "id": "role-1"});
        let groups = found.into_iter().map(|group| {
            let mut row = selected(&self.groups[group], select);
            row["@odata.type"] = "#microsoft.graph.group".into();
            row
        });
        let rows = groups.chain([role]).collect();
        self.page(asked, &format!("users/{id}/{list}"), rows)
    }

    /// A page of a list; the link to the next one holds what was asked and where it goes on.
    fn page(&self, asked: &Asked, path: &str, rows: Vec<Value>) -> Said {
        let top = asked.param("$top");
        let Ok(top) = (if top.is_empty() { Ok(100) } else { top.parse::<usize>() }) else {
            return error(400, "BadRequest", "Invalid page size.");
        };
        if !(1..=999).contains(&top) {
            let message = "Invalid page size specified: must be between 1 and 999 inclusive.";
            return error(400, "Request_UnsupportedQuery", message);
        }
        let from: usize = asked.param("$skiptoken").parse().unwrap_or(0);
        let (size, total) = (top.min(self.page), rows.len());
        let page: Vec<Value> = rows.into_iter().skip(from).take(size).collect();
        let mut body = json!({"@odata.context": format!("{}/v1.0/$metadata#{path}", self.url)});
        if asked.param("$count") == "true" && from == 0 {
            body["@odata.count"] = total.into();
        }
        if from + page.len() < total {
            let query = asked.target.split_once('?').map_or("", |(_, query)| query);
            let kept: Vec<&str> =
                query.split('&').filter(|p| !p.is_empty() && !p.contains("skiptoken=")).collect();
            let kept = kept.iter().map(|part| format!("{part}&")).collect::<String>();
            let next = from + page.len();
            body["@odata.nextLink"] =
                format!("{}/v1.0/{path}?{kept}$skiptoken={next}", self.url).into();
        }
        body["value"] = page.into();
        Said::json(200, &body)
    }
}

/// The selected properties; of those that an object does not have, null.
fn selected(object: &Map<String, Value>, select: &str) -> Value {
    let value = |name: &str| object.get(name).cloned().unwrap_or_default();
    let lists = ["businessPhones", "otherMails", "proxyAddresses", "groupTypes"];
    let selected = select.split(',').map(|name| match (value(name), lists.contains(&name)) {
        (Value::Null, true) => (name.to_owned(), json!([])),
        (value, _) => (name.to_owned(), value),
    });
    Value::Object(selected.collect())
}

/// The objects that `$filter` lets through, or the refusal.
fn filtered<'o>(
    asked: &Asked,
    objects: impl Iterator<Item = &'o Map<String, Value>>,
) -> Result<Vec<&'o Map<String, Value>>, Said> {
    let (filter, is_counted) = (asked.param("$filter"), asked.param("$count") == "true");
    if (is_counted || filter.contains(" ne ")) && !is_advanced(asked) {
        let message =
            "Unsupported or invalid query filter clause: it needs ConsistencyLevel and $count.";
        return Err(error(400, "Request_UnsupportedQuery", message));
    }
    let clauses: Vec<&str> = match filter {
        "" => Vec::new(),
        filter => filter.split(" and ").map(str::trim).collect(),
    };
    let mut tests: Vec<Test> = Vec::new();
    for clause in clauses {
        let Some(test) = test(clause) else {
            let message = format!("Invalid filter clause: {clause}");
            return Err(error(400, "BadRequest", &message));
        };
        tests.push(test);
    }
    Ok(objects.filter(|object| tests.iter().all(|test| test(object))).collect())
}

/// Whether it has the parameters of an advanced query.
fn is_advanced(asked: &Asked) -> bool {
    asked.header("consistencylevel") == "eventual" && asked.param("$count") == "true"
}

/// The ids of `id in ('a','b')`.
fn ids_asked(asked: &Asked) -> impl Iterator<Item = &str> {
    let ids = asked.param("$filter").strip_prefix("id in (").and_then(|ids| ids.strip_suffix(')'));
    ids.into_iter().flat_map(|ids| ids.split(',')).map(|id| id.trim_matches('\''))
}

fn is_guid(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

type Test = Box<dyn Fn(&Map<String, Value>) -> bool>;

/// `name in ('a','b')`, `name eq 'x'`, `name ne 'x'`, in parentheses or without.
fn test(clause: &str) -> Option<Test> {
    if let Some((name, values)) = clause.split_once(" in (") {
        let values: Vec<Value> = values
            .strip_suffix(')')?
            .split(',')
            .map(|value| value.trim().trim_matches('\'').into())
            .collect();
        let name = name.to_owned();
        if values.len() > 15 {
            return None;
        }
        return Some(Box::new(move |object| values.contains(&object[&name])));
    }
    let clause = clause.trim_matches(['(', ')']);
    let mut words = clause.splitn(3, ' ');
    let (name, operator, value) = (words.next()?.to_owned(), words.next()?, words.next()?);
    let value: Value = match value {
        "true" => true.into(),
        "false" => false.into(),
        "null" => Value::Null,
        text => text.strip_prefix('\'')?.strip_suffix('\'')?.into(),
    };
    let is_equal = match operator {
        "eq" => true,
        "ne" => false,
        _ => return None,
    };
    Some(Box::new(move |object| {
        let found = object.get(&name).cloned().unwrap_or_default();
        (found == value) == is_equal
    }))
}
