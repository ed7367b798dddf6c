// Visitors of the set-up portal.

import { visitor } from './browser.mjs';

/** Somebody who has followed a link of the organization and pressed its button. */
export async function visit(on, organization, options = {}) {
  const page = await visitor(on.browser, options);
  await page.goto(await on.server.link(organization));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL('**/setup');
  return page;
}
