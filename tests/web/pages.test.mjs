// Every page of the console: each link is followed once, and every page fits, reads and is usable.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { check, launch, signIn, visitor } from './support/browser.mjs';
import { filled } from './support/filled.mjs';
import { PASSWORD } from './support/server.mjs';

let story, browser;
before(async () => {
  story = await filled();
  story.server.administrator('owner@example.com', 'owner');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await story?.server.stop();
});

/** The page that an address leads to, without what tells one thing from another of its kind. */
function shape(address) {
  const path = address.pathname.replace(/\/[a-z_]+_[0-9A-HJKMNP-TV-Z]{26}/gi, '/*');
  return `${path}?${[...address.searchParams.keys()].sort().join('&')}`;
}

test('every page of the console can be used', async () => {
  const page = await visitor(browser);
  await signIn(page, story.server, 'owner@example.com', PASSWORD);
  const seen = new Map();
  const next = [new URL(`${story.server.url}/console`)];
  while (next.length > 0) {
    const address = next.shift();
    if (seen.has(shape(address))) continue;
    seen.set(shape(address), address.href);
    const answer = await page.goto(address.href);
    assert.equal(answer.status(), 200, address.href);
    await check(page, address.href);
    const links = await page.locator('a[href]').evaluateAll((all) => all
      .filter((link) => !link.hasAttribute('download')).map((link) => link.href));
    for (const link of links) {
      const to = new URL(link);
      if (to.origin === address.origin && to.pathname.startsWith('/console') && to.searchParams.get('format') === null) {
        next.push(to);
      }
    }
  }
  const areas = ['organizations', 'directories', 'people', 'groups', 'events', 'webhooks', 'identities', 'alarms',
    'audit', 'keys', 'administrators', 'health'];
  for (const area of areas) {
    assert.ok([...seen.keys()].some((one) => one.startsWith(`/console/${area}`)), `the navigation leads to ${area}`);
  }
  assert.ok(seen.size >= 30, `${seen.size} kinds of pages: ${[...seen.keys()].join(' ')}`);
});
