// Forms in the hands of people: pressed twice, sent late, sent from a page that is not theirs any more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fits, signIn, visitor } from './support/browser.mjs';
import { visit } from './support/portal.mjs';
import { PASSWORD, Server } from './support/server.mjs';
import { stage } from './support/stage.mjs';

const on = stage(async () => {
  const server = await Server.start();
  server.administrator('operator@example.com', 'operator');
  const corp = await server.organization('Example Corp');
  return { server, corp, okta: await server.directory(corp, 'scim.okta', 'Okta') };
});

async function operator() {
  const page = await visitor(on.browser);
  await signIn(page, on.server, 'operator@example.com', PASSWORD);
  await page.waitForURL('**/console');
  return page;
}

async function tokens(directory) {
  return (await on.server.api('GET', `/api/v1/directories/${directory.id}/tokens`)).data.length;
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without';

  test(`a button that is pressed twice acts once, ${how} scripts`, async () => {
    const organization = await on.server.organization(`Pressed ${how} scripts`);
    const page = await visit(on, organization, { javaScriptEnabled });
    await page.getByRole('button', { name: 'OneLogin' }).dblclick();
    await page.getByRole('heading', { name: 'Base URL' }).waitFor();
    const { data } = await on.server.api('GET', `/api/v1/directories?organization_id=${organization.id}`);
    assert.equal(data.length, 1);
    const before = await tokens(data[0]);
    await page.getByRole('button', { name: 'Make a token' }).dblclick();
    await page.waitForURL('**/tokens');
    assert.equal(await tokens(data[0]), before + 1);
  });
}

test('a form of the console that is sent twice acts once', async () => {
  const page = await operator();
  await page.goto(`${on.server.url}/console/organizations`);
  await page.locator('#name').fill('Made once');
  await page.getByRole('button', { name: 'Make the organization' }).dblclick();
  await page.getByRole('heading', { name: 'Made once' }).waitFor();
  const { data } = await on.server.api('GET', '/api/v1/organizations?limit=500');
  assert.equal(data.filter((one) => one.name === 'Made once').length, 1);
});

test('a form that is sent when the session is gone changes nothing and says what to do', async () => {
  const portal = await visit(on, on.corp);
  await portal.goto(`${on.server.url}/setup/directories/${on.okta.id}`);
  const before = await tokens(on.okta);
  await portal.context().clearCookies();
  await portal.getByRole('button', { name: 'Make a token' }).click();
  await portal.getByText(/Ask whoever sent you the link for a new one/).waitFor();
  assert.equal(await tokens(on.okta), before);
  // The page may have asked what is new meanwhile, and was refused.
  portal.wrong.length = 0;

  const console = await operator();
  await console.goto(`${on.server.url}/console/directories/${on.okta.id}/settings`);
  await console.locator('#name').fill('Another name');
  await console.context().clearCookies();
  await console.getByRole('button', { name: 'Rename' }).click();
  await console.getByText('You are signed out, so nothing was changed.').waitFor();
  await console.getByRole('link', { name: 'To the overview' }).click();
  await console.getByRole('heading', { name: 'Sign in' }).waitFor();
  const { name } = await on.server.api('GET', `/api/v1/directories/${on.okta.id}`);
  assert.equal(name, 'Okta');
});

test('a form of an earlier session is refused, and nothing is changed', async () => {
  const console = await operator();
  await console.goto(`${on.server.url}/console/directories/${on.okta.id}/settings`);
  await console.locator('#name').fill('Another name');
  // In another tab of the same browser somebody signs in anew.
  const tab = await console.context().newPage();
  await tab.context().clearCookies();
  await signIn(tab, on.server, 'operator@example.com', PASSWORD);
  await tab.waitForURL('**/console');
  await console.getByRole('button', { name: 'Rename' }).click();
  await console.getByText(/This form does not belong to this session/).waitFor();
  const { name } = await on.server.api('GET', `/api/v1/directories/${on.okta.id}`);
  assert.equal(name, 'Okta');

  const portal = await visit(on, on.corp);
  await portal.goto(`${on.server.url}/setup/directories/${on.okta.id}`);
  const before = await tokens(on.okta);
  const other = await portal.context().newPage();
  await other.goto(await on.server.link(on.corp));
  await other.getByRole('button', { name: 'Continue' }).click();
  await other.waitForURL('**/setup');
  await portal.getByRole('button', { name: 'Make a token' }).click();
  await portal.getByText(/This form does not belong to this session/).waitFor();
  assert.equal(await tokens(on.okta), before);
});

test('after the way back a form can be sent again', async () => {
  const page = await operator();
  await page.goto(`${on.server.url}/console/organizations`);
  await page.locator('#name').fill('First');
  await page.getByRole('button', { name: 'Make the organization' }).click();
  await page.getByRole('heading', { name: 'First' }).waitFor();
  await page.goBack();
  await page.locator('#name').fill('Second');
  await page.getByRole('button', { name: 'Make the organization' }).click();
  await page.getByRole('heading', { name: 'Second' }).waitFor();
});

test('letters of twice the size fit', async () => {
  const page = await operator();
  const setUp = await visit(on, on.corp);
  for (const [who, where] of [
    [page, '/console'], [page, `/console/directories/${on.okta.id}`], [page, '/console/audit'], [page, '/console/events'],
    [setUp, '/setup'], [setUp, `/setup/directories/${on.okta.id}`], [setUp, '/setup/sources/pull.ldap'],
  ]) {
    await who.goto(`${on.server.url}${where}`);
    const session = await who.context().newCDPSession(who);
    await session.send('Runtime.evaluate', { expression: 'document.documentElement.style.fontSize = "200%"' });
    await fits(who);
    await session.detach();
  }
});

test('nothing moves for whoever does not want it', async () => {
  const duration = async (reducedMotion) => {
    const page = await visitor(on.browser, { reducedMotion });
    await page.goto(`${on.server.url}/console/sign-in`);
    return page.evaluate(() => {
      const part = document.querySelector('main');
      part.classList.add('htmx-swapping');
      return getComputedStyle(part).transitionDuration;
    });
  };
  assert.deepEqual([await duration('reduce'), await duration('no-preference')], ['0s', '0.2s']);
});
