// The page of a person in a real Chromium: register, grant, withdraw; what the checks say; what is refused.
//
// usage: node me.mjs NARU          (NARU_AXE names axe.min.js; without it accessibility is not looked at)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { open, until } from './chromium.mjs';
import { PURPOSE, TEXT, serve } from './log.mjs';

const start = Date.now();
const step = (what) => console.log(`ok  ${((Date.now() - start) / 1000).toFixed(1).padStart(5)} s  ${what}`);
const log = await serve(path.resolve(process.argv[2]));
const browser = await open().catch(async (error) => { await log.stop(); throw error; });
const { at, run } = browser;
const axe = process.env.NARU_AXE && fs.existsSync(process.env.NARU_AXE) ? fs.readFileSync(process.env.NARU_AXE, 'utf8') : undefined;

const $ = (id) => `document.getElementById(${JSON.stringify(id)})`;
const click = (id) => run(`${$(id)}.click()`);
const status = () => run(`${$('status')}.textContent`);
const told = (text) => until(`«${text}», but ${log.base}/me says otherwise`, async () => (await status()) === text)
  .catch(async (error) => { throw new Error(`${error.message}: «${await status()}»`); });
const load = async (lang) => {
  await at('Page.navigate', { url: `${log.base}/me?lang=${lang}` });
  // Between two documents there is none, and a script's world may go away under it.
  const ready = `document.documentElement?.lang === '${lang}' && document.documentElement.dataset.ready === 'yes'`;
  await until('the page', () => run(ready).catch(() => false));
};
const accessible = async (what) => {
  if (!axe) return;
  await run(`typeof axe === 'object' || (() => { ${axe}\n })()`);
  const found = await run(`axe.run(document).then((r) => [r.passes.length, r.violations.map((v) => v.id + ': ' + v.help + ' ' + v.nodes.map((n) => n.html).join(' '))])`);
  assert.deepEqual(found[1], [], `axe-core on ${what}`);
  assert.ok(found[0] > 15, 'axe-core looked at something');
  step(`axe-core finds nothing: ${what} (${found[0]} rules pass)`);
};

const elsewhere = [], faults = [];
browser.hear((method, p) => {
  if (method === 'Network.requestWillBeSent' && !/^(data:|blob:)/.test(p.request.url) && !p.request.url.startsWith(log.base)) elsewhere.push(p.request.url);
  if (method === 'Runtime.exceptionThrown') faults.push(p.exceptionDetails.text);
  if (method === 'Log.entryAdded' && p.entry.level === 'error' && p.entry.source !== 'network') faults.push(p.entry.text);
});

