// An administrator who follows only what the screen says connects an OpenLDAP server: a real slapd with its own
// authority. Once with a mouse and mistakes, once with the keyboard alone.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { check, visitor } from './support/browser.mjs';
import { press, tabTo, typeInto } from './support/keyboard.mjs';
import { visit } from './support/portal.mjs';
import { until } from './support/server.mjs';
import { Slapd } from './support/slapd.mjs';
import { stage } from './support/stage.mjs';

const USERS = 60;

const on = stage();
let slapd;
before(async () => { slapd = await Slapd.start(USERS); });
after(() => slapd?.stop());

/** The users of the one directory of the organization, as soon as there are any. */
async function users(organization) {
  const { data } = await on.server.api('GET', `/api/v1/directories?organization_id=${organization.id}`);
  assert.equal(data.length, 1);
  return until('the users are there', async () => {
    const found = await on.server.api('GET', `/api/v1/directories/${data[0].id}`);
    return found.metadata.users.active + found.metadata.users.inactive;
  });
}

test('an LDAP directory is set up by following the screen', async () => {
  const organization = await on.server.organization('Example Corp');
  const page = await visit(on, organization);
  await page.getByRole('link', { name: 'LDAP directory' }).click();
  const field = (label) => page.getByLabel(label);
  const button = (name) => page.getByRole('button', { name, exact: true });

  // What is wrong stands beside its field, and what was right stays.
  await field(/^User base/).fill('ou=People,dc=corp,dc=test');
  await button('Connect').click();
  await page.locator('.fault').first().waitFor();
  await check(page);
  assert.equal(await field(/^User base/).inputValue(), 'ou=People,dc=corp,dc=test');

  await field(/^URL/i).fill(slapd.url);
  await field(/^TLS/i).selectOption('ldaps');
  await field(/^CA PEM/i).fill(slapd.authority);
  await field(/^Bind DN/i).fill('cn=sync,ou=Services,dc=corp,dc=test');
  await field(/^Bind password/).fill('not the password');
  await field(/^Group base/).fill('ou=Groups,dc=corp,dc=test');
  await button('Connect').click();
  await button('Test connection').click();
  await page.getByText('The source refuses the credentials.').waitFor();

  await page.getByRole('link', { name: 'Change the source' }).click();
  await field(/^Bind password/).fill('syncpw');
  await button('Save').click();
  await page.getByText('It was saved.').waitFor();
  await page.getByRole('link', { name: 'Overview' }).click();
  await button('Test connection').click();
  await page.getByText('The source can be read.').waitFor();
  await page.getByText(`It has ${USERS} users.`).waitFor();
  await page.getByRole('link', { name: 'On', exact: true }).click();
  await button('Preview').click();
  await page.getByText('Who would come, go and change').waitFor();
  await check(page);
  await page.getByRole('link', { name: 'On', exact: true }).click();
  await button('Start synchronising').click();
  await page.getByText('What happened').waitFor();
  await page.getByRole('row', { name: /^Users/ }).getByRole('cell', { name: String(USERS), exact: true }).waitFor();
  await check(page);
  assert.equal(await users(organization), USERS);
});

test('with the keyboard alone', async () => {
  const organization = await on.server.organization('Example Labs');
  const page = await visitor(on.browser);
  await page.goto(await on.server.link(organization));
  const button = (name) => page.getByRole('button', { name, exact: true });
  await press(page, button('Continue'));
  await press(page, page.getByRole('link', { name: 'Skip to the content' }));
  await press(page, page.getByRole('link', { name: 'LDAP directory' }));
  // In the order in which the page has them.
  await typeInto(page, page.getByLabel(/^URL/i), slapd.url);
  await tabTo(page, page.getByLabel(/^TLS/i));
  await typeInto(page, page.getByLabel(/^Bind DN/i), 'cn=sync,ou=Services,dc=corp,dc=test');
  await typeInto(page, page.getByLabel(/^Bind password/), 'syncpw');
  await typeInto(page, page.getByLabel(/^User base/), 'ou=People,dc=corp,dc=test');
  await typeInto(page, page.getByLabel(/^CA PEM/i), slapd.authority);
  await press(page, button('Connect'));
  await page.getByRole('heading', { name: 'Test the connection' }).waitFor();
  await press(page, button('Test connection'), 'Space');
  await page.getByText('The source can be read.').waitFor();
  await press(page, page.getByRole('link', { name: 'On', exact: true }));
  await press(page, button('Preview'));
  await page.getByText('Who would come, go and change').waitFor();
  await press(page, page.getByRole('link', { name: 'On', exact: true }));
  await press(page, button('Start synchronising'), 'Space');
  await page.getByText('What happened').waitFor();
  assert.equal(await users(organization), USERS);

  // What is folded up opens by keyboard, too, and can be closed without doing it.
  await press(page, page.getByRole('link', { name: 'Pause and disconnect' }));
  const summary = page.locator('summary', { hasText: 'Freeze' });
  await press(page, summary);
  await page.getByRole('button', { name: /^Freeze/ }).waitFor();
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: /^Freeze/ }).waitFor({ state: 'hidden' });
});
