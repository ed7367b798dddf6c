// An operator looks for an event and has it sent to a receiver once more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signIn, visitor } from './support/browser.mjs';
import { receiver } from './support/filled.mjs';
import { PASSWORD, Server, until } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const server = await Server.start();
  server.administrator('operator@example.com', 'operator');
  const okta = await server.directory(await server.organization('Example Corp'), 'scim.okta', 'Okta');
  const hooks = await receiver();
  await server.api('POST', '/api/v1/webhook_endpoints', {
    endpoint_url: hooks.url, events: ['dsync.user.created', 'dsync.group.created'],
  });
  await server.pushUser(okta, 'ada@example.com');
  await server.pushGroup(okta, 'Sales', []);
  return { server, hooks };
});

test('an event is found, sent again and seen among the deliveries; a test event comes through', async () => {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'operator@example.com', PASSWORD);
  await page.getByRole('link', { name: 'Events', exact: true }).click();
  await page.getByLabel('Event', { exact: true }).selectOption('dsync.group.created');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByRole('link', { name: 'Show all' }).waitFor();
  const rows = page.locator('#events tbody tr');
  assert.equal(await rows.count(), 1);
  await until('both have arrived', () => on.hooks.got.length === 2);

  await rows.getByRole('link', { name: 'dsync.group.created' }).click();
  await page.getByRole('button', { name: 'Send again' }).click();
  await until('it has arrived once more', () => on.hooks.got.length === 3);
  const [, first, again] = on.hooks.got;
  assert.equal(again.id, first.id);

  await page.getByRole('link', { name: 'Webhooks' }).first().click();
  await page.getByRole('link', { name: on.hooks.url }).click();
  await page.getByText('(sent again)').first().waitFor();
  await page.getByRole('button', { name: 'Send a test event' }).click();
  await until('the test event has arrived', () => on.hooks.got.length === 4);
  assert.equal(on.hooks.got[3].event, 'rollbook.webhook.test');

  // What is paused says so, and gets nothing until it is enabled.
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByText(/Nothing is sent: this endpoint is paused/).waitFor();
  await page.getByRole('button', { name: 'Enable' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
});
