// A server of one test: the binary with a folder and a port of its own, and its management API.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const BINARY = process.env.ROLLBOOK_SERVER;
const API_KEY = 'sk_web_0123456789abcdef0123456789abcdef';

export const PASSWORD = 'correct horse battery staple';

/** Waits until `look` gives something that is true; fails with `what` after so many seconds. */
export async function until(what, look, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Server {
  /** Starts a server with more settings than the usual ones. */
  static async start(settings = {}) {
    const server = new Server();
    server.folder = mkdtempSync(path.join(tmpdir(), 'rollbook-web-'));
    server.environment = {
      PATH: process.env.PATH,
      ROLLBOOK_DATA_DIR: server.folder,
      ROLLBOOK_LISTEN: '127.0.0.1:0',
      ROLLBOOK_API_KEY: API_KEY,
      ROLLBOOK_PORTAL_ORIGINS: 'https://app.example.com',
      ROLLBOOK_OUTBOUND_NETWORKS: '127.0.0.0/8',
      ...settings,
    };
    server.log = '';
    server.process = spawn(BINARY, ['serve'], { env: server.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [server.process.stdout, server.process.stderr]) {
      stream.on('data', (text) => (server.log += text));
    }
    const file = path.join(server.folder, 'local.json');
    await until('the server listens', () => {
      if (server.process.exitCode !== null) throw new Error(`the server ended: ${server.log}`);
      return existsSync(file) && readFileSync(file, 'utf8').trim().endsWith('}');
    });
    server.url = JSON.parse(readFileSync(file, 'utf8')).url;
    return server;
  }

  /** Runs `rollbook …` on this server's folder and gives what it printed. */
  run(words, input = '') {
    const done = spawnSync(BINARY, words, { env: this.environment, input, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`rollbook ${words.join(' ')}: ${done.stderr}${done.stdout}`);
    return done.stdout;
  }

  /** One request to the management API; the answer as JSON. Anything but success is an error. */
  async api(method, where, body, type = 'application/json') {
    const answer = await fetch(this.url + where, {
      method,
      headers: { Authorization: `Bearer ${API_KEY}`, 'Content-Type': type },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** One SCIM request with a directory's token. */
  async scim(directory, method, where, body) {
    return fetch(directory.scim.base_url + where, {
      method,
      headers: { Authorization: `Bearer ${directory.token.secret}`, 'Content-Type': 'application/scim+json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  /** The same, which must be carried out; the answer as JSON, if it has any. */
  async push(directory, method, where, body) {
    const answer = await this.scim(directory, method, where, body);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  pushUser(directory, userName) {
    return this.push(directory, 'POST', '/Users', {
      schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName, externalId: userName, active: true,
      name: { givenName: 'Ada', familyName: userName.split('@')[0] }, emails: [{ value: userName, type: 'work', primary: true }],
    });
  }

  pushGroup(directory, displayName, members) {
    return this.push(directory, 'POST', '/Groups', {
      schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group'], displayName,
      members: members.map((value) => ({ value })),
    });
  }

  organization(name) {
    return this.api('POST', '/api/v1/organizations', { name });
  }

  directory(organization, kind, name, more = {}) {
    return this.api('POST', '/api/v1/directories', { organization_id: organization.id, kind, name, ...more });
  }

  /** A set-up link for the organization. */
  async link(organization, more = {}) {
    const made = await this.api('POST', '/portal/generate_link', {
      organization: organization.id, intent: 'dsync', ...more,
    });
    return made.link;
  }

  /** An account of the console. */
  administrator(email, role) {
    this.run(['admin', 'create', email, '--name', email.split('@')[0], '--role', role, '--password-stdin'], `${PASSWORD}\n`);
  }

  async stop() {
    if (this.process.exitCode === null) {
      const ended = new Promise((resolve) => this.process.once('exit', resolve));
      this.process.kill('SIGTERM');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Plays the recorded flows of a provider with a token against a base URL. */
export function play(baseUrl, token, flow) {
  const flows = spawn(process.env.ROLLBOOK_FLOWS, ['--base-url', baseUrl, '--token', token, flow], {
    cwd: process.env.ROLLBOOK_ROOT,
  });
  let said = '';
  flows.stdout.on('data', (text) => (said += text));
  flows.stderr.on('data', (text) => (said += text));
  return new Promise((resolve, reject) => {
    flows.once('exit', (code) => (code === 0 ? resolve(said) : reject(new Error(`${flow}: ${said}`))));
  });
}
