// Every page of the console: each link is followed once, and every page fits, reads and is usable.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { check, seen, signIn, visitor } from './support/browser.mjs';
import { CLIPBOARD, copied } from './support/clipboard.mjs';
import { filled } from './support/filled.mjs';
import { assertAllSeen } from './support/routes.mjs';
import { PASSWORD, Server, until } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const story = await filled();
  story.server.administrator('owner@example.com', 'owner');
  story.server.administrator('viewer@example.com', 'viewer');
  return story;
});

/** The page that an address leads to, without what tells one thing from another of its kind. */
const shape = (address) => address.pathname.replace(/\/[a-z_]+_[0-9A-HJKMNP-TV-Z]{26}/gi, '/*');

async function owner() {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'owner@example.com', PASSWORD);
  await page.waitForURL('**/console');
  return page;
}

/** Opens the addresses, and from there on one of each kind that the pages link to, and checks them all. */
async function follow(page, addresses) {
  const opened = new Set();
  const next = [];
  const open = async (address) => {
    opened.add(shape(address));
    const answer = await page.goto(address.href);
    assert.equal(answer.status(), 200, address.href);
    await check(page, address.href);
    const links = await page.locator('a[href]').evaluateAll((all) => all.map((link) => link.href));
    next.push(...links.map((link) => new URL(link)).filter((to) => to.origin === address.origin
      && to.pathname.startsWith('/console') && !to.searchParams.has('format')));
  };
  for (const where of addresses) await open(new URL(where, on.server.url));
  while (next.length > 0) {
    const address = next.shift();
    if (!opened.has(shape(address))) await open(address);
  }
  return opened;
}

test('every page of the console can be used', async () => {
  const { okta, keycloak, file, held } = on;
  const page = await owner();
  await until('both endpoints have been tried', async () => {
    const { data } = await on.server.api('GET', '/api/v1/webhook_endpoints');
    return data.every((endpoint) => endpoint.last_success_at || endpoint.failing_since);
  });
  // Of each kind of directory another page has more to show.
  const opened = await follow(page, [
    '/console', `/console/directories/${keycloak.id}/members?of=pending`, `/console/directories/${keycloak.id}/brake`,
    `/console/directories/${file.id}/runs`, `/console/directories/${file.id}/runs/${held.id}`, `/console/directories/${file.id}/settings`,
    `/console/directories/${okta.id}/requests?status=4xx`, '/console/people?q=ada', '/console/groups?q=s',
    `/console/identities/${on.corp.id}`, `/console/audit?q=okta`,
    `/console/directories/new?organization_id=${on.corp.id}&kind=pull.ldap`,
  ]);
  const areas = ['organizations', 'directories', 'people', 'groups', 'events', 'webhooks', 'streams', 'identities',
    'alarms', 'audit', 'keys', 'administrators', 'health', 'account'];
  for (const area of areas) {
    assert.ok([...opened].some((one) => one.startsWith(`/console/${area}`)), `the navigation leads to ${area}`);
  }
});

test('pages of lists in which nothing is found say what to do', async () => {
  const page = await owner();
  // No id has a text like this by accident.
  const none = 'nobody-has-this';
  const empty = [
    `people?q=${none}`, `groups?q=${none}`, `organizations?search=${none}`, `directories?search=${none}`,
    `events?resource_id=${none}`, `audit?q=${none}`, 'alarms?state=resolved', `identities/${on.labs.id}`,
    `directories/${on.okta.id}/requests?text=${none}`,
  ];
  for (const where of empty) {
    await page.goto(`${on.server.url}/console/${where}`);
    await check(page);
    assert.ok(await page.locator('.empty p').nth(1).innerText(), where);
  }
});

test('what a visitor who is not signed in sees', async () => {
  const page = await visitor(on.browser);
  await page.goto(`${on.server.url}/console/sign-in`);
  await check(page);
  await page.goto(`${on.server.url}/console/welcome/made-up`);
  await check(page);
  assert.match(await page.locator('main').innerText(), /was used already, has ended, or was not copied as a whole/);
  await page.goto(`${on.server.url}/console/sign-in/openid/return?state=made-up&code=made-up`);
  await check(page);
});

