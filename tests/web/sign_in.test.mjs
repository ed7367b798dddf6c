// Who is let in to the console, and what is answered to others.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { check, launch, signIn, signOut, visitor } from './support/browser.mjs';
import { PASSWORD, Server } from './support/server.mjs';

let server, browser;
before(async () => {
  server = await Server.start();
  server.administrator('owner@example.com', 'owner');
  server.administrator('viewer@example.com', 'viewer');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('a wrong password and an unknown account get the same refusal', async () => {
  const page = await visitor(browser);
  await signIn(page, server, 'owner@example.com', 'not the password at all');
  const wrong = await page.getByRole('alert').innerText();
  await check(page);
  await signIn(page, server, 'nobody@example.com', 'not the password at all');
  assert.equal(await page.getByRole('alert').innerText(), wrong);
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.filter((cookie) => cookie.name.endsWith('rollbook_console')), []);
});

test('who signs in comes back to the page that was asked for, and is out after signing out', async () => {
  const page = await visitor(browser);
  await page.goto(`${server.url}/console/organizations`);
  await page.getByLabel('E-mail').fill('owner@example.com');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/console/organizations');
  await signOut(page);
  await page.goto(`${server.url}/console/organizations`);
  await page.waitForURL('**/console/sign-in**');
});

test('the cookie of a session opens no API', async () => {
  const page = await visitor(browser);
  await signIn(page, server, 'owner@example.com', PASSWORD);
  await page.waitForURL('**/console');
  const answer = await page.request.get(`${server.url}/api/v1/organizations`);
  assert.equal(answer.status(), 401);
});

test('a viewer sees no button that acts, and a form of theirs is refused', async () => {
  const page = await visitor(browser);
  await signIn(page, server, 'viewer@example.com', PASSWORD);
  await page.waitForURL('**/console');
  const answer = await page.goto(`${server.url}/console/administrators`);
  assert.equal(answer.status(), 403);
  await check(page);
});
