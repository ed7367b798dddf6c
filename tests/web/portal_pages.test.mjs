// Every page of the set-up portal, in the states that it can be in: it fits, reads and is usable.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { check, seen, visitor } from './support/browser.mjs';
import { braked, heldFile } from './support/filled.mjs';
import { visit } from './support/portal.mjs';
import { assertAllSeen } from './support/routes.mjs';
import { Server, play } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const server = await Server.start();
  const corp = await server.organization('Example Corp');
  const labs = await server.organization('Example Labs');
  const okta = await server.directory(corp, 'scim.okta', 'Okta');
  for (const flow of ['okta/04', 'okta/10']) await play(okta.scim.base_url, okta.token.secret, flow);
  await server.scim(okta, 'POST', '/Users', { schemas: [], userName: '' });
  const keycloak = await braked(server, corp);
  return { server, corp, labs, okta, keycloak, ...await heldFile(server, corp) };
});

/** A picture of one point. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

const text = (page) => page.locator('main').innerText();

/** Opens a page of the portal and checks it. */
async function open(page, where) {
  const answer = await page.goto(`${on.server.url}${where}`);
  assert.equal(answer.status(), 200, where);
  await check(page);
}

/** Presses a button of the page and checks the page that it leads to. */
async function press(page, name) {
  await page.getByRole('button', { name }).first().click();
  await page.waitForLoadState();
  await check(page);
}

test('a link that opens nothing says so, and never why', async () => {
  const link = await on.server.link(on.labs);
  const page = await visitor(on.browser);
  await page.goto(link);
  await check(page);
  assert.match(await text(page), /Example Labs/);
  await press(page, 'Continue');

  const other = await visitor(on.browser);
  await other.goto(link);
  await check(other);
  const used = await text(other);
  assert.match(used, /Ask whoever sent it for a new one/);
  const revoked = await on.server.link(on.labs, { external_user_id: 'ada' });
  await on.server.api('POST', '/portal/revoke_link', { organization: on.labs.id, external_user_id: 'ada' });
  for (const closed of [revoked, link.slice(0, -3), `${on.server.url}/setup/rbl_${'A'.repeat(80)}`]) {
    const answer = await other.goto(closed);
    assert.equal(answer.status(), 404, closed);
    assert.equal(await text(other), used, closed);
  }
});

test('without a session every page says where to get one', async () => {
  const page = await visitor(on.browser);
  for (const where of ['/setup', `/setup/directories/${on.okta.id}`, '/setup/sources/pull.ldap']) {
    const answer = await page.goto(`${on.server.url}${where}`);
    assert.equal(answer.status(), 403, where);
    assert.match(await text(page), /Ask whoever sent you the link for a new one/);
  }
  await check(page);
});

test('a directory of another organization is not there, like one that never was', async () => {
  const page = await visit(on, on.labs);
  const never = on.okta.id.replace(/.{6}$/, 'ZZZZZZ');
  for (const end of ['', '/status', '/attributes', '/roles', '/brake', '/stop']) {
    const answers = [];
    for (const id of [on.okta.id, never]) {
      const answer = await page.goto(`${on.server.url}/setup/directories/${id}${end}`);
      answers.push([answer.status(), await text(page)]);
    }
    assert.deepEqual(answers[0], answers[1], end);
    assert.equal(answers[0][0], 404, end);
  }
  await check(page);
  await page.getByRole('link', { name: 'All directories' }).click();
  await page.waitForURL('**/setup');
  assert.doesNotMatch(await text(page), /Okta\s+linked/);
});

test('what can be connected: every provider and every form', async () => {
  const page = await visit(on, on.labs);
  await check(page);
  const forms = await page.locator('a[href*="/setup/sources/"]').evaluateAll((all) => all.map((link) => link.href));
  assert.ok(forms.length >= 5, `${forms}`);
  for (const form of forms) {
    await page.goto(form);
    await check(page);
  }
  // What is left empty is said, beside its field.
  await press(page, 'Connect');
  await page.goto(`${on.server.url}/setup`);
  await press(page, 'Any other SCIM client');
});

