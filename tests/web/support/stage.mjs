// What the tests of a file share: a server, and a browser.

import { after, before } from 'node:test';
import { launch, leave } from './browser.mjs';
import { Server } from './server.mjs';

/** Filled before the first test with `browser` and what `prepare` gives, of which `server` is one. */
export function stage(prepare = async () => ({ server: await Server.start() })) {
  const shared = {};
  before(async () => {
    const [browser, story] = await Promise.all([launch(), prepare()]);
    Object.assign(shared, story, { browser });
  });
  after(async () => {
    try {
      await leave(shared.browser);
    } finally {
      await shared.server?.stop();
    }
  });
  return shared;
}
