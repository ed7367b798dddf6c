// The forms of a source that is read from files: what is wrong with them, the way back, an upload, the choice
// of groups.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { check, launch, visitor } from './support/browser.mjs';
import { Server } from './support/server.mjs';

const USERS = 'id,userName,title,groups\n1,ada@example.com,Engineer,Sales\n2,bob@example.com,Writer,Staff\n';

let browser;
let server;

before(async () => {
  [browser, server] = [await launch(), await Server.start()];
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A visitor in a session of a new organization. */
async function entered(name) {
  const organization = await server.organization(name);
  const page = await visitor(browser);
  await page.goto(await server.link(organization));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.locator('a[href*="/setup/sources/"]').first().waitFor();
  return { page, organization };
}

test('what is wrong with a form is said above it and leads to the fields', async () => {
  const { page } = await entered('Fault Corp');
  await page.locator('a[href*="/setup/sources/pull.scim"]').click();
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.locator('.faults:focus').waitFor();
  await check(page);
  await page.locator('.faults a').first().click();
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-invalid')), 'true');
});

test('a form that is corrected after the way back changes what it has made', async () => {
  const { page, organization } = await entered('Back Corp');
  await page.locator('a[href*="/setup/sources/pull.scim"]').click();
  const send = async (address, button) => {
    await page.locator('#config-base-url').fill(address);
    await page.locator('#config-token').fill('theirs-0123456789');
    await page.getByRole('button', { name: button }).click();
  };
  await send('https://wrong.example/scim', 'Connect');
  await page.getByRole('button', { name: 'Test connection' }).waitFor();
  await page.goBack();
  await send('https://right.example/scim', /Connect|Save/);
  await page.locator('nav.tabs').waitFor();
  const { data } = await server.api('GET', `/api/v1/directories?organization_id=${organization.id}`);
  assert.deepEqual(data.map((directory) => directory.config.base_url), ['https://right.example/scim']);
});

test('a file is handed in, its faults are named, and groups are chosen', async () => {
  const { page } = await entered('File Corp');
  await page.locator('a[href*="/setup/sources/pull.csv"]').click();
  await page.getByRole('button', { name: 'Connect' }).click();
  const upload = async (content) => {
    await page.locator('summary', { hasText: 'users:' }).click();
    const file = { name: 'users.csv', mimeType: 'text/csv', buffer: Buffer.from(content) };
    await page.locator('#file-users').setInputFiles(file);
    await page.locator('details[open]').getByRole('button', { name: 'Keep this file' }).click();
  };
  await upload(`${USERS},eve@example.com,,\n`);
  await page.getByText('line 4 of users').waitFor();
  await check(page);
  await upload(USERS);
  await page.getByText('The file was taken.').waitFor();
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByText('Who would come, go and change').waitFor();

  await page.getByRole('link', { name: 'What comes in' }).click();
  await page.getByLabel('Sales (1 member)').check();
  await check(page);
  await page.getByRole('button', { name: 'Show what would change' }).click();
  await page.getByText('ada@example.com').first().waitFor();
  assert.equal(await page.getByText('bob@example.com').count(), 0);

  await page.getByRole('link', { name: 'Attributes' }).click();
  await page.getByText('2 of 2 have it').first().waitFor();
  await check(page);
});
