// Makes the vectors in this folder with a real Chromium and its virtual authenticator.
//
// usage: node make.mjs          (Node 20 or later; nothing to install but Chromium)
// setup: apt-get install chromium, or CHROMIUM=/path/to/chromium
//
// One file an algorithm: three statements signed in one ceremony (three items, each whole
// in itself), one signed alone, a login, and what must be refused: the same without user
// verification, and with an extension whose output stands in the authenticator data
// (`credBlob`; PRF output stands in the client's results, which no item has room for).
// `cargo test --test identity` checks the committed files; it needs no browser. The
// DevTools protocol goes over a pipe, so that no WebSocket library is needed.
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';

const here = import.meta.dirname;
const PORT = 18080;
const ORIGIN = `http://localhost:${PORT}`;
const IAT = 1_764_000_000_000;

// ---- deterministic CBOR, as far as these statements need it
const head = (major, n) => {
  const m = major << 5;
  if (n < 24) return Buffer.from([m | n]);
  if (n < 0x100) return Buffer.from([m | 24, n]);
  if (n < 0x10000) { const b = Buffer.from([m | 25, 0, 0]); b.writeUInt16BE(n, 1); return b; }
  if (n < 0x100000000) { const b = Buffer.from([m | 26, 0, 0, 0, 0]); b.writeUInt32BE(n, 1); return b; }
  const b = Buffer.alloc(9); b[0] = m | 27; b.writeBigUInt64BE(BigInt(n), 1); return b;
};
const cbor = (v) => {
  if (typeof v === 'number') return head(0, v);
  if (typeof v === 'string') { const b = Buffer.from(v); return Buffer.concat([head(3, b.length), b]); }
  if (v instanceof Uint8Array) return Buffer.concat([head(2, v.length), v]);
  if (Array.isArray(v)) return Buffer.concat([head(4, v.length), ...v.map(cbor)]);
  const pairs = Object.entries(v).map(([k, x]) => [cbor(k), cbor(x)]).sort(([a], [b]) => Buffer.compare(a, b));
  return Buffer.concat([head(5, pairs.length), ...pairs.flat()]);
};
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();
const b64u = (b) => Buffer.from(b).toString('base64url');
const un = (s) => Buffer.from(s, 'base64url');

const common = (type, n) => ({ v: 1, type, iat: IAT, nonce: Buffer.alloc(16, n) });
const about = { ppid: Buffer.alloc(16, 9), controller: 'bank', purpose: 'dpv:ServiceProvision', class: 'real-name' };
const statements = [
  { ...common('key.create', 1), 'key-use': 'passkey' },
  { ...common('consent.withdraw', 2), ...about },
  { ...common('consent.refuse', 3), ...about },
].map(cbor);
const login = cbor({ v: 1, origin: 'localhost/log', nonce: Buffer.alloc(16, 4), iat: IAT, exp: IAT + 60_000 });
const challenge = (prefix, digests) => sha256(prefix, Buffer.from([0]), ...digests);

