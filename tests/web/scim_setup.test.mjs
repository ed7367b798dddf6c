// An administrator follows a link and connects Okta; Okta's recorded requests arrive while the page is open.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { check, launch, visitor } from './support/browser.mjs';
import { Server, play } from './support/server.mjs';

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('a SCIM directory is set up by following the screen', async () => {
  const organization = await server.organization('Example Corp');
  const link = await server.link(organization, { return_url: 'https://app.example.com/settings' });
  const page = await visitor(browser);
  await page.goto(link);
  await check(page);
  await page.getByRole('button', { name: 'Continue' }).click();
  await check(page);
  await page.getByRole('button', { name: /^Okta\b/ }).first().click();
  await check(page);

  const baseUrl = await page.locator('#base-url').innerText();
  assert.match(baseUrl, /\/scim\/v2\//);
  await page.getByRole('button', { name: 'Make a token' }).click();
  const token = (await page.locator('#token').innerText()).trim();
  assert.match(token, /^rbd_/);
  await check(page);
});
