// An administrator of the organization stops a directory in the portal, and decides about what its brake holds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { braked } from './support/filled.mjs';
import { visit } from './support/portal.mjs';
import { Server, until } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const server = await Server.start();
  return { server, corp: await server.organization('Example Corp') };
});

const PEOPLE = 4;

/** A directory of an organization of its own with people, and somebody who looks at it in the portal. */
async function connected(name) {
  const organization = await on.server.organization(name);
  const directory = await on.server.directory(organization, 'scim.okta', name);
  for (let n = 0; n < PEOPLE; n += 1) await on.server.pushUser(directory, `person${n}@example.com`);
  const page = await visit(on, organization);
  await page.getByRole('link', { name }).click();
  await page.getByRole('link', { name: 'Pause and disconnect' }).click();
  return { directory, page };
}

async function push(directory) {
  return (await on.server.scim(directory, 'GET', '/Users?count=1')).status;
}

/** How many events of the kind the directory has told. */
async function told(directory, event) {
  const { data } = await on.server.api('GET', `/api/v1/events?directory_id=${directory.id}&events=${event}&limit=100`);
  return data.length;
}

test('a directory is paused and started again', async () => {
  const { directory, page } = await connected('Paused');
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await page.getByText('Paused: what the provider sends now is refused for a while.').waitFor();
  assert.equal(await push(directory), 503);
  await page.getByRole('button', { name: 'Start again' }).click();
  await page.getByText('The directory works again.').waitFor();
  assert.equal(await push(directory), 200);
});

test('a directory is frozen: nothing changes, nobody loses access', async () => {
  const { directory, page } = await connected('Frozen');
  await page.getByText(`${PEOPLE} active users`).first().waitFor();
  const freeze = page.locator('details', { hasText: 'Freeze' });
  await freeze.locator('summary').click();
  await freeze.getByText(/keep access/).waitFor();
  await freeze.getByRole('button', { name: /^Freeze/ }).click();
  await page.getByText('The directory is frozen.').waitFor();
  assert.equal(await push(directory), 403);
  const { metadata } = await on.server.api('GET', `/api/v1/directories/${directory.id}`);
  assert.equal(metadata.users.active, PEOPLE);
  assert.equal(await told(directory, 'dsync.user.updated'), 0);
});

test('access is taken away from everybody, who are counted first; the directory goes', async () => {
  const { directory, page } = await connected('Left');
  const end = page.locator('details', { hasText: 'Take access away' });
  await end.locator('summary').click();
  await end.getByText(`${PEOPLE} users lose access`).waitFor();
  await end.getByRole('button', { name: /^Take access away/ }).click();
  await page.getByText('The directory is being disconnected.').waitFor();
  await until('the directory is gone', async () => {
    await page.goto(`${on.server.url}/setup`);
    return await page.getByRole('link', { name: 'Left' }).count() === 0;
  });
  assert.equal(await told(directory, 'dsync.user.updated'), PEOPLE);
  assert.equal(await told(directory, 'dsync.deleted'), 1);
});

/** A directory whose brake holds, and its page. */
async function holding(name) {
  const organization = await on.server.organization(name);
  const directory = await braked(on.server, organization);
  const page = await visit(on, organization);
  await page.getByRole('link', { name: 'Keycloak' }).first().click();
  await page.getByRole('link', { name: 'Brake' }).click();
  await page.getByText('has taken away more than usual').waitFor();
  return { directory, page };
}

async function active(directory) {
  return (await on.server.api('GET', `/api/v1/directories/${directory.id}`)).metadata.users.active;
}

test('a removal that was a mistake is put back, and the application never hears of it', async () => {
  const { directory, page } = await holding('Undone');
  const before = await told(directory, 'dsync.user.updated');
  const undo = page.locator('details', { hasText: 'Put it back' });
  await undo.locator('summary').click();
  await undo.getByRole('button', { name: 'Put it back' }).click();
  await page.getByText('What was taken away was put back.').waitFor();
  await until('the brake is open', async () => {
    await page.reload();
    return page.getByText('Nothing waits').isVisible();
  });
  // What went before the limit was reached was told at once.
  assert.equal(await active(directory), 12 - before);
  assert.equal(await told(directory, 'dsync.user.updated'), before);
});

test('a removal that was meant is let through', async () => {
  const { directory, page } = await holding('Released');
  const release = page.locator('details', { hasText: 'Let it through' });
  await release.locator('summary').click();
  await release.getByText(/these people lose access/).waitFor();
  await release.getByRole('button', { name: 'Let it through' }).click();
  await page.getByText('What waited was let through.').waitFor();
  await until('the application has been told', async () => (await told(directory, 'dsync.user.updated')) === 6);
  assert.equal(await active(directory), 6);
});
