// An administrator connects an OpenLDAP server by following the screen: a real slapd with its own authority.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { check, launch, visitor } from './support/browser.mjs';
import { Server, until } from './support/server.mjs';

let server, browser, folder, port;

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address();
      probe.close(() => resolve(free));
    });
  });
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'rollbook-slapd-'));
  const plain = await freePort();
  port = await freePort();
  const start = path.join(process.env.ROLLBOOK_ROOT, 'tests/peers/openldap/start.sh');
  const done = spawnSync('bash', [start, folder, String(plain), String(port)], {
    env: { ...process.env, USERS: '60' }, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'],
  });
  assert.equal(done.status, 0, done.stderr);
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  try {
    process.kill(Number(readFileSync(path.join(folder, 'slapd.pid'), 'utf8')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('an LDAP directory is set up by following the screen', async () => {
  const organization = await server.organization('Example Corp');
  const page = await visitor(browser);
  await page.goto(await server.link(organization));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.locator('a[href*="/setup/sources/pull.ldap"]').click();
  await check(page);

  // What is wrong stands beside its field, and what was right stays.
  await page.locator('#user_base').fill('ou=People,dc=corp,dc=test');
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.locator('.fault').first().waitFor();
  await check(page);
  assert.equal(await page.locator('#user_base').inputValue(), 'ou=People,dc=corp,dc=test');

  await page.locator('#url').fill(`ldaps://localhost:${port}`);
  await page.locator('#tls').selectOption('ldaps');
  await page.locator('#ca_pem').fill(readFileSync(path.join(folder, 'tls/ca.pem'), 'utf8'));
  await page.locator('#bind_dn').fill('cn=sync,ou=Services,dc=corp,dc=test');
  await page.locator('#bind_password').fill('not the password');
  await page.locator('#group_base').fill('ou=Groups,dc=corp,dc=test');
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.getByRole('button', { name: 'Test connection' }).click();
  await page.getByText('The source refuses the credentials.').waitFor();
  await check(page);

  await page.getByRole('link', { name: 'Change the source' }).click();
  await page.locator('#bind_password').fill('syncpw');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('nav.tabs a').first().click();
  await page.getByRole('button', { name: 'Test connection' }).click();
  await page.getByText('The source can be read.').waitFor();
  await check(page);

  await page.getByRole('link', { name: 'On', exact: true }).click();
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByText('Who would come, go and change').waitFor();
  await check(page);
  await page.getByRole('link', { name: 'On', exact: true }).click();
  await page.getByRole('button', { name: 'Start synchronising' }).click();
  await page.getByText('What happened').waitFor();
  await check(page);

  const { data } = await server.api('GET', `/api/v1/directories?organization_id=${organization.id}`);
  const users = await until('the users are there', async () => {
    const found = await server.api('GET', `/api/v1/directories/${data[0].id}`);
    return found.metadata.users.active + found.metadata.users.inactive;
  });
  assert.equal(users, 60);
});