try {
  const { authenticatorId } = await browser.device();
  const verified = (isUserVerified) => at('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  await load('ko');
  step(`the page stands, in ${browser.version}`);
  await accessible('the page before a login, ko');
  await at('Input.dispatchKeyEvent', { type: 'keyDown', key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 });
  assert.equal(await run('document.activeElement.className'), 'skip', 'the first stop of the keyboard leads to the content');

  // Nobody who is not verified gets a key.
  await verified(false);
  await click('register');
  await told('본인 확인이 되지 않아 아무것도 기록하지 않았습니다.');
  assert.deepEqual(await run('Object.keys(localStorage)'), []);
  await verified(true);
  step('without user verification no key is registered');

  await click('register');
  await told('열쇠를 등록했습니다.');
  assert.match(await run(`${$('keys')}.textContent`), /^패스키 [0-9a-f]{16}… · .+부터 · 쓰는 중 · 지금 로그인한 열쇠폐기: 패스키 [0-9a-f]{16}…$/);
  step('a passkey is registered, and logs in');
  assert.equal(await run('document.cookie'), '');
  assert.deepEqual(await run('Object.keys(localStorage)'), ['naru-passkeys']);
  assert.equal(await run('sessionStorage.length'), 0);
  assert.deepEqual(await run(`Object.keys(JSON.parse(localStorage.getItem('naru-passkeys'))[0])`), ['id', 'spki']);
  step('no cookie; the device keeps the public parts only');

  await run(`${$('party')}.value = 'bank'; ${$('ask')}.requestSubmit()`);
  await until('the notice', () => run(`document.querySelectorAll('#notices fieldset').length === 1`));
  assert.equal(await run(`document.querySelector('#notices .said').textContent`), TEXT);
  assert.equal(await run(`document.querySelectorAll('#notices input:checked').length`), 0, 'nothing is ticked beforehand');
  await click('grant');
  await told('먼저 동의할 목적을 고르세요.');
  assert.deepEqual(await log.permitted(), []);
  await run(`document.querySelector('input[name=purpose]').click()`);
  await click('grant');
  await told('동의를 기록했습니다. 지금부터 효력이 있습니다.');
  const [ppid, ...others] = await log.permitted();
  assert.deepEqual(others, []);
  assert.deepEqual(await log.check(ppid), [true, 'CONSENT_GIVEN']);
  const [signed] = JSON.parse(await run(`${$('signing')}.textContent`));
  assert.deepEqual([`ppid_${signed.ppid}`, signed.purpose, signed.categories], [ppid, PURPOSE, ['pd:Income']]);
  step('granted on the page: the check is permitted');
  await accessible('the page with a notice and a grant, ko');

  const receipt = () => run(`document.querySelector('#slots button.quiet').click()`);
  const idle = () => until('an act to end', () => run(`!document.body.hasAttribute('aria-busy')`));
  await until('a receipt', async () => { await receipt(); await idle(); return /영수증을 저장했습니다/.test(await status()); });
  await until('the receipt as a file', () => browser.saved().some((name) => name.endsWith('.receipt.cose')));
  step('the receipt is saved');

  // The same person without verification: neither by the page nor past it.
  const before = await log.entries();
  await verified(false);
  await run(`document.querySelector('#slots button.withdraw').click()`);
  await told('본인 확인이 되지 않아 아무것도 기록하지 않았습니다.');
  const past = await run(`(async () => {
    const { cbor, sha256, unb64u, unhex, utf8, random, join } = globalThis.bytes;
    const [key] = JSON.parse(localStorage.getItem('naru-passkeys'));
    const one = cbor({ v: 1, type: 'consent.withdraw', iat: Date.now(), nonce: random(16), ppid: unhex('${ppid.slice(5)}'),
      controller: 'bank', purpose: '${PURPOSE}', class: 'real-name' });
    const digest = await sha256(one);
    const got = await navigator.credentials.get({ publicKey: { rpId: 'localhost', userVerification: 'discouraged',
      challenge: await sha256(utf8('naru-statements/v1'), Uint8Array.of(0), digest),
      allowCredentials: [{ type: 'public-key', id: unb64u(key.id) }] } });
    const r = got.response, rest = [r.authenticatorData, r.clientDataJSON, r.signature].map((b) => new Uint8Array(b));
    const answer = await fetch('/v1/statements', { method: 'POST', headers: { 'content-type': 'application/cose' },
      body: cbor([1, one, [digest], ...rest, unb64u(key.spki)]) });
    return [rest[0][32] & 4, answer.status, (await answer.json()).code];
  })()`);
  assert.deepEqual(past, [0, 400, 'passkey-refused'], 'an assertion without the flag of verification');
  assert.deepEqual(await log.check(ppid), [true, 'CONSENT_GIVEN']);
  assert.equal(await log.entries(), before, 'nothing was recorded');
  await verified(true);
  step('without user verification nothing is signed, and the log refuses what was signed past the page');

  // In the other language, with a session of its own: the token lived in the page.
  await load('en');
  assert.equal(await run(`${$('inside')}.hidden`), true);
  await accessible('the page before a login, en');
  await click('login');
  await told('You are logged in.');
  assert.equal(await run(`document.querySelector('#slots li').dataset.state`), 'granted');
  await run(`document.querySelector('#slots button.withdraw').click()`);
  await told('Your withdrawal is recorded. From now on the data may not be used.');
  assert.deepEqual(await log.check(ppid), [false, 'CONSENT_WITHDRAWN']);
  assert.deepEqual(await log.permitted(), []);
  assert.equal(await run(`document.querySelector('#slots li').dataset.state`), 'withdrawn');
  step('withdrawn on the page: the check is denied');
  // And again: the next grant names the withdrawal it stands over.
  await run(`${$('party')}.value = 'bank'; ${$('ask')}.requestSubmit()`);
  await until('the notice', () => run(`document.querySelectorAll('#notices fieldset').length === 1`));
  await run(`document.querySelector('input[name=purpose]').click()`);
  await click('grant');
  await told('Your consent is recorded. It is in force from now on.');
  assert.deepEqual(await log.check(ppid), [true, 'CONSENT_GIVEN']);
  step('granted again, over the withdrawal');

  // A rebind that she did not ask for: seen with its date, and stopped with the key she still has.
  const rows = () => run(`${$('keys')}.textContent`);
  const key = await run(`(async () => globalThis.bytes.hex(await globalThis.bytes.sha256(globalThis.bytes.unb64u(
    JSON.parse(localStorage.getItem('naru-passkeys'))[0].spki))))()`);
  assert.ok((await rows()).includes(key.slice(0, 16)));
  // The page keeps its token to itself: her provider was told her ppid by her, in a session of its own.
  const own = await run(`(async () => {
    const { cbor, sha256, b64u, unb64u, utf8, random } = globalThis.bytes;
    const [key] = JSON.parse(localStorage.getItem('naru-passkeys')), now = Date.now();
    const one = cbor({ v: 1, origin: '${log.origin}', nonce: random(16), iat: now, exp: now + 60_000 });
    const digest = await sha256(one);
    const { response: r } = await navigator.credentials.get({ publicKey: { rpId: 'localhost', userVerification: 'required',
      challenge: await sha256(utf8('naru-login/v1'), Uint8Array.of(0), digest),
      allowCredentials: [{ type: 'public-key', id: unb64u(key.id) }] } });
    const rest = [r.authenticatorData, r.clientDataJSON, r.signature].map((b) => new Uint8Array(b));
    const login = b64u(cbor([1, one, [digest], ...rest, unb64u(key.spki)]));
    const body = new URLSearchParams({ grant_type: 'urn:naru:login', login });
    const { access_token } = await (await fetch('/oauth/token', { method: 'POST', body })).json();
    return (await (await fetch('/v1/subjects/me/ppids/self', { headers: { authorization: 'Bearer ' + access_token } })).json()).ppid;
  })()`);
  log.submit('idp.pem', 'key.rebind', { ppid: own, new: 'ab'.repeat(32), method: 'desk' }, log.OPERATOR);
  await load('en');
  await click('login');
  await told('You are logged in.');
  assert.equal(await run(`${$('rebind')}.hidden`), false);
  assert.match(await run(`${$('rebind-words')}.textContent`), /replace all your keys by a new one.*stop it now/);
  await accessible('the page with a rebind that waits, en');
  await click('make');
  await told('Look at this before you sign. Nothing is recorded yet.');
  assert.match(await run(`${$('proposal-words')}.textContent`), /the new key ends with the others/);
  await click('refuse');
  await told('Left off. Nothing was recorded.');
  await click('stop');
  await told('The replacement of your keys is stopped.');
  assert.equal(await run(`${$('rebind')}.hidden`), true);
  assert.match(await rows(), /device key abababababababab… · since [^·]+ · revoked /);
  step('a rebind that waits is shown, and stopped');

  // The same passkey on a device that has never seen the page: nothing is kept there, and it logs in and signs.
  await run('localStorage.clear()');
  await load('en');
  await click('login');
  await told('You are logged in.');
  assert.ok((await rows()).includes(key.slice(0, 16)));
  assert.equal(await run(`document.querySelector('#slots li').dataset.state`), 'granted');
  await run(`document.querySelector('#slots button.withdraw').click()`);
  await told('Your withdrawal is recorded. From now on the data may not be used.');
  assert.deepEqual(await log.check(ppid), [false, 'CONSENT_WITHDRAWN']);
  step('on another device the passkey alone is enough');

  assert.deepEqual(elsewhere, [], 'nothing is asked of another host');
  assert.deepEqual(faults, [], 'no error in the page, none against its policy');
  if (!axe) console.error('\nNOT LOOKED AT: accessibility. axe-core could not be installed from npm.\n');
  assert.ok(Date.now() - start < 60_000, 'within a minute');
  step('all');
} finally {
  await browser.close();
  await log.stop();
}
