// The keys of a person in a real Chromium: one who has passkeys alone adds device keys on the page and moves
// house by one; what is no key for her; what ends.
//
// usage: node keys.mjs NARU          (NARU_AXE names axe.min.js; without it accessibility is not looked at)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { open, until } from './chromium.mjs';
import { PURPOSE, serve } from './log.mjs';

const start = Date.now();
const step = (what) => console.log(`ok  ${((Date.now() - start) / 1000).toFixed(1).padStart(5)} s  ${what}`);
const naru = path.resolve(process.argv[2]);
const first = await serve(naru);
const second = await serve(naru).catch(async (error) => { await first.stop(); throw error; });
const browser = await open().catch(async (error) => { await first.stop(); await second.stop(); throw error; });
const { at, run, take, give } = browser;
const axe = process.env.NARU_AXE && fs.existsSync(process.env.NARU_AXE) ? fs.readFileSync(process.env.NARU_AXE, 'utf8') : undefined;

const $ = (id) => `document.getElementById(${JSON.stringify(id)})`;
const idle = () => until('an act to end', () => run(`!document.body.hasAttribute('aria-busy')`));
const text = (id) => run(`${$(id)}.textContent`);
const hidden = (id) => run(`${$(id)}.hidden`);
const click = async (id) => { await idle(); await run(`${$(id)}.click()`); };
const told = async (words) => {
  await until(`«${words}»`, async () => (await text('status')) === words)
    .catch(async (error) => { throw new Error(`${error.message}: «${await text('status')}»`); });
  await idle();
};
const load = async (lang) => {
  await at('Page.navigate', { url: `${first.base}/me?lang=${lang}` });
  const ready = `document.documentElement?.lang === '${lang}' && document.documentElement.dataset.ready === 'yes'`;
  await until('the page', () => run(ready).catch(() => false));
};
const accessible = async (what) => {
  if (!axe) return;
  await run(`typeof axe === 'object' || (() => { ${axe}\n })()`);
  const found = await run(`axe.run(document).then((r) => r.violations.map((v) => v.id + ': ' + v.help + ' ' + v.nodes.map((n) => n.html).join(' ')))`);
  assert.deepEqual(found, [], `axe-core on ${what}`);
  step(`axe-core finds nothing: ${what}`);
};
const file = (name) => path.join(first.folder, name);
const read = (name) => fs.readFileSync(file(name), 'utf8');
const keygen = (name, ...more) => JSON.parse(first.cli('keygen', '--json', ...more, '--out', `${name}.pem`)).key_hash;
const paste = async (pem) => {
  await idle();
  await run(`${$('pem')}.value = ${JSON.stringify(pem)}; ${$('paste')}.requestSubmit()`);
};
const shown = () => run(`${$('proposal-statement')}.textContent`).then(JSON.parse);
const row = (hash) => `document.querySelector('#keys [data-key="${hash}"]')`;
const live = (hash) => run(`${row(hash)}?.dataset.live`);
const revoke = async (hash) => { await idle(); await run(`${row(hash)}.querySelector('button').click()`); };
const submit = (item) => first.tried('submit', '--url', first.base, '--log-key', 'log/log.vkey', item);

// Both languages say the same things.
const shape = (v) => (v && typeof v === 'object' ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, shape(v[k])])) : typeof v);
const context = vm.createContext({});
vm.runInContext(fs.readFileSync(new URL('../../src/web/page/words.js', import.meta.url), 'utf8'), context);
const { ko, en } = context.words;
assert.deepEqual(shape(ko), shape(en));

const elsewhere = [], faults = [], sent = [];
browser.hear((method, p) => {
  if (method === 'Network.requestWillBeSent') {
    if (!/^(data:|blob:)/.test(p.request.url) && !p.request.url.startsWith(first.base)) elsewhere.push(p.request.url);
    sent.push(Buffer.from(p.request.url), ...(p.request.postDataEntries ?? []).map(({ bytes }) => Buffer.from(bytes ?? '', 'base64')));
  }
  if (method === 'Runtime.exceptionThrown') faults.push(p.exceptionDetails.text);
  if (method === 'Log.entryAdded' && p.entry.level === 'error' && p.entry.source !== 'network') faults.push(p.entry.text);
});

