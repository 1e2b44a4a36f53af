// The keys of one person on her page: seen, added, revoked.
//
// A device key signs outside a browser: by it `naru` carries her record away, or to another log. It comes by a
// `key.add` that a passkey signs and the new key endorses (design section 4, "Signed item" (b) and (c)). By
// rule it is made on her own machine: only its public part comes here, and her signed statement goes there to
// be endorsed. One that is made here stands in her file and nowhere else before anything is signed; this page
// holds it, not to be exported again, until it has endorsed. Lacks: rules of key sets, which are the log's, and
// a wipe of memory, which no script has.
'use strict';
globalThis.keyring = (page) => {
  const { join, cbor, sha256, b64u, unb64u, hex, unhex, utf8 } = globalThis.bytes;
  const { $, W, Told, make, field, say, when, readable, button, within, json, ppid, sign, statement, post, save, show, leave, session } = page;
  const ENDORSED = 'application/naru-endorsed+cose';
  const ITEM = 'naru-key-add.cbor', ANSWER = 'naru-key-added.cbor';
  // Longest file that is read, bytes: larger than any key (PEM), and than any item.
  const MAX_PEM = 4_096, MAX_ITEM = 61_440;
  // Known by the head of their one encoding (SPKI); `alg` is the byte of the COSE algorithm.
  const KINDS = [
    { name: 'Ed25519', alg: 0x27, length: 44, head: unhex('302a300506032b6570032100'), made: { name: 'Ed25519' }, signs: { name: 'Ed25519' } },
    { name: 'P-256', alg: 0x26, length: 91, head: unhex('3059301306072a8648ce3d020106082a8648ce3d03010703420004'),
      made: { name: 'ECDSA', namedCurve: 'P-256' }, signs: { name: 'ECDSA', hash: 'SHA-256' } },
  ];
  const RSA = '06092a864886f70d0101';
  // What she looks at before she signs, what waits for the new key's endorsement, and whence its public part came.
  let pending, handed, file;

  const begins = (bytes, head) => bytes.length >= head.length && head.every((byte, n) => bytes[n] === byte);
  // One DER sequence from the first byte to the last.
  const isWhole = ([tag, length, a, b], all) => tag === 0x30
    && all === (length < 0x80 ? 2 + length : length === 0x81 ? 3 + a : length === 0x82 ? 4 + a * 256 + b : -1);
  const pem = (label, der) => `-----BEGIN ${label}-----\n${btoa(String.fromCharCode(...der)).replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

  const keyOf = async (spki) => {
    const kind = KINDS.find(({ length, head }) => spki.length === length && begins(spki, head));
    if (!kind) throw new Told(hex(spki).includes(RSA) ? W.rsaKey : W.otherKind);
    return { spki, kind, hash: hex(await sha256(spki)) };
  };
  const publicKey = (text) => {
    const [, body] = text.trim().match(/^-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----$/) ?? [];
    let spki;
    try { spki = unb64u(body); } catch { throw new Told(W.noKey); }
    if (!isWhole(spki, spki.length)) throw new Told(W.noKey);
    return keyOf(spki);
  };

  // ---- an endorsement: tagged COSE_Sign1, protected `{1: alg, 4: SPKI, 16: typ}`, payload the item
  const guarded = ({ kind, spki }) =>
    join([Uint8Array.of(0xa3, 0x01, kind.alg, 0x04), cbor(spki), Uint8Array.of(0x10), cbor(ENDORSED)]);
  const unsigned = (item, key) => join([Uint8Array.of(0xd2, 0x84), cbor(guarded(key)), Uint8Array.of(0xa0), cbor(item)]);
  const endorse = async (item, key) => {
    const signed = cbor(['Signature1', guarded(key), new Uint8Array(0), item]);
    return join([unsigned(item, key), cbor(new Uint8Array(await crypto.subtle.sign(key.kind.signs, key.signer, signed)))]);
  };

  // ---- what she signs stands before her first
  const hide = () => {
    pending = handed = undefined;
    for (const id of ['proposal', 'handover']) $(id).hidden = true;
  };
  const drop = () => {
    hide();
    file = undefined;
    for (const id of ['pem', 'pem-file', 'answer']) $(id).value = '';
  };
  const propose = (words, fields, one, go) => {
    pending = async () => { $('signing').textContent = readable([one]); await go(one); };
    $('proposal-words').replaceChildren(...words.filter(Boolean).map((text) => make('p', text)));
    $('proposal-fields').replaceChildren();
    for (const [name, text] of fields) field($('proposal-fields'), name, text);
    $('proposal-statement').textContent = readable(one);
    $('handover').hidden = true;
    $('proposal').hidden = false;
    $('h-proposal').focus();
    say(W.look);
  };
  const agree = async () => { if (pending) await pending(); };
  const refuse = async () => { drop(); say(W.dropped); };
  const own = () => within(() => json('/v1/subjects/me'));
  const done = async (text) => { drop(); await show(); say(text); };

  const propound = async (key, words, go) => {
    const mine = await own();
    const known = mine.keys.find((one) => one.key === key.hash);
    if (known) throw new Told(known.live ? W.keyYours : W.keyWasYours);
    const one = statement('key.add', {
      ppid: await ppid('self'), over: mine.keys_over ? unhex(mine.keys_over) : null, key: unhex(key.hash), 'key-use': 'device',
    });
    propose([words, W.addWords, mine.rebind && W.rebindWaits], [[W.keyKind, key.kind.name], [W.keyHash, key.hash]], one, go);
  };

  // ---- a key that was made on her own machine
  // What should not have come here does not stay here.
  const mustBePublic = (text) => {
    if (!text.includes('PRIVATE KEY')) return;
    drop();
    throw new Told(W.privateKey);
  };
  const opened = async () => {
    const [chosen] = $('pem-file').files;
    if (!chosen) return;
    if (chosen.size > MAX_PEM) { drop(); throw new Told(W.noKey); }
    const text = await chosen.text();
    mustBePublic(text);
    file = { name: chosen.name, text };
    $('pem').value = text;
  };
  const given = async () => {
    hide();
    const text = $('pem').value;
    mustBePublic(text);
    const key = await publicKey(text);
    const name = (file?.text === text && file.name.match(/^([\w-]+)\.pub\.pem$/)?.[1]) || 'naru-key';
    await propound(key, W.givenWords, async (one) => {
      const bytes = cbor(one), items = await sign([bytes]);
      const id = hex(await sha256(utf8('naru-id/v1'), Uint8Array.of(0), await sha256(unb64u(items.spki)), await sha256(bytes)));
      handed = { item: items[0], key };
      pending = undefined;
      $('proposal').hidden = true;
      $('command').textContent = `naru sign --key ${name}.pem --endorse ${ITEM} --out ${ANSWER}`;
      $('handed-id').textContent = id;
      $('handover').hidden = false;
      $('h-handover').focus();
      hand();
      say(W.oneStep);
    });
  };
  const hand = () => save(new Blob([handed.item], { type: 'application/cbor' }), ITEM);
  // Sent only if it is the very item that she signed here, endorsed by the very key that she gave.
  const answered = async () => {
    const [file] = $('answer').files;
    if (!handed || !file) return;
    $('answer').disabled = true;
    try {
      const bytes = file.size > MAX_ITEM ? new Uint8Array(0) : new Uint8Array(await file.arrayBuffer());
      const head = join([unsigned(handed.item, handed.key), Uint8Array.of(0x58, 0x40)]);
      if (hex(bytes) === hex(handed.item)) throw new Told(W.notEndorsed);
      if (!begins(bytes, head) || bytes.length !== head.length + 64) throw new Told(W.otherAnswer);
      await post([bytes]);
    } finally {
      // The same name, written anew, is a change again.
      $('answer').value = '';
      $('answer').disabled = false;
    }
    await done(W.keyAdded);
  };

  // ---- a key that is made here
  const generate = async () => {
    for (const { made } of KINDS) {
      try { return [made, await crypto.subtle.generateKey(made, true, ['sign', 'verify'])]; } catch (error) {
        if (error.name !== 'NotSupportedError') throw error;
      }
    }
    throw new Told(W.cannotMake);
  };
  const madeHere = async () => {
    drop();
    // Before there is a key: without a session nothing would come of it.
    await own();
    const [made, pair] = await generate();
    const key = await keyOf(new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey)));
    const secret = new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey));
    key.signer = await crypto.subtle.importKey('pkcs8', secret, made, false, ['sign']);
    const name = `naru-key-${key.hash.slice(0, 8)}.pem`;
    save(new Blob([pem('PRIVATE KEY', secret)], { type: 'application/x-pem-file' }), name);
    secret.fill(0);
    await propound(key, W.madeWords(name), async (one) => {
      const [item] = await sign([cbor(one)]);
      await post([await endorse(item, key)]);
      await done(W.keyAdded);
    });
  };

  // ---- a key that ends
  const end = async (key, mine) => {
    const last = mine.keys.filter((one) => one.live).length === 1;
    const one = statement('key.revoke', { ppid: await ppid('self'), key: unhex(key.key) });
    const words = [W.revokeWords, last && (mine.recovery ? W.lastButPaper : W.lastKey), key.key === session() && W.endsHere];
    propose(words, [[W.keyKind, W.key[key.use]], [W.keyHash, key.key]], one, async () => {
      await post(await sign([cbor(one)]));
      if (key.key !== session()) return done(W.keyRevoked);
      drop();
      return leave(key.key);
    });
  };

  const row = (key, mine) => {
    const item = make('li', undefined, { className: 'key' });
    const name = `${W.key[key.use]} ${key.key.slice(0, 16)}…`;
    const state = key.live ? W.live : W.revokedAt(when(key.revoked));
    const here = key.key === session() ? ` · ${W.thisOne}` : '';
    item.dataset.key = key.key;
    item.dataset.live = key.live;
    item.append(make('span', `${name} · ${W.keySince(when(key.since))} · ${state}${here}`));
    if (key.live) item.append(button(W.revoke(name), () => end(key, mine), 'quiet'));
    return item;
  };
  const rows = (mine) => [...mine.keys.map((key) => row(key, mine)), ...(mine.recovery ? [make('li', W.paper)] : [])];

  return Object.freeze({ rows, opened, given, madeHere, answered, agree, refuse, again: async () => { if (handed) hand(); } });
};
