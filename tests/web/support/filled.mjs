// A server on which something has happened: two organizations, a directory that is pushed, one that is read
// from files and has a held run, webhooks, maps, keys.

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

export async function filled(settings = {}) {
  const server = await Server.start(settings);
  const corp = await server.organization('Example Corp');
  const labs = await server.organization('Example Labs');
  const okta = await server.directory(corp, 'scim.okta', 'Okta');
  const entra = await server.directory(corp, 'scim.entra', 'Entra ID');
  const file = await server.directory(labs, 'pull.csv', 'Personnel file', { config: { key: 'externalId' } });
  await server.api('POST', '/api/v1/webhook_endpoints', {
    endpoint_url: 'http://127.0.0.1:9/hooks', events: ['dsync.user.created', 'dsync.user.deleted'],
  });
  await server.api('POST', '/api/v1/api_keys', { name: 'app', scopes: ['read'] });
  for (const flow of ['okta/04', 'okta/10']) {
    await play(okta.scim.base_url, okta.token.secret, flow);
  }
  await play(entra.scim.base_url, entra.token.secret, 'entra/05').catch(() => {});
  await server.scim(okta, 'POST', '/Users', { schemas: [], userName: '' });
  const first = await read(server, file, people(40));
  const held = await read(server, file, people(12));
  return { server, corp, labs, okta, entra, file, first, held };
}
