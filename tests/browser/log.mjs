// A log of its own on loopback: made and populated by the program's own commands, served by `naru serve`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createHash, createPrivateKey, randomUUID, sign } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { until } from './chromium.mjs';

const b64u = (b) => Buffer.from(b).toString('base64url');
export const TEXT = '은행이 서비스를 제공하려고 소득을 봅니다.\nThe bank looks at your income to serve you.';
export const PURPOSE = 'dpv:ServiceProvision';

const freePort = () => new Promise((ok, no) => {
  const probe = net.createServer().once('error', no).listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => ok(port));
  });
});

export const serve = async (naru) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'naru-log-'));
  const port = await freePort();
  const origin = `localhost:${port}/log`, base = `http://localhost:${port}`;
  let made = 0;
  const attempt = (args) => spawnSync(naru, args, { cwd: folder, encoding: 'utf8', env: { LANG: 'C', PATH: process.env.PATH } });
  const cli = (...args) => {
    const ran = attempt(args);
    assert.equal(ran.status, 0, `naru ${args.join(' ')}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  };
  for (const who of ['pipc', 'bank', 'idp']) cli('keygen', '--out', `${who}.pem`);
  cli('init', '--dir', 'log', '--origin', origin, '--regulator', 'pipc=pipc.pub.pem', '--grain-ms', '200');
  const server = spawn(naru, ['serve', '--config', 'log/naru.toml', '--listen', `127.0.0.1:${port}`],
    { cwd: folder, env: { LANG: 'C', NARU_LOG: 'warn', NARU_TICK_MS: '200' }, stdio: ['ignore', 'ignore', 'inherit'] });
  const stop = async () => {
    if (server.exitCode === null) {
      const exit = new Promise((ok) => server.once('exit', ok));
      server.kill('SIGTERM');
      await exit;
    }
    fs.rmSync(folder, { recursive: true, force: true });
    assert.equal(server.exitCode, 0, 'the server ended badly');
  };
  await until('the service', async () => {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
    return fetch(`${base}/readyz`).then((r) => r.ok, () => false);
  });

  // Signs fields, endorses them in order, submits; answers the id.
  const submit = (by, type, fields, ...endorsers) => {
    const item = (n) => `item-${made}-${n}.cbor`;
    made += 1;
    fs.writeFileSync(path.join(folder, 'fields.json'), JSON.stringify(fields));
    const { id } = JSON.parse(cli('sign', '--json', '--key', by, '--type', type, '--statement', 'fields.json', '--out', item(0)));
    endorsers.forEach((key, n) => cli('sign', '--key', key, '--endorse', item(n), '--out', item(n + 1)));
    cli('submit', '--url', base, '--log-key', 'log/log.vkey', item(endorsers.length));
    return id;
  };
  const token = async (party) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: party, sub: party, aud: origin, jti: randomUUID(), iat: now, exp: now + 30 };
    const text = [{ alg: 'EdDSA', typ: 'JWT' }, claims].map((part) => b64u(JSON.stringify(part))).join('.');
    const key = createPrivateKey(fs.readFileSync(path.join(folder, `${party}.pem`)));
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_assertion: `${text}.${b64u(sign(null, text, key))}`,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' });
    const answer = await fetch(`${base}/oauth/token`, { method: 'POST', body });
    assert.equal(answer.status, 200, await answer.clone().text());
    return (await answer.json()).access_token;
  };
  const ask = async (path_, bearer, body, type = 'application/json') => {
    const answer = await fetch(base + path_, { method: 'POST', headers: { authorization: `Bearer ${bearer}`, 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body) });
    assert.ok(answer.ok, `${path_}: ${await answer.clone().text()}`);
    return answer.json();
  };

  const office = { name: 'privacy office', contact: 'privacy@example.kr' };
  const party = (name, roles, more = {}) => ({ party: name, 'name-ko': '나루은행', 'name-en': 'Naru Bank', roles, jurisdiction: 'KR', office, ...more });
  const OPERATOR = 'log/keys/operator.pem';
  submit('bank.pem', 'party.register', party('bank', ['controller', 'recipient']), OPERATOR);
  submit('idp.pem', 'party.register', party('idp', ['identity-provider'], { licence: { number: '1', regulator: 'pipc' } }), OPERATOR, 'pipc.pem');
  // An assertion of the second of the start counts as made before it.
  await until('the next second', () => Date.now() % 1000 < 100);
  const bank = await token('bank');
  const { hash } = await ask('/v1/attachments', bank, TEXT, 'application/octet-stream');
  assert.equal(hash, createHash('sha256').update(TEXT).digest('hex'));
  submit('bank.pem', 'notice.publish', { controller: 'bank', name: 'service', version: 1, office,
    purposes: [{ purpose: PURPOSE, class: 'real-name', actions: ['collect', 'use'], recipients: [], 'keep-ms': 365 * 86_400_000,
      categories: [{ category: 'pd:Income', required: true, reason: 'to serve you' }, { category: 'pd:Age', required: false, reason: 'to serve you better' }] }],
    texts: [{ locale: 'ko', audience: 'adult', 'media-type': 'text/plain', length: Buffer.byteLength(TEXT), hash }] });

  const question = (more) => ({ subject: { type: 'party', id: 'bank' }, action: { name: 'use', properties: { purpose: PURPOSE } },
    resource: { type: 'person', properties: { class: 'real-name', categories: ['pd:Income'] }, ...more } });
  return {
    base, origin, stop, submit, folder, cli, tried: (...args) => attempt(args), OPERATOR, ask, bank,
    // Whom the bank may serve, as the bank finds out.
    permitted: async () => (await ask('/access/v1/search/resource', bank, question({}))).results.map(({ id }) => id),
    check: async (id) => {
      const { decision, context } = await ask('/access/v1/evaluation', bank, question({ id }));
      return [decision, context.reason];
    },
    entries: async () => Number((await (await fetch(`${base}/log/checkpoint`)).text()).split('\n')[1]),
  };
};
