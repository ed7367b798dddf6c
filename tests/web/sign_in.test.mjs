// Who is let in to the console, and what is answered to others.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, signIn, signOut, visitor } from './support/browser.mjs';
import { PASSWORD, Server } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const server = await Server.start();
  server.administrator('owner@example.com', 'owner');
  server.administrator('viewer@example.com', 'viewer');
  return { server };
});

test('a wrong password and an unknown account get the same refusal', async () => {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'owner@example.com', 'not the password at all');
  const wrong = await page.getByRole('alert').innerText();
  await check(page);
  await signIn(page, on.server, 'nobody@example.com', 'not the password at all');
  assert.equal(await page.getByRole('alert').innerText(), wrong);
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.filter((cookie) => cookie.name.endsWith('rollbook_console')), []);
});

test('who signs in comes back to the page that was asked for, and is out after signing out', async () => {
  const page = await visitor(on.browser);
  await page.goto(`${on.server.url}/console/organizations`);
  await page.getByLabel('E-mail').fill('owner@example.com');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/console/organizations');
  await signOut(page);
  await page.goto(`${on.server.url}/console/organizations`);
  await page.waitForURL('**/console/sign-in**');
});

test('the cookie of a session opens no API', async () => {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'owner@example.com', PASSWORD);
  await page.waitForURL('**/console');
  const answer = await page.request.get(`${on.server.url}/api/v1/organizations`);
  assert.equal(answer.status(), 401);
});

test('a viewer is told which role a page needs', async () => {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'viewer@example.com', PASSWORD);
  await page.waitForURL('**/console');
  const answer = await page.goto(`${on.server.url}/console/administrators`);
  assert.equal(answer.status(), 403);
  await check(page);
  await page.getByText('This needs the role owner; yours is viewer.').waitFor();
});
