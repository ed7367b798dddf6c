// Chromium, and what is asked of every page.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Nothing is fetched from elsewhere, not even by the browser for itself.
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export const WIDTHS = [390, 1440];
export const SCHEMES = ['light', 'dark'];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ARGUMENTS });
}

/**
 * A visitor with cookies of their own. What a page does wrong by itself (an error of a script, something the
 * Content-Security-Policy refuses, a request to another origin) is gathered in `wrong`.
 */
export async function visitor(browser, options = {}) {
  // A part that fades while it is read again would be judged half faded.
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A page that is refused on purpose is an "error" of the network only.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      page.wrong.push(message.text());
    }
  });
  page.on('request', (request) => {
    const asked = new URL(request.url());
    const own = page.url().startsWith('http') ? new URL(page.url()).origin : asked.origin;
    if (asked.protocol.startsWith('http') && asked.origin !== own && !request.isNavigationRequest()) {
      page.wrong.push(`asked ${asked.origin}`);
    }
  });
  return page;
}

/** What is asked of every page: it fits, it reads, it can be used without a mouse and without eyes. */
export async function check(page, where = page.url()) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (excess > 0) {
      const widest = await page.evaluate(() => [...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > window.innerWidth + 1)
        .slice(0, 5).map((element) => element.outerHTML.slice(0, 120)));
      assert.fail(`${where} at ${width} px is ${excess} px too wide: ${widest.join(' | ')}`);
    }
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      // Injected past the page's policy, as an extension would.
      const session = await page.context().newCDPSession(page);
      await session.send('Runtime.evaluate', { expression: axe });
      const { result } = await session.send('Runtime.evaluate', {
        expression: 'axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations))',
        awaitPromise: true, returnByValue: true,
      });
      await session.detach();
      const serious = JSON.parse(result.value)
        .filter((found) => ['serious', 'critical'].includes(found.impact))
        .map((found) => `${found.id}: ${found.nodes.slice(0, 3).map((node) => node.html).join(' | ')}`);
      assert.deepEqual(serious, [], `${where} at ${width} px, ${colorScheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1440, height: 900 });
  assert.equal(await page.locator('h1').count(), 1, `${where} has one heading`);
  assert.deepEqual(page.wrong, [], where);
}

/** Signs in to the console. */
export async function signIn(page, server, email, password) {
  await page.goto(`${server.url}/console`);
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Signs out from any page of the console. */
export async function signOut(page) {
  await page.locator('#account > summary').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
}
