// A real OpenLDAP server with its own authority.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address();
      probe.close(() => resolve(free));
    });
  });
}

export class Slapd {
  /** Starts a server with so many users below ou=People,dc=corp,dc=test. */
  static async start(users) {
    const slapd = new Slapd();
    slapd.folder = mkdtempSync(path.join(tmpdir(), 'rollbook-slapd-'));
    const [plain, port] = [await freePort(), await freePort()];
    const start = path.join(process.env.ROLLBOOK_ROOT, 'tests/peers/openldap/start.sh');
    const done = spawnSync('bash', [start, slapd.folder, String(plain), String(port)], {
      env: { ...process.env, USERS: String(users) }, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'],
    });
    assert.equal(done.status, 0, done.stderr);
    slapd.url = `ldaps://localhost:${port}`;
    slapd.authority = readFileSync(path.join(slapd.folder, 'tls/ca.pem'), 'utf8');
    return slapd;
  }

  stop() {
    try {
      process.kill(Number(readFileSync(path.join(this.folder, 'slapd.pid'), 'utf8')));
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}
