// Draws the pictures of docs/img: the portal and the console of a server on which something has happened.

import path from 'node:path';
import { launch, signIn, visitor } from './support/browser.mjs';
import { filled } from './support/filled.mjs';
import { PASSWORD, until } from './support/server.mjs';

const story = await filled();
const { server, corp, okta, file, held } = story;
server.administrator('owner@example.com', 'owner');
const browser = await launch();
const shot = (page, name) => page.screenshot({ path: path.join(process.env.ROLLBOOK_PICTURES, `${name}.png`) });
try {
  const customer = await visitor(browser, { viewport: { width: 1200, height: 800 } });
  await customer.goto(await server.link(corp));
  await customer.getByRole('button', { name: 'Continue' }).click();
  await shot(customer, 'portal-providers');
  await customer.goto(`${server.url}/setup/directories/${okta.id}`);
  await shot(customer, 'portal-okta');
  await customer.goto(`${server.url}/setup/sources/pull.ldap`);
  await shot(customer, 'portal-ldap');

  const owner = await visitor(browser, { viewport: { width: 1200, height: 800 } });
  await signIn(owner, server, 'owner@example.com', PASSWORD);
  await owner.waitForURL('**/console');
  await until('users are counted, which is done once a minute', async () => {
    await owner.reload();
    return !(await owner.locator('main').innerText()).includes('0\nactive users');
  }, 90);
  await shot(owner, 'console-overview');
  for (const [name, where] of [
    ['console-directory', `directories/${okta.id}`],
    ['console-requests', `directories/${okta.id}/requests`],
    ['console-held-run', `directories/${file.id}/runs/${held.id}`],
    ['console-people', 'people?q=u00'],
    ['console-audit', 'audit'],
  ]) {
    await owner.goto(`${server.url}/console/${where}`);
    await shot(owner, name);
  }
} finally {
  await browser.close();
  await server.stop();
}