test('pages of a directory that is pushed', async () => {
  const page = await visit(on, on.corp);
  await check(page);
  for (const id of [on.okta.id, on.keycloak.id]) {
    for (const end of ['', '/status', '/attributes', '/roles', '/brake', '/stop']) {
      await open(page, `/setup/directories/${id}${end}`);
    }
  }
  const okta = `/setup/directories/${on.okta.id}`;
  await open(page, `${okta}/status?only=refused`);
  await open(page, okta);
  await press(page, 'Make a token');
  await open(page, `${okta}/attributes`);
  await page.locator('#suggestions input').first().check();
  await press(page, 'Try on three users');
  await page.getByRole('heading', { name: 'What would come of it' }).waitFor();
  await page.getByLabel('Made of').first().fill('raw.(');
  await press(page, 'Try on three users');
  await open(page, `${okta}/roles`);
  await page.getByLabel('Who, row 1').selectOption({ index: 1 });
  await page.getByLabel('Role, row 1').fill('admin');
  await press(page, 'Show what would change');
  await page.getByRole('heading', { name: 'What would come of it' }).waitFor();
  assert.match(await text(page), /admin/);
});

test('pages of a directory that is read', async () => {
  const page = await visit(on, on.corp);
  const file = `/setup/directories/${on.file.id}`;
  for (const end of ['', '/source', '/scope', '/attributes', '/roles', '/stop', `/runs/${on.first.id}`, `/runs/${on.held.id}`]) {
    await open(page, `${file}${end}`);
  }
  assert.match(await text(page), /28 users/);
  await open(page, file);
  await press(page, 'Test connection');
  await page.getByText('The source can be read.').waitFor();
  await open(page, `${file}/scope`);
  await page.getByLabel('Filter').fill("payload.Username == 'u001'");
  await page.getByRole('button', { name: 'Show what would change' }).click();
  await page.getByRole('button', { name: 'Put these settings in force' }).waitFor();
  await check(page);
  await open(page, `${file}/scope`);
  await page.getByLabel('Filter').fill('payload.(');
  await press(page, 'Show what would change');
  await page.locator('.fault').waitFor();
});

test('a source that cannot be reached says so, and what to change', async () => {
  const page = await visit(on, on.labs);
  await open(page, '/setup/sources/pull.ldap');
  await page.getByLabel(/^URL/).fill('ldaps://localhost:1');
  await page.getByLabel(/^Bind DN/).fill('cn=reader,dc=example,dc=com');
  await page.getByLabel(/^Bind password/).fill('secret');
  await page.getByLabel(/^User base/).fill('dc=example,dc=com');
  await press(page, 'Connect');
  await page.getByText('Nothing was read yet').waitFor();
  await press(page, 'Test connection');
  await page.getByText('The source cannot be read.').waitFor();
  await page.getByRole('link', { name: 'Change the source' }).waitFor();
});

test('the pages look as the operator has said', async () => {
  await on.server.api('PUT', '/api/v1/branding', { name: 'Example App', color: '#7a2f9e', color_dark: '#d8a6f5', logo: PIXEL });
  const page = await visit(on, on.corp);
  await check(page);
  const mark = page.getByRole('img', { name: 'Example App' });
  assert.equal(await mark.evaluate((image) => image.complete && image.naturalWidth), 1);
  const colour = () => page.getByRole('button', { name: 'Finish' }).evaluate((button) => getComputedStyle(button).color);
  assert.equal(await colour(), 'rgb(122, 47, 158)');
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.equal(await colour(), 'rgb(216, 166, 245)');
});

test('who has finished is led on', async () => {
  const link = await on.server.link(on.labs, { success_url: 'https://app.example.com/done' });
  const page = await visitor(on.browser);
  await page.route('https://app.example.com/**', (route) => route.fulfill({ contentType: 'text/plain', body: 'done' }));
  await page.goto(link);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Finish' }).click();
  await page.getByRole('heading', { name: 'Finished' }).waitFor();
  await page.waitForURL('https://app.example.com/done');
  const answer = await page.goto(`${on.server.url}/setup`);
  assert.equal(answer.status(), 403);
});

after(() => assertAllSeen('setup', seen, {
  '/setup/live': 'tells open pages what has changed; see live.test.mjs',
  '/setup/brand/{digest}/{file}': 'files; the page that shows the logo is looked at above',
}));
