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

test('a SCIM directory is set up by following the screen, and a token is exchanged for another', async () => {
  const organization = await server.organization('Example Corp');
  const link = await server.link(organization, { return_url: 'https://app.example.com/settings' });
  const page = await visitor(browser);
  await page.goto(link);
  await check(page);
  await page.getByRole('button', { name: 'Continue' }).click();
  await check(page);
  await page.getByRole('button', { name: /Okta$/ }).first().click();
  await page.getByText('Waiting for the first request.').waitFor();
  await check(page);

  const home = page.url();
  const baseUrl = (await page.locator('#base-url code').innerText()).trim();
  assert.match(baseUrl, /\/scim\/v2\//);
  const makeToken = async () => {
    await page.getByRole('button', { name: 'Make a token' }).click();
    const made = (await page.locator('#token code').innerText()).trim();
    assert.match(made, /^rbd_/);
    return made;
  };
  const token = await makeToken();
  await check(page);
  await page.getByRole('link', { name: /On to the steps/ }).click();

  // The page is open and is not loaded again by anybody; what Okta sends shows up by itself.
  await page.evaluate(() => { window.stays = true; });
  await play(baseUrl, token, 'okta/04');
  await page.getByText('Okta is connected.').waitFor();
  assert.equal(await page.evaluate(() => window.stays), true);
  await check(page);

  // Two tokens live side by side until the old one is revoked.
  const second = await makeToken();
  assert.notEqual(second, token);
  await page.goto(home);
  const ask = (secret) => fetch(`${baseUrl}/Users?count=1`, { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal((await ask(token)).status, 200);
  assert.equal((await ask(second)).status, 200);
  const old = page.locator('#tokens tr', { hasText: token.slice(-4) });
  await old.locator('summary').click();
  await old.getByRole('button', { name: 'Revoke it' }).click();
  await page.waitForURL(/\/setup\/directories\//);
  assert.equal((await ask(token)).status, 401);
  assert.equal((await ask(second)).status, 200);

  // A link that was used opens nothing for anybody else.
  const other = await visitor(browser);
  await other.goto(link);
  await check(other);
  assert.match(await other.locator('main').innerText(), /does not work/);
});