try {
  const { authenticatorId } = await browser.device();
  const verified = (isUserVerified) => at('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  await load('ko');
  await click('register');
  await told(ko.registered);
  await run(`${$('party')}.value = 'bank'; ${$('ask')}.requestSubmit()`);
  await until('the notice', () => run(`document.querySelectorAll('#notices fieldset').length === 1`));
  await idle();
  await run(`document.querySelector('input[name=purpose]').click()`);
  await click('grant');
  await told(ko.granted);
  const [ppid] = await first.permitted();
  const passkey = await run(`document.querySelector('#keys li').dataset.key`);
  assert.match(await text('keys'), /^패스키 [0-9a-f]{16}… · .+부터 · 쓰는 중 · 지금 로그인한 열쇠폐기: /);
  step('she has a passkey and nothing else, and sees it');

  const dev = keygen('dev'), other = keygen('other');
  const house = ['--url', first.base, '--log-key', 'log/log.vkey', '--key', 'dev.pem', '--out', 'house.zip'];
  assert.equal(first.tried('export', ...house).status, 5, 'her key signs no login yet');
  first.submit('other.pem', 'key.create', { 'key-use': 'device' });

  // What is no key for her: told at once, nothing signed, nothing recorded.
  const mine = await run(`JSON.parse(localStorage.getItem('naru-passkeys'))[0].spki`);
  const spki = (type, options) => generateKeyPairSync(type, { ...options, publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' } }).publicKey;
  const pem = (der) => `-----BEGIN PUBLIC KEY-----\n${Buffer.from(der, 'base64url').toString('base64')}\n-----END PUBLIC KEY-----\n`;
  const cut = read('dev.pub.pem').replace(/(.*)....\n-----END/, '$1\n-----END');
  for (const [wrong, words] of [['', 'noKey'], ['my key', 'noKey'], [pem(''), 'noKey'], [read('dev.pub.pem').repeat(2), 'noKey'],
    [spki('rsa', { modulusLength: 2048 }), 'rsaKey'], [spki('ec', { namedCurve: 'P-384' }), 'otherKind'], [cut, 'noKey'],
    [spki('x25519', {}), 'otherKind'], [pem(mine), 'keyYours']]) {
    await run(`${$('status')}.textContent = ''`);
    await paste(wrong);
    await told(ko[words]);
    assert.equal(await hidden('proposal'), true);
  }
  for (const way of [() => paste(read('dev.pem')), () => give($('pem-file'), file('dev.pem'))]) {
    await run(`${$('status')}.textContent = ''`);
    await way();
    await told(ko.privateKey);
    assert.deepEqual([await run(`${$('pem')}.value`), await run(`${$('pem-file')}.value`)], ['', ''], 'it does not stay');
  }
  step('no key, a private key, RSA, another curve, her own key: told, and nothing is signed');

  // Another person's key: its owner alone could endorse, and even then it is not taken.
  const handed = async () => { fs.writeFileSync(file('naru-key-add.cbor'), await take('naru-key-add.cbor')); };
  const endorse = (key, out) => first.cli('sign', '--key', key, '--endorse', 'naru-key-add.cbor', '--out', out);
  await paste(read('other.pub.pem'));
  await told(ko.look);
  await click('agree');
  await told(ko.oneStep);
  await handed();
  endorse('other.pem', 'hers.cbor');
  await give($('answer'), file('hers.cbor'));
  await told(ko.codes['key-taken']);
  await click('again');
  await handed();
  step('a key of another person is refused by the log');

  // A key of her own machine. First she looks and leaves off, then is not verified, then signs.
  await give($('pem-file'), file('dev.pub.pem'));
  await until('the key', async () => (await run(`${$('pem')}.value`)) === read('dev.pub.pem'));
  await idle();
  await run(`${$('paste')}.requestSubmit()`);
  await told(ko.look);
  assert.deepEqual([(await shown()).type, (await shown()).key, (await shown())['key-use']], ['key.add', dev, 'device']);
  assert.ok((await text('proposal-fields')).includes(dev) && (await text('proposal-words')).includes(ko.addWords));
  assert.equal(await run('document.activeElement.id'), 'h-proposal');
  await accessible('what she will sign, ko');
  await click('refuse');
  await told(ko.dropped);
  assert.deepEqual([await hidden('proposal'), await run(`${$('pem')}.value`)], [true, '']);
  await give($('pem-file'), file('dev.pub.pem'));
  await until('the key', async () => (await run(`${$('pem')}.value`)) !== '');
  await idle();
  await run(`${$('paste')}.requestSubmit()`);
  await told(ko.look);
  await verified(false);
  await click('agree');
  await told(ko.cancelled);
  assert.equal(await hidden('handover'), true);
  await verified(true);
  const agreed = await shown();
  await click('agree');
  await told(ko.oneStep);
  assert.deepEqual(JSON.parse(await text('signing')), [agreed], 'what was shown is what was signed');
  await accessible('what the new key has still to do, ko');
  await handed();
  const command = await text('command');
  assert.equal(command, 'naru sign --key dev.pem --endorse naru-key-add.cbor --out naru-key-added.cbor');
  assert.ok(first.cli(...command.split(' ').slice(1)).includes(await text('handed-id')), 'the id that the command tells');
  endorse('other.pem', 'by-other.cbor');
  const bytes = fs.readFileSync(file('naru-key-added.cbor'));
  fs.writeFileSync(file('touched.cbor'), bytes.with(bytes.length - 1, bytes.at(-1) ^ 1));
  for (const [wrong, words] of [['naru-key-add.cbor', ko.notEndorsed], ['by-other.cbor', ko.otherAnswer], ['hers.cbor', ko.otherAnswer],
    ['dev.pub.pem', ko.otherAnswer], ['touched.cbor', ko.codes['bad-signature']]]) {
    await give($('answer'), file(wrong));
    await told(words);
  }
  assert.equal(await run(`document.querySelectorAll('#keys li').length`), 1, 'nothing was recorded');
  const size = String(await first.entries());
  await give($('answer'), file('naru-key-added.cbor'));
  await told(ko.keyAdded);
  assert.equal(await live(dev), 'true');
  assert.match(await run(`${row(dev)}.textContent`), /^기기 열쇠 .+부터 · 쓰는 중폐기: /);
  step('a key that naru keygen made is added: passkey first, then the key itself');

  // By it she carries her record away, and moves.
  const statements = await until('her archive', () => {
    fs.rmSync(file('house.zip'), { force: true });
    first.cli('export', ...house);
    const { statements: n } = JSON.parse(first.cli('verify', '--json', 'house.zip', '--log-key', 'log/log.vkey'));
    return n >= 3 && n;
  });
  assert.equal(statements, 3, 'key, grant, new key: nothing that was refused is recorded');
  const to = ['--log-key', 'log/log.vkey', '--key', 'dev.pem', '--old-url', first.base, '--url', second.base,
    '--new-log-key', path.join(second.folder, 'log/log.vkey'), '--enrol', '--json'];
  first.cli('export', ...house.slice(0, -1), 'older.zip', '--at', size);
  const refused = first.tried('move', 'older.zip', ...to);
  assert.equal(refused.status, 5);
  assert.match(refused.stderr, /is a passkey, which signs in a browser alone/);
  const move = JSON.parse(first.cli('move', 'house.zip', ...to));
  assert.deepEqual([move.moved, move.missing], [1, 0]);
  const [there] = await second.permitted();
  assert.deepEqual(await second.check(there), [true, 'CONSENT_GIVEN']);
  step('she moves house by it: what she granted is granted in the second log');

  // Made in the browser: in her file, and nowhere else.
  await load('en');
  await click('login');
  await told(en.here);
  const made = async () => {
    await click('make');
    await told(en.look);
    const { key } = await shown(), name = `naru-key-${key.slice(0, 8)}.pem`;
    assert.ok((await text('proposal-words')).includes(en.madeWords(name)));
    fs.writeFileSync(file(name), await take(name));
    return [key, name];
  };
  const [left, unused] = await made();
  await accessible('a key that was made here, en');
  await click('refuse');
  await told(en.dropped);
  const [key, name] = await made();
  assert.notEqual(key, left);
  await click('agree');
  await told(en.keyAdded);
  assert.deepEqual([await live(key), await live(left)], ['true', undefined]);
  const secret = Buffer.from(read(name).split('\n').slice(1, -2).join(''), 'base64');
  assert.equal(secret.length, 48, 'PKCS #8 of an Ed25519 key');
  for (const part of [secret.subarray(-32), Buffer.from(secret.subarray(-32).toString('base64')), Buffer.from(secret.subarray(-32).toString('hex'))]) {
    assert.ok(!Buffer.concat(sent).includes(part), 'the private key is in no request');
  }
  assert.ok(sent.some((body) => body.includes(Buffer.from(key, 'hex'))), 'the bodies of requests were looked at');
  assert.deepEqual(await run('Object.keys(localStorage)'), ['naru-passkeys']);
  assert.deepEqual(await run(`indexedDB.databases().then((all) => [all.length, sessionStorage.length, document.cookie])`), [0, 0, '']);
  const withdrawal = { ppid, controller: 'bank', purpose: PURPOSE, class: 'real-name' };
  first.submit(name, 'consent.withdraw', withdrawal);
  assert.deepEqual(await first.check(ppid), [false, 'CONSENT_WITHDRAWN']);
  step('a key made in the browser is added, stands in her file alone, and withdraws by naru');
  fs.writeFileSync(file('fields.json'), JSON.stringify(withdrawal));
  first.cli('sign', '--key', unused, '--type', 'consent.withdraw', '--statement', 'fields.json', '--out', 'unused.cbor');
  assert.equal(submit('unused.cbor').status, 5, 'a key she left off signs nothing');

  // Where the browser has no Ed25519.
  await run(`(() => { const make = crypto.subtle.generateKey.bind(crypto.subtle);
    crypto.subtle.generateKey = (made, ...rest) => (made.name === 'Ed25519'
      ? Promise.reject(new DOMException('none', 'NotSupportedError')) : make(made, ...rest)); })()`);
  const [p256, p256file] = await made();
  assert.ok((await text('proposal-fields')).includes('P-256'));

  // Meanwhile another of her keys adds one: what she looked at stands over the wrong statement.
  const { ppid: own, over } = await shown();
  const third = keygen('third', '--alg', 'p256');
  first.submit('dev.pem', 'key.add', { ppid: `ppid_${own}`, over, key: third, 'key-use': 'device' }, 'third.pem');
  await click('agree');
  await told(en.codes.superseded);
  assert.equal(await live(p256), undefined);
  const [again, againfile] = await made();
  await click('agree');
  await told(en.keyAdded);
  assert.deepEqual([await live(again), await live(third), await live(p256)], ['true', 'true', undefined]);
  first.submit(againfile, 'consent.refuse', withdrawal);
  step('P-256 where there is no Ed25519; what was overtaken is refused and said');
  assert.notEqual(p256file, againfile);

  // What ends signs nothing more, and never comes back.
  await revoke(third);
  await told(en.look);
  assert.deepEqual([(await shown()).type, (await shown()).key], ['key.revoke', third]);
  assert.ok((await text('proposal-words')).includes(en.revokeWords) && !(await text('proposal-words')).includes(en.lastKey));
  await click('refuse');
  await told(en.dropped);
  assert.equal(await live(third), 'true');
  for (const ended of [third, key, again]) {
    await revoke(ended);
    await told(en.look);
    await click('agree');
    await told(en.keyRevoked);
    assert.equal(await live(ended), 'false');
    assert.match(await run(`${row(ended)}.textContent`), /^device key .+ · since [^·]+ · revoked [^·]+$/);
  }
  first.cli('sign', '--key', 'third.pem', '--type', 'consent.withdraw', '--statement', 'fields.json', '--out', 'late.cbor');
  assert.equal(submit('late.cbor').status, 5);
  await paste(read('third.pub.pem'));
  await told(en.keyWasYours);
  step('a key is revoked on the page: it signs nothing, and cannot come again');

  // The passkey of the session itself, which is not the last key; and dev then is.
  await revoke(passkey);
  await told(en.look);
  assert.ok((await text('proposal-words')).includes(en.endsHere) && !(await text('proposal-words')).includes(en.lastKey));
  await click('refuse');
  await told(en.dropped);
  await revoke(dev);
  await told(en.look);
  await click('agree');
  await told(en.keyRevoked);
  await revoke(passkey);
  await told(en.look);
  assert.ok((await text('proposal-words')).includes(en.lastKey));
  await accessible('the last key before it ends, en');
  await click('agree');
  await told(en.left);
  assert.equal(await hidden('inside'), true);
  assert.equal(await run(`localStorage.getItem('naru-passkeys')`), '[]');
  await click('login');
  await until('the answer', async () => /^Not recorded/.test(await text('status')));
  step('the last key and the key of the session: said before, and then it is over');

  assert.ok(createHash('sha256').update(Buffer.from(mine, 'base64url')).digest('hex') === passkey);
  assert.deepEqual(elsewhere, [], 'nothing is asked of another host');
  assert.deepEqual(faults, [], 'no error in the page, none against its policy');
  if (!axe) console.error('\nNOT LOOKED AT: accessibility. axe-core could not be installed from npm.\n');
  step('all');
} finally {
  await browser.close();
  await first.stop();
  await second.stop();
}
