// An administrator who follows only what the screen says connects Okta, whose recorded requests arrive while the
// page is open: once by copying and pasting, once without scripts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, visitor } from './support/browser.mjs';
import { CLIPBOARD, copied } from './support/clipboard.mjs';
import { visit } from './support/portal.mjs';
import { play } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage();

const ask = (baseUrl, secret) =>
  fetch(`${baseUrl}/Users?count=1`, { headers: { Authorization: `Bearer ${secret}` } });

test('an Okta directory is set up by following the screen, and a token is exchanged for another', async () => {
  const organization = await on.server.organization('Example Corp');
  const link = await on.server.link(organization, { return_url: 'https://app.example.com/settings' });
  const page = await visitor(on.browser, CLIPBOARD);
  await page.goto(link);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Okta' }).click();
  await page.getByRole('heading', { name: 'Base URL' }).waitFor();
  await page.getByText('Waiting for the first request.').waitFor();
  await check(page);
  const baseUrl = await copied(page);
  assert.ok(baseUrl.startsWith(`${on.server.url}/scim/v2/`), baseUrl);

  const makeToken = async () => {
    await page.getByRole('button', { name: 'Make a token' }).click();
    await page.getByText('Copy it now').waitFor();
    const made = await copied(page);
    assert.match(made, /^rbd_/);
    return made;
  };
  const token = await makeToken();
  await check(page);
  await page.getByRole('link', { name: /On to the steps/ }).click();
  await page.getByText('Test Connector Configuration').waitFor();

  // The page is open and is not loaded again by anybody; what Okta sends shows up by itself.
  await page.evaluate(() => { window.stays = true; });
  await play(baseUrl, token, 'okta/01');
  await play(baseUrl, token, 'okta/10');
  await page.getByText('Okta is connected.').waitFor();
  await page.getByText(/Okta added the group/).first().waitFor();
  assert.equal(await page.evaluate(() => window.stays), true);
  await check(page);
  await page.getByRole('link', { name: 'Everything that Okta sent' }).click();
  await page.getByRole('cell', { name: 'refused' }).or(page.getByRole('cell', { name: 'done' })).first().waitFor();

  // Two tokens live side by side until the old one is revoked.
  await page.getByRole('link', { name: 'Connection' }).click();
  const second = await makeToken();
  await page.getByRole('link', { name: /On to the steps/ }).click();
  for (const secret of [token, second]) assert.equal((await ask(baseUrl, secret)).status, 200);
  const old = page.getByRole('row', { name: token.slice(-4) });
  await old.getByText(/^Revoke the token/).click();
  await old.getByRole('button', { name: 'Revoke it' }).click();
  await page.getByText('The token was revoked.').waitFor();
  assert.equal((await ask(baseUrl, token)).status, 401);
  assert.equal((await ask(baseUrl, second)).status, 200);

  // What was set up goes on when the session is over.
  await page.getByRole('button', { name: 'Finish' }).click();
  await page.getByRole('heading', { name: 'Finished' }).waitFor();
  assert.equal((await ask(baseUrl, second)).status, 200);
  const { data } = await on.server.api('GET', `/api/v1/directories?organization_id=${organization.id}`);
  assert.deepEqual(data.map((one) => [one.kind, one.state]), [['scim.okta', 'linked']]);
  assert.ok(data[0].metadata.users.active >= 2, JSON.stringify(data[0].metadata));
});

test('without scripts an Okta directory is set up as well', async () => {
  const organization = await on.server.organization('Example Labs');
  const page = await visit(on, organization, { javaScriptEnabled: false });
  await page.getByRole('button', { name: 'Okta' }).click();
  await page.getByText('Waiting for the first request.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Copy' }).count(), 0);
  const baseUrl = await page.getByText(/^http.*\/scim\/v2\//).innerText();
  await page.getByRole('button', { name: 'Make a token' }).click();
  const token = await page.getByText(/^rbd_/).innerText();
  await page.getByRole('link', { name: /On to the steps/ }).click();
  await play(baseUrl, token, 'okta/10');
  await page.getByRole('link', { name: 'Everything that Okta sent' }).click();
  await page.getByText(/Okta added the group/).first().waitFor();
  // Times stay in UTC, and say so.
  assert.match(await page.locator('time').first().innerText(), /UTC$/);
  await page.getByRole('link', { name: 'Pause and disconnect' }).click();
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await page.getByText('Paused: what the provider sends now is refused for a while.').waitFor();
  assert.equal((await ask(baseUrl, token)).status, 503);
});
