// A server on which something has happened: two organizations, directories that are pushed, one that is read
// from files and has a held run, a brake that holds, webhooks, a stream, identities, maps, keys.

import { createServer } from 'node:http';
import { Server, play, until } from './server.mjs';

/** Rows of a file of people, `left` of whom are still there. */
function people(left) {
  const rows = Array.from({ length: left }, (_, n) => {
    const name = `u${String(n).padStart(3, '0')}`;
    return `${name},${name}@example.com,Ada,Example ${n},true`;
  });
  return `ID,Username,E-mail,First name,Last name,Status\n${rows.map((row, n) => `${n},${row}`).join('\n')}\n`;
}

/** Puts the file and gives the run that read it when it has come to an end or is held. */
async function read(server, directory, content) {
  await server.api('PUT', `/api/v1/directories/${directory.id}/files/users`, content, 'text/csv');
  const asked = await server.api('POST', `/api/v1/directories/${directory.id}/sync`, {});
  return until('the run has ended', async () => {
    const run = await server.api('GET', `/api/v1/directories/${directory.id}/syncs/${asked.id}?wait=5`);
    return ['pending', 'running'].includes(run.status) ? null : run;
  }, 60);
}

/** A directory of files of which 28 of 40 people are missing the second time, so that a run is held. */
export async function heldFile(server, organization) {
  const config = { key: 'externalId' };
  const file = await server.directory(organization, 'pull.csv', 'Personnel file', { config });
  const first = await read(server, file, people(40));
  const held = await read(server, file, people(12));
  return { file, first, held };
}

/** A directory that is pushed, whose brake holds because 6 of 12 people have become inactive. */
export async function braked(server, organization, more = {}) {
  const keycloak = await server.directory(organization, 'scim.keycloak', 'Keycloak', more);
  await server.api('PUT', `/api/v1/directories/${keycloak.id}/brake`, { mode: 'hold' });
  const names = Array.from({ length: 12 }, (_, n) => `p${n}@example.com`);
  const users = [];
  for (const name of names) users.push(await server.pushUser(keycloak, name));
  await server.pushGroup(keycloak, 'Sales', [users[0].id, 'not-here-yet']);
  const inactive = [{ op: 'replace', path: 'active', value: false }];
  for (const user of users.slice(0, 6)) {
    await server.push(keycloak, 'PATCH', `/Users/${user.id}`, {
      schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: inactive,
    });
  }
  return keycloak;
}

/** A receiver of webhooks, which takes everything: its address, and what it got. */
export async function receiver() {
  const got = [];
  const listener = createServer((request, response) => {
    let body = '';
    request.on('data', (text) => { body += text; });
    request.on('end', () => {
      got.push(JSON.parse(body));
      response.writeHead(204).end();
    });
  });
  await new Promise((resolve) => { listener.listen(0, '127.0.0.1', resolve); });
  // It ends with the tests.
  listener.unref();
  return { url: `http://127.0.0.1:${listener.address().port}/hooks`, got };
}

export async function filled(settings = {}) {
  const server = await Server.start(settings);
  const corp = await server.organization('Example Corp');
  const labs = await server.organization('Example Labs');
  await server.api('PUT', `/api/v1/organizations/${corp.id}/primary_directory`, { directory_id: null });
  const okta = await server.directory(corp, 'scim.okta', 'Okta');
  const entra = await server.directory(corp, 'scim.entra', 'Entra ID');
  const hooks = { events: ['dsync.user.created', 'dsync.user.deleted'] };
  await server.api('POST', '/api/v1/webhook_endpoints', { endpoint_url: 'http://127.0.0.1:9/hooks', ...hooks });
  await server.api('POST', '/api/v1/webhook_endpoints', { endpoint_url: (await receiver()).url, ...hooks });
  await server.api('POST', '/api/v1/api_keys', { name: 'app', scopes: ['read'] });
  await server.api('POST', '/ssf/streams', { description: 'Sessions' });
  await server.api('PUT', '/api/v1/consumers/app', { position: 1 });
  for (const flow of ['okta/04', 'okta/10']) {
    await play(okta.scim.base_url, okta.token.secret, flow);
  }
  await play(entra.scim.base_url, entra.token.secret, 'entra/05').catch(() => {});
  // One address in two directories: probably one person.
  for (const directory of [okta, entra]) await server.pushUser(directory, 'ada@example.com');
  await server.scim(okta, 'POST', '/Users', { schemas: [], userName: '' });
  const keycloak = await braked(server, corp);
  return { server, corp, labs, okta, entra, keycloak, ...await heldFile(server, labs) };
}
