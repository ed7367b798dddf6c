// Pages that are open show what happens, without being loaded again.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { signIn, visitor } from './support/browser.mjs';
import { braked } from './support/filled.mjs';
import { visit } from './support/portal.mjs';
import { PASSWORD, Server } from './support/server.mjs';
import { stage } from './support/stage.mjs';

/** Another SCIM server as a source; its groups are answered when `release` is called. */
class SlowSource {
  async listen() {
    const waiting = [];
    this.release = () => { for (const answer of waiting.splice(0)) answer(); };
    this.listener = createServer((request, response) => {
      const list = (resources) => response.writeHead(200, { 'Content-Type': 'application/scim+json' }).end(JSON.stringify({
        schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
        totalResults: resources.length, startIndex: 1, itemsPerPage: resources.length, Resources: resources,
      }));
      const users = Array.from({ length: 7 }, (_, n) => ({ id: `user-${n}`, userName: `user-${n}@example.com`, active: true }));
      if (request.url.startsWith('/scim/Users')) list(users);
      else if (request.url.startsWith('/scim/Groups')) waiting.push(() => list([{ id: 'group', displayName: 'Everybody' }]));
      else response.writeHead(404).end();
    });
    await new Promise((resolve) => { this.listener.listen(0, '127.0.0.1', resolve); });
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.listener.address().port}/scim`;
  }

  close() {
    this.release();
    this.listener.closeAllConnections();
    this.listener.close();
  }
}

const on = stage(async () => {
  const server = await Server.start();
  server.administrator('operator@example.com', 'operator');
  const corp = await server.organization('Example Corp');
  return { server, corp, okta: await server.directory(corp, 'scim.okta', 'Okta') };
});
let source;
before(async () => { source = await new SlowSource().listen(); });
after(() => source?.close());

async function operator(where) {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'operator@example.com', PASSWORD);
  await page.waitForURL('**/console');
  await page.goto(`${on.server.url}${where}`);
  return page;
}

/** Waits until the page listens, does something, and waits until the page shows it; it stays the same page. */
async function shows(page, act, sight) {
  await page.waitForFunction(() => window.htmx && document.querySelector('[sse-connect]')['htmx-internal-data']);
  await page.evaluate(() => { window.stays = true; });
  await act();
  await sight.first().waitFor();
  assert.equal(await page.evaluate(() => window.stays), true, `${page.url()} was loaded again`);
}

test('the request lists of the console and of the portal', async () => {
  const console = await operator(`/console/directories/${on.okta.id}/requests`);
  const portal = await visit(on, on.corp);
  await portal.goto(`${on.server.url}/setup/directories/${on.okta.id}/status`);
  const push = () => on.server.pushUser(on.okta, 'live@example.com');
  await Promise.all([
    shows(console, push, console.getByRole('cell', { name: 'live@example.com' })),
    shows(portal, async () => {}, portal.getByText('live@example.com')),
  ]);
});

test('the feed of events', async () => {
  const page = await operator('/console/events');
  const group = page.getByRole('cell', { name: 'Live Group' });
  await shows(page, () => on.server.pushGroup(on.okta, 'Live Group', []), group);
});

test('the overview and the alarms', async () => {
  const overview = await operator('/console');
  const alarms = await operator('/console/alarms');
  const alarm = (page) => page.getByRole('main').getByText(/has taken away|took away|waits?/i);
  assert.equal(await alarm(overview).count(), 0);
  await Promise.all([
    shows(overview, () => braked(on.server, on.corp), alarm(overview)),
    shows(alarms, async () => {}, alarm(alarms)),
  ]);
});

test('the progress of a run, in the console and in the portal', async () => {
  const directory = await on.server.directory(on.corp, 'pull.scim', 'Another server', {
    config: { base_url: source.url, token: 'secret', allow_private_network: true },
  });
  const run = await on.server.api('POST', `/api/v1/directories/${directory.id}/sync`, {});
  const console = await operator(`/console/directories/${directory.id}/runs/${run.id}`);
  const portal = await visit(on, on.corp);
  await portal.goto(`${on.server.url}/setup/directories/${directory.id}/runs/${run.id}`);
  await portal.getByText('7 objects so far').waitFor();
  await console.getByText('7 read').waitFor();
  await Promise.all([
    shows(console, async () => source.release(), console.getByText('completed')),
    shows(portal, async () => {}, portal.getByText('What happened')),
  ]);
});

test('an endpoint and its deliveries', async () => {
  const endpoint = await on.server.api('POST', '/api/v1/webhook_endpoints', {
    endpoint_url: 'http://127.0.0.1:9/hooks', events: ['dsync.user.created'],
  });
  const page = await operator(`/console/webhooks/${endpoint.id}`);
  const failed = page.getByText('The receiver has accepted nothing since');
  await shows(page, () => on.server.pushUser(on.okta, 'delivered@example.com'), failed);
});
