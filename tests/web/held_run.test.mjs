// A run that would take too many people away waits until somebody has decided: in the console an operator, in
// the portal an administrator of the organization.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signIn, visitor } from './support/browser.mjs';
import { heldFile } from './support/filled.mjs';
import { visit } from './support/portal.mjs';
import { PASSWORD, Server, until } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const server = await Server.start();
  server.administrator('operator@example.com', 'operator');
  const [corp, labs] = [await server.organization('Example Corp'), await server.organization('Example Labs')];
  return { server, labs, console: await heldFile(server, corp), portal: await heldFile(server, labs) };
});

async function active(directory) {
  return (await on.server.api('GET', `/api/v1/directories/${directory.id}`)).metadata.users.active;
}

test('an operator looks at a held run and approves it', async () => {
  const { file, held } = on.console;
  assert.equal(held.status, 'held');
  assert.equal(await active(file), 40);
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'operator@example.com', PASSWORD);
  await page.getByRole('heading', { name: 'What needs attention' }).waitFor();
  await page.goto(`${on.server.url}/console/directories/${file.id}`);
  await page.getByRole('link', { name: 'Decide' }).click();
  await page.getByRole('row', { name: 'held' }).getByRole('link').click();
  await page.getByRole('row', { name: 'u020' }).waitFor();
  const approve = page.locator('details', { hasText: 'Approve' });
  await approve.locator('summary').click();
  await approve.getByRole('button', { name: 'Approve' }).click();
  await until('the people are gone', async () => (await active(file)) === 12);
  await page.goto(`${on.server.url}/console/audit`);
  await page.getByRole('cell', { name: /sync\.approved/ }).waitFor();
});

test('an administrator of the organization rejects it, and lets the next one go ahead', async () => {
  const { file } = on.portal;
  const page = await visit(on, on.labs);
  await page.getByRole('link', { name: 'Personnel file' }).click();
  const open = () => page.getByRole('row', { name: 'held' }).getByRole('link').click();
  await open();
  await page.getByText('More would be taken away than usual').waitFor();
  await page.getByRole('row', { name: 'u020' }).waitFor();
  await page.getByRole('button', { name: /^Reject it/ }).click();
  await page.getByText('What was held was rejected.').waitFor();
  assert.equal(await active(file), 40);

  await page.getByRole('link', { name: 'Overview' }).click();
  await page.getByRole('button', { name: 'Save and read now' }).click();
  await page.getByText('More would be taken away than usual').waitFor();
  await page.getByRole('button', { name: 'Let it go ahead' }).click();
  await until('the people are gone', async () => (await active(file)) === 12);
  // The page has followed by itself, or says what it waits for.
  await page.getByText('What happened').waitFor();
});
