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

/** A phone and a large screen, on which pages are judged in both schemes. */
const JUDGED = [390, 1440];

/** Where pages have to fit as well: a window at 400 % (WCAG 2.2, 1.4.10) and one at 200 %. */
const FITTED = [320, 720];

/** What depends on the colours. */
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];

const STANDARD = { width: 1440, height: 900 };

/** Pages of visitors that are to be judged once more at the end. */
const visitors = [];

/** Pages that `check` has seen: `{path, status}`. */
export const seen = [];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: ARGUMENTS });
}

/** Ends the browser; nothing may have gone wrong on any page of any visitor. */
export async function leave(browser) {
  await browser?.close();
  assert.deepEqual(visitors.flatMap((page) => page.wrong), []);
}

/** Everything is fetched from the server itself, and nothing stands in the page. */
function isStrict(policy = '') {
  const rules = new Map(policy.split(';').map((rule) => rule.trim().split(/ +(.*)/s)));
  return rules.get('default-src') === "'none'" && rules.get('script-src') === "'self'"
    && rules.get('style-src') === "'self'" && rules.get('frame-ancestors') === "'none'";
}

/**
 * A visitor with cookies of their own. What a page does wrong by itself (an error of a script, something the
 * Content-Security-Policy refuses, a request to another origin, a file that is not there, a policy that lets
 * anything in) is gathered in `wrong`, which `leave` looks at.
 */
export async function visitor(browser, options = {}) {
  // A part that fades while it is read again would be judged half faded.
  const context = await browser.newContext({ viewport: STANDARD, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(45_000);
  page.wrong = [];
  visitors.push(page);
  page.on('pageerror', (error) => page.wrong.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A page that is refused on purpose is an "error" of the network only.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      page.wrong.push(`${message.text()} (${page.url()})`);
    }
  });
  page.on('request', (request) => {
    const asked = new URL(request.url());
    const own = page.url().startsWith('http') ? new URL(page.url()).origin : asked.origin;
    if (asked.protocol.startsWith('http') && asked.origin !== own && !request.isNavigationRequest()) {
      page.wrong.push(`asked ${asked.origin}`);
    }
  });
  page.on('response', (response) => {
    const request = response.request();
    if (!request.isNavigationRequest()) {
      if (response.status() >= 400) page.wrong.push(`${response.status()} ${response.url()}`);
      return;
    }
    const headers = response.headers();
    page.answered = response.status();
    if ((headers['content-type'] ?? '').startsWith('text/html') && !isStrict(headers['content-security-policy'])) {
      page.wrong.push(`${response.url()} has the policy ${headers['content-security-policy']}`);
    }
  });
  return page;
}

/** What stands in the page and runs or paints without a file of its own. */
function inline() {
  const found = [...document.querySelectorAll('style, script:not([src]), [style]')];
  const handlers = [...document.querySelectorAll('body, body *')]
    .filter((element) => element.getAttributeNames().some((name) => name.startsWith('on')));
  return [...found, ...handlers].map((element) => element.outerHTML.slice(0, 120));
}

/** Fails if the page is wider than the window. */
export async function fits(page, where = page.url()) {
  const { excess, width, widest } = await page.evaluate(() => ({
    excess: document.documentElement.scrollWidth - window.innerWidth,
    width: window.innerWidth,
    widest: [...document.querySelectorAll('body *')]
      .filter((element) => element.getBoundingClientRect().right > window.innerWidth + 1)
      .slice(0, 5).map((element) => element.outerHTML.slice(0, 120)),
  }));
  assert.ok(excess <= 0, `${where} at ${width} px is ${excess} px too wide: ${widest.join(' | ')}`);
}

/** What axe finds serious; `rules` are all when it is empty. */
async function judged(session, rules) {
  const options = { resultTypes: ['violations'], ...(rules.length > 0 && { runOnly: { type: 'rule', values: rules } }) };
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, ${JSON.stringify(options)}).then((found) => JSON.stringify(found.violations))`,
    awaitPromise: true, returnByValue: true,
  });
  return JSON.parse(result.value)
    .filter((found) => ['serious', 'critical'].includes(found.impact))
    .map((found) => `${found.id}: ${found.nodes.slice(0, 3).map((node) => node.html).join(' | ')}`);
}

/** What is asked of every page: it fits, it reads, it can be used without a mouse and without eyes. */
export async function check(page, where = page.url()) {
  // Injected past the page's policy, as an extension would.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axe });
  for (const width of FITTED) {
    await page.setViewportSize({ ...STANDARD, width });
    await fits(page, where);
  }
  // What is folded away is judged as well.
  const folded = await page.locator('details:not([open])').elementHandles();
  const unfold = (open) => Promise.all(folded.map((one) => one.evaluate((details, to) => { details.open = to; }, open)));
  await unfold(true);
  for (const width of JUDGED) {
    await page.setViewportSize({ ...STANDARD, width });
    await fits(page, where);
    for (const [colorScheme, rules] of [['light', []], ['dark', OF_COLOURS]]) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await judged(session, rules), [], `${where} at ${width} px, ${colorScheme}`);
    }
  }
  await unfold(false);
  await session.detach();
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(STANDARD);
  assert.equal(await page.locator('h1').count(), 1, `${where} has one heading`);
  assert.deepEqual(await page.evaluate(inline), [], `${where} has nothing that stands in the page itself`);
  assert.deepEqual(page.wrong, [], where);
  seen.push({ path: new URL(page.url()).pathname, status: page.answered });
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