test('the link of the first start makes the first owner', async (t) => {
  const server = await Server.start();
  const page = await visitor(on.browser);
  t.after(async () => {
    // An open page would look for the server.
    await page.close();
    await server.stop();
  });
  const said = readFileSync(path.join(server.folder, 'first-start.txt'), 'utf8');
  const [link] = /\S+\/console\/welcome\/\S+/.exec(said) ?? assert.fail(said);
  await page.goto(link);
  await check(page);
  await page.getByLabel('E-mail').fill('first@example.com');
  await page.getByLabel('Name', { exact: true }).fill('First Owner');
  const choose = async (password, again) => {
    await page.locator('input[type=password]').first().fill(password);
    await page.locator('input[type=password]').last().fill(again);
    await page.locator('main button').click();
  };
  await choose(PASSWORD, `${PASSWORD}, but not the same`);
  await page.getByRole('alert').waitFor();
  await check(page);
  await choose(PASSWORD, PASSWORD);
  await page.waitForURL('**/console');
  await page.getByText('First Owner').waitFor();
});

test('an owner invites somebody, who chooses a password and is let in', async () => {
  const page = await owner();
  await page.goto(`${on.server.url}/console/administrators`);
  await page.getByLabel('E-mail address').fill('newcomer@example.com');
  await page.getByLabel('Name').fill('New Comer');
  await page.getByRole('button', { name: 'Invite' }).click();
  await check(page);
  const link = await page.locator('.copy code').innerText();

  const newcomer = await visitor(on.browser);
  await newcomer.goto(link);
  await check(newcomer);
  for (const field of await newcomer.locator('input[type=password]').all()) await field.fill(PASSWORD);
  await newcomer.locator('main button').click();
  await newcomer.waitForURL('**/console');
  await newcomer.getByText('New Comer').click();
  await newcomer.getByText('viewer').waitFor();
  // The link has been used.
  await newcomer.goto(link);
  await check(newcomer);
  assert.match(await newcomer.locator('main').innerText(), /was used already/);
});

test('what is shown once can be copied', async () => {
  const page = await visitor(on.browser, CLIPBOARD);
  await signIn(page, on.server, 'owner@example.com', PASSWORD);
  await page.waitForURL('**/console');
  await page.goto(`${on.server.url}/console/keys`);
  await page.getByLabel('Name').fill('Clipboard');
  await page.getByRole('checkbox').first().check();
  await page.getByRole('button', { name: 'Make the key' }).click();
  await check(page);
  assert.match(await copied(page), /^sk_/);

  await page.goto(`${on.server.url}/console/organizations/${on.corp.id}`);
  await page.getByRole('button', { name: 'Make a link' }).click();
  await check(page);
  const link = await copied(page);
  assert.ok(link.startsWith(`${on.server.url}/setup/rbl_`), link);

  await page.goto(`${on.server.url}/console/directories/${on.okta.id}/tokens`);
  await page.getByText('Make a token…').click();
  await page.getByRole('button', { name: 'Make a token' }).click();
  await check(page);
  assert.match(await copied(page), /^rbd_/);
});

test('the audit log is taken along as a file', async () => {
  const page = await owner();
  await page.goto(`${on.server.url}/console/audit`);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).click()]);
  const rows = readFileSync(await download.path(), 'utf8').trim().split('\n');
  assert.ok(rows.length > 5 && rows[0].includes('action'), rows[0]);
});

test('a viewer finds no button that acts', async () => {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'viewer@example.com', PASSWORD);
  await page.waitForURL('**/console');
  const { okta, keycloak, file, held } = on;
  const pages = [
    `directories/${okta.id}`, `directories/${okta.id}/tokens`, `directories/${okta.id}/profile`,
    `directories/${file.id}/settings`, `directories/${keycloak.id}/brake`, `directories/${file.id}/runs/${held.id}`,
    `organizations/${on.corp.id}`, `identities/${on.corp.id}`, 'webhooks', 'streams', 'health',
  ];
  for (const where of pages) {
    await page.goto(`${on.server.url}/console/${where}`);
    await check(page);
    assert.equal(await page.locator('main form[method=post]').count(), 0, where);
  }
});

after(() => assertAllSeen('console', seen, {
  '/console/live': 'tells open pages what has changed; see live.test.mjs',
  '/console/audit/export': 'a file',
  '/console/sign-in/openid': 'leads to the OpenID provider',
  '/console/sign-in/openid/return': 'refuses whoever does not come from the OpenID provider, which is looked at above',
}));
