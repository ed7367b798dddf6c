// An app that speaks to Rollbook through the public Node SDK.
//
// Seeds a directory over SCIM, reads it back with every list, filter and page, and takes errors as the
// SDK's typed exceptions. ROLLBOOK_URL and ROLLBOOK_API_KEY say where the server is.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import {
  NotFoundException,
  RateLimitExceededException,
  UnauthorizedException,
  UnprocessableEntityException,
  WorkOS,
} from "@workos-inc/node";

const url = process.env.ROLLBOOK_URL;
const key = process.env.ROLLBOOK_API_KEY;
const at = new URL(url);
const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group";

function client(apiKey) {
  return new WorkOS(apiKey, {
    apiHostname: at.hostname,
    port: Number(at.port),
    https: at.protocol === "https:",
  });
}

async function post(address, token, body) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${address}: ${answer.status}`);
  return answer.json();
}

/** The call must raise that exception; gives it. */
async function refused(kind, status, call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof kind, `${kind.name} instead of ${error.name}: ${error.message}`);
    assert.equal(error.status, status);
    assert.ok(error.message, "every refusal has a sentence");
    return error;
  }
  assert.fail(`no ${kind.name} was raised`);
}

const ids = (objects) => objects.map((each) => each.id);

const workos = client(key);

// --- Organizations -------------------------------------------------------------------------------

const made = await workos.organizations.createOrganization(
  {
    name: "Node Ltd",
    externalId: "node-1",
    metadata: { tier: "gold" },
    domainData: [{ domain: "node.example", state: "verified" }],
  },
  { idempotencyKey: "make-node" },
);
assert.equal(made.domains[0].domain, "node.example");
assert.equal(made.domains[0].state, "verified");
assert.deepEqual(made.metadata, { tier: "gold" });
const again = await workos.organizations.createOrganization(
  {
    name: "Node Ltd",
    externalId: "node-1",
    metadata: { tier: "gold" },
    domainData: [{ domain: "node.example", state: "verified" }],
  },
  { idempotencyKey: "make-node" },
);
assert.deepEqual(again, made);
assert.deepEqual(await workos.organizations.getOrganization(made.id), made);
assert.deepEqual(await workos.organizations.getOrganizationByExternalId("node-1"), made);
const changed = await workos.organizations.updateOrganization({
  organization: made.id,
  name: "Node & Co",
});
assert.equal(changed.name, "Node & Co");
assert.equal(changed.externalId, "node-1");
const found = await workos.organizations.listOrganizations({ domains: ["node.example"] });
assert.deepEqual(ids(found.data), [made.id]);
const temporary = await workos.organizations.createOrganization({ name: "Temporary" });
await workos.organizations.deleteOrganization(temporary.id);
await refused(NotFoundException, 404, () => workos.organizations.getOrganization(temporary.id));

// --- A directory with users and groups -----------------------------------------------------------

const directory = await post(`${url}/api/v1/directories`, key, {
  organization_id: made.id,
  name: "Node directory",
  kind: "scim.entra",
});
const scim = directory.scim.base_url;
const token = directory.token.secret;
const users = [];
for (let n = 0; n < 25; n += 1) {
  const user = await post(`${scim}/Users`, token, {
    schemas: [USER],
    userName: `user${n}@node.example`,
    externalId: `00u${n}`,
    name: { givenName: `User${n}`, familyName: "Node" },
    emails: [{ value: `user${n}@node.example`, type: "work", primary: true }],
    active: n !== 3,
  });
  users.push(user.id);
}
const groups = [];
for (let n = 0; n < 12; n += 1) {
  const members = users.slice(n, n + 12).map((value) => ({ value }));
  const group = await post(`${scim}/Groups`, token, {
    schemas: [GROUP],
    displayName: `Group ${n}`,
    members,
  });
  groups.push(group.id);
}

const sync = workos.directorySync;
const shown = await sync.getDirectory(directory.id);
assert.equal(shown.type, "azure scim v2.0");
// The SDK gives the words of events to the states of the read API.
assert.equal(shown.state, "active");
assert.equal(shown.organizationId, made.id);
for (const filter of [{ organizationId: made.id }, { search: "NODE" }]) {
  assert.deepEqual(ids((await sync.listDirectories(filter)).data), [directory.id]);
}
const everywhere = await (await sync.listDirectories()).autoPagination();
assert.ok(ids(everywhere).includes(directory.id));

const newest = [...users].reverse();
const page = await sync.listUsers({ directory: directory.id });
assert.deepEqual(ids(page.data), newest.slice(0, 10));
assert.deepEqual(ids(await page.autoPagination()), newest);
const second = await sync.listUsers({ directory: directory.id, after: page.listMetadata.after });
assert.deepEqual(ids(second.data), newest.slice(10, 20));
const rising = await sync.listUsers({ directory: directory.id, order: "asc", limit: 4 });
assert.deepEqual(ids(rising.data), users.slice(0, 4));
const ofGroup = await sync.listUsers({ group: groups[2], order: "asc", limit: 100 });
assert.deepEqual(ids(ofGroup.data), users.slice(2, 14));
const user = await sync.getUser(users[7]);
assert.equal(user.email, "user7@node.example");
assert.equal(user.idpId, "00u7");
assert.equal(user.firstName, "User7");
assert.deepEqual(ids(user.groups).sort(), groups.slice(0, 8).sort());
assert.equal((await sync.getUser(users[3])).state, "inactive");
assert.deepEqual((await sync.getUser(users[24])).groups, []);

const inDirectory = await sync.listGroups({ directory: directory.id });
assert.deepEqual(ids(await inDirectory.autoPagination()), [...groups].reverse());
const ofUser = await sync.listGroups({ user: users[7], order: "asc" });
assert.deepEqual(ids(ofUser.data), groups.slice(0, 8));
const group = await sync.getGroup(groups[2]);
assert.equal(group.name, "Group 2");
assert.equal(group.idpId, groups[2]);

// --- Events --------------------------------------------------------------------------------------

const events = ["dsync.user.created", "dsync.group.created", "dsync.group.user_added"];
const walked = [];
let after;
do {
  const part = await workos.events.listEvents({
    events,
    organizationId: made.id,
    limit: 20,
    ...(after ? { after } : {}),
  });
  walked.push(...part.data);
  after = part.listMetadata.after;
} while (after);
const told = (name) => walked.filter((event) => event.event === name);
assert.deepEqual(told("dsync.user.created").map((event) => event.data.id), users);
assert.deepEqual(told("dsync.group.created").map((event) => event.data.id), groups);
assert.equal(told("dsync.group.user_added").length, 12 * 12);

// --- Setup links ---------------------------------------------------------------------------------

const { link } = await workos.portal.generateLink({
  organization: made.id,
  intent: "dsync",
  returnUrl: "https://app.example.com/settings",
  successUrl: "https://app.example.com/done",
});
assert.ok(link.startsWith(`${url}/setup/`), link);
const landing = await fetch(link);
assert.equal(landing.status, 200);
assert.match(await landing.text(), /Node &#38; Co/);
for (const wrong of [{ intent: "sso" }, { intent: "dsync", returnUrl: "https://evil.example/" }]) {
  await refused(UnprocessableEntityException, 422, () =>
    workos.portal.generateLink({ organization: made.id, ...wrong }),
  );
}
await refused(NotFoundException, 404, () =>
  workos.portal.generateLink({ organization: "org_none", intent: "dsync" }),
);

// --- Webhooks ------------------------------------------------------------------------------------

// Keeps what it gets; the first request is refused.
const received = [];
const expected = 30;
let all;
const complete = new Promise((resolve, reject) => {
  all = resolve;
  setTimeout(() => reject(new Error(`${received.length} webhooks came`)), 60_000).unref();
});
let refusals = 0;
const receiver = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (refusals === 0) {
    refusals += 1;
    response.writeHead(500).end();
    return;
  }
  // As frameworks hand it over: the body is JSON that was parsed.
  const payload = JSON.parse(Buffer.concat(chunks).toString());
  received.push({ payload, sigHeader: request.headers["workos-signature"] });
  response.writeHead(204).end();
  if (received.length === expected) all();
});
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
const hook = await post(`${url}/webhook_endpoints`, key, {
  endpoint_url: `http://127.0.0.1:${receiver.address().port}/hooks`,
  events: ["dsync.user.created", "dsync.group.user_added"],
});
const hooked = [];
for (let n = 0; n < 29; n += 1) {
  const user = await post(`${scim}/Users`, token, {
    schemas: [USER],
    userName: `hook${n}@node.example`,
    // What JavaScript writes in its own way must not change the signature.
    "urn:example:more": { 10: 1e21, 2: 1.0, text: "é\u2028/<>" },
    emails: [{ value: `hook${n}@node.example`, type: "work", primary: true }],
  });
  hooked.push(user.id);
}
await post(`${scim}/Groups`, token, {
  schemas: [GROUP],
  displayName: "Hooked",
  members: [{ value: hooked[0] }],
});
await complete;
const verified = [];
for (const { payload, sigHeader } of received) {
  verified.push(await workos.webhooks.constructEvent({ payload, sigHeader, secret: hook.secret }));
}
assert.deepEqual(
  verified.slice(0, 29).map((event) => event.data.id),
  hooked,
);
assert.equal(verified[29].event, "dsync.group.user_added");
assert.equal(verified[29].data.user.id, hooked[0]);
await assert.rejects(
  workos.webhooks.constructEvent({
    payload: received[1].payload,
    sigHeader: received[0].sigHeader,
    secret: hook.secret,
  }),
);
await fetch(`${url}/webhook_endpoints/${hook.id}`, {
  method: "DELETE",
  headers: { authorization: `Bearer ${key}` },
});
receiver.close();

// --- Errors --------------------------------------------------------------------------------------

await refused(NotFoundException, 404, () => sync.getUser("directory_user_none"));
await refused(NotFoundException, 404, () => sync.listUsers({ directory: "directory_none" }));
const error = await refused(UnprocessableEntityException, 422, () => sync.listUsers({}));
assert.match(error.message, /invalid/);
await refused(UnauthorizedException, 401, () => client("sk_wrong").directorySync.listDirectories());
// The SDK has a class for this status and does not export it.
await refused(Error, 409, () =>
  workos.organizations.createOrganization({ name: "Twice", externalId: "node-1" }),
);
const reader = await post(`${url}/api/v1/api_keys`, key, { name: "Reader", scopes: ["read"] });
const flood = client(reader.secret).directorySync;
const limited = await refused(RateLimitExceededException, 429, () =>
  Promise.all(Array.from({ length: 1_000 }, () => flood.getDirectory(directory.id))),
);
assert.ok(limited.retryAfter >= 1, `${limited.retryAfter}`);

await sync.deleteDirectory(directory.id);
await refused(NotFoundException, 404, () => sync.getUser(users[7]));
console.log("node: the SDK reads all that the server says");