// ---- Chromium over a pipe
const exe = process.env.CHROMIUM ?? 'chromium';
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'naru-passkey-'));
const child = spawn(exe, ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update', '--remote-debugging-pipe',
  `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const waiting = new Map();
let last = 0, rest = Buffer.alloc(0);
child.stdio[4].on('data', (data) => {
  rest = Buffer.concat([rest, data]);
  for (let at; (at = rest.indexOf(0)) >= 0; rest = rest.subarray(at + 1)) {
    const m = JSON.parse(rest.subarray(0, at).toString());
    const w = waiting.get(m.id);
    if (w) { waiting.delete(m.id); m.error ? w.no(new Error(m.error.message)) : w.ok(m.result); }
  }
});
const send = (method, params = {}, sessionId) => new Promise((ok, no) => {
  const id = ++last; waiting.set(id, { ok, no });
  child.stdio[3].write(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }) + '\0');
});

const server = http.createServer((_, r) => { r.setHeader('content-type', 'text/html'); r.end('<!doctype html><title>naru</title>'); });
await new Promise((ok) => server.listen(PORT, '127.0.0.1', ok));

// What runs in the page; bytes travel as base64url.
const page = `
const b64u = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
const un = (s) => Uint8Array.from(atob(s.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
globalThis.register = async (alg, uv, extra) => {
  const c = await navigator.credentials.create({ publicKey: { rp: { name: 'naru' }, user: { id: new Uint8Array(16), name: 'n', displayName: 'n' },
    challenge: crypto.getRandomValues(new Uint8Array(32)), pubKeyCredParams: [{ type: 'public-key', alg }],
    authenticatorSelection: { residentKey: 'required', userVerification: uv }, extensions: extra ? { credBlob: new Uint8Array(8) } : {} } });
  return { id: b64u(c.rawId), spki: b64u(c.response.getPublicKey()), alg: c.response.getPublicKeyAlgorithm(),
    data: b64u(c.response.getAuthenticatorData()), client: b64u(c.response.clientDataJSON) };
};
globalThis.sign = async (id, challenge, uv, extra) => {
  const c = await navigator.credentials.get({ publicKey: { challenge: un(challenge), userVerification: uv,
    allowCredentials: [{ type: 'public-key', id: un(id) }], extensions: extra ? { getCredBlob: true } : {} } });
  const r = c.response;
  return { data: b64u(r.authenticatorData), client: b64u(r.clientDataJSON), signature: b64u(r.signature) };
};`;

try {
  const { targetId } = await send('Target.createTarget', { url: `${ORIGIN}/` });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const at = (method, params) => send(method, params, sessionId);
  const run = async (expression) => {
    const r = await at('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (r.exceptionDetails) throw new Error(r.exceptionDetails.exception?.description ?? r.exceptionDetails.text);
    return r.result.value;
  };
  for (let n = 0; (await run('location.origin')) !== ORIGIN; n++) {
    if (n > 100) throw new Error('the page does not load');
    await new Promise((ok) => setTimeout(ok, 50));
  }
  await run(page);
  await at('WebAuthn.enable', {});
  const { product } = await send('Browser.getVersion');
  const device = async (options, work) => {
    const { authenticatorId } = await at('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', ctap2Version: 'ctap2_1',
      transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true,
      defaultBackupEligibility: true, defaultBackupState: true, ...options } });
    try { return await work(); } finally { await at('WebAuthn.removeVirtualAuthenticator', { authenticatorId }); }
  };
  const item = (bytes, digests, a, spki) => b64u(cbor([1, bytes, digests, un(a.data), un(a.client), un(a.signature), un(spki)]));
  const ceremony = async (credential, prefix, signed, uv = 'required', extra = false) => {
    const digests = signed.map((s) => sha256(s));
    const a = await run(`sign('${credential.id}', '${b64u(challenge(prefix, digests))}', '${uv}', ${extra})`);
    return signed.map((s) => item(s, digests, a, credential.spki));
  };
  const STATEMENTS = 'naru-statements/v1', LOGIN = 'naru-login/v1';
  for (const alg of [-8, -7, -257]) {
    const vector = { made: `${product}, virtual authenticator, make.mjs`, origin: ORIGIN, rpId: 'localhost', alg };
    await device({}, async () => {
      const credential = await run(`register(${alg}, 'required', false)`);
      vector.spki = credential.spki;
      vector.ceremony = await ceremony(credential, STATEMENTS, statements);
      vector.alone = (await ceremony(credential, STATEMENTS, [statements[1]]))[0];
      vector.login = (await ceremony(credential, LOGIN, [login]))[0];
      vector.registration = { authenticatorData: credential.data, clientDataJSON: credential.client };
    });
    await device({ isUserVerified: false, hasUserVerification: false }, async () => {
      const credential = await run(`register(${alg}, 'discouraged', false)`);
      vector.unverified = (await ceremony(credential, STATEMENTS, [statements[1]], 'discouraged'))[0];
    });
    await device({ hasCredBlob: true }, async () => {
      const credential = await run(`register(${alg}, 'required', true)`);
      vector.extra = (await ceremony(credential, STATEMENTS, [statements[1]], 'required', true))[0];
    });
    fs.writeFileSync(path.join(here, `chromium${alg}.json`), JSON.stringify(vector, null, 1) + '\n');
    console.log(alg, vector.made, `spki ${un(vector.spki).length} bytes`);
  }
} finally {
  await send('Browser.close').catch(() => {});
  server.close();
  await new Promise((ok) => (child.exitCode === null ? child.once('exit', ok) : ok()));
  fs.rmSync(profile, { recursive: true, force: true });
}
