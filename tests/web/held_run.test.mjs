// A run that would take too many people away waits in the console until an operator has decided.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { check, launch, signIn, visitor } from './support/browser.mjs';
import { filled } from './support/filled.mjs';
import { PASSWORD, until } from './support/server.mjs';

let story, browser;
before(async () => {
  story = await filled();
  story.server.administrator('operator@example.com', 'operator');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await story?.server.stop();
});

test('a held run is looked at and approved', async () => {
  const { server, file, held } = story;
  assert.equal(held.status, 'held');
  const active = async () =>
    (await server.api('GET', `/api/v1/directories/${file.id}`)).metadata.users.active;
  assert.equal(await active(), 40);
  const page = await visitor(browser);
  await signIn(page, server, 'operator@example.com', PASSWORD);
  await page.waitForURL('**/console');
  await page.goto(`${server.url}/console/directories/${file.id}/runs/${held.id}`);
  await check(page);
  assert.match(await page.locator('main').innerText(), /u020@example\.com|u020/);
  const approve = page.locator('details', { has: page.locator('form[action$="/approve"]') });
  if (await approve.count()) await approve.locator('summary').click();
  await page.locator('form[action$="/approve"] button').click();
  await until('the people are gone', async () => (await active()) === 12);
  await page.goto(`${server.url}/console/audit`);
  assert.match(await page.locator('main').innerText(), /sync\.approved|Sync approved/i);
});
