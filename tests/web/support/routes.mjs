// The pages that there are, by the server's source: none may be forgotten.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** `only("/path", "GET, POST")` and `page("/path")`, as the modules of the server register them. */
const REGISTERED = /\b(?:only\(\s*"([^"]+)",\s*"[^"]*\bGET\b[^"]*"|page\("([^"]+)"\))/g;

/** Paths that GET answers, as the modules of `src/http/<area>` name them. */
export function routes(area) {
  const folder = path.join(process.env.ROLLBOOK_ROOT, 'src/http', area);
  const modules = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.rs'));
  const found = modules.flatMap((name) => [...readFileSync(path.join(folder, name), 'utf8').matchAll(REGISTERED)]);
  return found.map(([, only, page]) => only ?? page).sort();
}

const isOpen = (part) => part.startsWith('{');

/** The route that answers a path: where two fit, the one with the longer part that is fixed. */
function routeOf(all, pathname) {
  const parts = pathname.split('/');
  const fits = (route) => {
    const wanted = route.split('/');
    return wanted.length === parts.length && wanted.every((part, at) => isOpen(part) || part === parts[at]);
  };
  const fixed = (route) => route.split('/').filter((part) => !isOpen(part)).length;
  return all.filter(fits).sort((one, other) => fixed(other) - fixed(one))[0];
}

/**
 * Fails for a route of the area that no page in `seen` has opened, unless `besides` says why it is none. What is
 * said there must be a route.
 */
export function assertAllSeen(area, seen, besides) {
  const all = routes(area);
  assert.ok(all.length > 10, `the routes of ${area} are found in its source: ${all}`);
  const opened = new Set(seen.filter((one) => one.status < 400).map((one) => routeOf(all, one.path)));
  assert.deepEqual(Object.keys(besides).filter((route) => !all.includes(route)), [], 'these are routes no more');
  assert.deepEqual(all.filter((route) => !opened.has(route) && !(route in besides)), [], 'no test opens these pages');
}
