// The page of an archive: shows what is inside and checks it, alone and without a network.
//
// A page opened from a disk may not read the files beside it. So the scripts in view/ carry copies, and
// this script checks every copy against the manifest that the log signed: SHA-256 of each file, the log's
// signature, the checkpoint, and of each statement and use its receipt, its opening and its signatures.
// The files on the disk themselves are checked when she names their folder. What a page cannot do is
// prove itself: a changed page says what it likes. `naru verify` does not use it.
//
// Nothing that is read becomes markup: text goes into text nodes.
'use strict';
(() => {
  const carried = new Map(), ended = new Set();
  let words = {};
  globalThis.naru = (path, text) => { text === undefined ? ended.add(path) : carried.set(path, text); };
  globalThis.naruWords = (all) => { words = all; };

  // ---- bytes
  const utf8 = new TextEncoder(), un8 = new TextDecoder('utf-8', { fatal: true });
  const hex = (b) => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
  const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
  const join = (...parts) => {
    const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    parts.reduce((at, p) => (out.set(p, at), at + p.length), 0);
    return out;
  };
  const unbase = (text) => {
    const raw = atob(text);
    if (btoa(raw) !== text) throw new Error('base64');
    return Uint8Array.from(raw, (c) => c.charCodeAt(0));
  };
  const url64 = (b) => btoa(String.fromCharCode(...b)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  const sha = async (...parts) => new Uint8Array(await crypto.subtle.digest('SHA-256', join(...parts)));
  const hmac = async (key, data) => {
    const k = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    return new Uint8Array(await crypto.subtle.sign('HMAC', k, data));
  };

  // ---- parcels: zips whose files are stored; each file in the order of the directory
  const unzip = (zip) => {
    const v = new DataView(zip.buffer, zip.byteOffset, zip.byteLength), end = zip.length - 22;
    need(end >= 0 && v.getUint32(end, true) === 0x06054b50, 'zip');
    const out = [];
    for (let n = v.getUint16(end + 10, true), at = v.getUint32(end + 16, true); n > 0; n--) {
      need(v.getUint32(at, true) === 0x02014b50 && v.getUint16(at + 10, true) === 0, 'zip');
      const size = v.getUint32(at + 24, true), long = v.getUint16(at + 28, true), local = v.getUint32(at + 42, true);
      const start = local + 30 + v.getUint16(local + 26, true) + v.getUint16(local + 28, true);
      need(start + size <= zip.length, 'zip');
      const name = un8.decode(zip.subarray(at + 46, at + 46 + long));
      out.push({ name, crc: v.getUint32(at + 16, true), bytes: zip.subarray(start, start + size) });
      at += 46 + long + v.getUint16(at + 30, true) + v.getUint16(at + 32, true);
    }
    return out;
  };
  const crc = (bytes) => {
    let c = ~0;
    for (const b of bytes) { c ^= b; for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1)); }
    return ~c >>> 0;
  };
  // Of a parcel that is another the file in it, as far as its own checksums tell.
  const altered = (path, bytes) => {
    if (!path.endsWith('.zip')) return path;
    try {
      const other = unzip(bytes).find((file) => crc(file.bytes) !== file.crc);
      return other === undefined ? path : `${path}/${other.name}`;
    } catch { return path; }
  };

  // ---- CBOR, as far as the log writes it
  const head = (major, n) => {
    const m = major << 5;
    if (n < 24) return Uint8Array.of(m | n);
    if (n < 0x100) return Uint8Array.of(m | 24, n);
    if (n < 0x10000) return Uint8Array.of(m | 25, n >> 8, n & 255);
    return Uint8Array.of(m | 26, (n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);
  };
  const bstr = (b) => join(head(2, b.length), b);
  const tstr = (s) => { const b = utf8.encode(s); return join(head(3, b.length), b); };
  const decode = (bytes) => {
    let at = 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const argument = (low) => {
      const start = at;
      if (low < 24) return low;
      if (low === 24) { at += 1; return view.getUint8(start); }
      if (low === 25) { at += 2; return view.getUint16(start); }
      if (low === 26) { at += 4; return view.getUint32(start); }
      if (low === 27) { at += 8; return Number(view.getBigUint64(start)); }
      throw new Error('cbor');
    };
    const take = (n) => { if (at + n > bytes.length) throw new Error('cbor'); at += n; return bytes.subarray(at - n, at); };
    const value = (depth) => {
      if (depth > 16) throw new Error('cbor');
      const first = view.getUint8(at); at += 1;
      const major = first >> 5, low = first & 31;
      if (major === 7) {
        if (low === 20) return false;
        if (low === 21) return true;
        if (low === 22) return null;
        throw new Error('cbor');
      }
      const n = argument(low);
      if (major === 0) return n;
      if (major === 1) return -1 - n;
      if (major === 2) return take(n);
      if (major === 3) return un8.decode(take(n));
      if (major === 4) { const out = []; for (let i = 0; i < n; i++) out.push(value(depth + 1)); return out; }
      if (major === 5) { const out = new Map(); for (let i = 0; i < n; i++) { const k = value(depth + 1); out.set(k, value(depth + 1)); } return out; }
      return { tag: n, value: value(depth + 1) };
    };
    const out = value(0);
    if (at !== bytes.length) throw new Error('cbor');
    return out;
  };
  const sign1 = (bytes) => {
    const { tag, value } = decode(bytes);
    if (tag !== 18 || value.length !== 4) throw new Error('no COSE_Sign1');
    const [raw, unprotectedHeader, payload, signature] = value;
    return { raw, header: decode(raw), unprotectedHeader, payload, signature };
  };
  const toSign = (raw, payload) => join(head(4, 4), tstr('Signature1'), bstr(raw), bstr(new Uint8Array()), bstr(payload));

  // ---- signatures
  const lacks = new Set();
  const keys = new Map();
  const kinds = {
    ed25519: [{ name: 'Ed25519' }, { name: 'Ed25519' }],
    p256: [{ name: 'ECDSA', namedCurve: 'P-256' }, { name: 'ECDSA', hash: 'SHA-256' }],
    rsa: [{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, { name: 'RSASSA-PKCS1-v1_5' }],
  };
  const kind = (spki) => (spki.length === 44 ? 'ed25519' : spki.length === 91 ? 'p256' : 'rsa');
  // Answers null where the browser does not know the algorithm: nothing is claimed then.
  const verifies = async (spki, data, signature) => {
    const [how, use] = kinds[kind(spki)];
    const name = hex(spki);
    if (!keys.has(name)) {
      keys.set(name, crypto.subtle.importKey('spki', spki, how, false, ['verify']).catch((e) => {
        if (e.name === 'NotSupportedError') return null;
        throw e;
      }));
    }
    const key = await keys.get(name);
    if (key === null) { lacks.add(how.name); return null; }
    return crypto.subtle.verify(use, key, signature, data);
  };
  const must = (holds, what) => { if (holds === false) throw new Error(what); };
  const need = (holds, what) => { if (holds !== true) throw new Error(what); };
  const raw64 = (der) => {
    const part = (at) => { const n = der[at + 1]; return [der.subarray(at + 2, at + 2 + n), at + 2 + n]; };
    const fit = (b) => { const out = new Uint8Array(32), t = b.subarray(Math.max(0, b.length - 32)); out.set(t, 32 - t.length); return out; };
    const [r, at] = part(2), [s] = part(at);
    return join(fit(r), fit(s));
  };
  const assertion = async (challenge, [data, client, signature, spki]) => {
    need(JSON.parse(un8.decode(client)).challenge === url64(challenge), 'passkey challenge');
    const made = kind(spki) === 'p256' ? raw64(signature) : signature;
    must(await verifies(spki, join(data, await sha(client)), made), 'passkey signature');
  };
  // The item again from its halves, every signature in it checked on the way. Source: design §4.
  const whole = async (proof, statement) => {
    const value = decode(proof);
    if (Array.isArray(value) && value[0] === 1) {
      const [, , digests, ...rest] = value;
      const own = await sha(statement);
      need(digests.some((d) => same(d, own)), 'passkey digest');
      await assertion(await sha(utf8.encode('naru-statements/v1'), Uint8Array.of(0), ...digests), rest);
      return join(head(4, 7), head(0, 1), bstr(statement), head(4, digests.length), ...digests.map(bstr), ...rest.map(bstr));
    }
    if (Array.isArray(value) && value[0] === 2) {
      const [, inner, ...rest] = value;
      const item = await whole(inner, statement);
      await assertion(await sha(utf8.encode('naru-statements/v1'), Uint8Array.of(0), await sha(item)), rest);
      return join(head(4, 6), head(0, 2), bstr(item), ...rest.map(bstr));
    }
    const item = sign1(proof);
    const typ = item.header.get(16);
    need(['application/naru-statement+cbor', 'application/naru-endorsed+cose'].includes(typ), 'typ');
    const payload = item.payload === null ? statement : await whole(item.payload, statement);
    must(await verifies(item.header.get(4), toSign(item.raw, payload), item.signature), 'signature');
    return join(head(6, 18), head(4, 4), bstr(item.raw), head(5, 0), bstr(payload), bstr(item.signature));
  };

  // ---- the tree. Source: RFC 9162 section 2.1.3.2
  const node = (a, b) => sha(Uint8Array.of(1), a, b);
  const rootOf = async (leaf, index, size, path) => {
    let fn = index, sn = size - 1, r = leaf;
    need(index < size, 'index');
    for (const p of path) {
      need(sn > 0, 'path');
      if (fn % 2 === 1 || fn === sn) {
        r = await node(p, r);
        while (fn % 2 === 0 && fn !== 0) { fn = Math.floor(fn / 2); sn = Math.floor(sn / 2); }
      } else {
        r = await node(r, p);
      }
      fn = Math.floor(fn / 2); sn = Math.floor(sn / 2);
    }
    need(sn === 0, 'path');
    return r;
  };

  // ---- what the archive says, and whether it holds
  const state = { failures: [], good: [], files: new Map(), left: 0, data: new Map(), head: null, batchKeys: new Set(), proven: new Set() };
  const fail = (path, what) => state.failures.push({ path, what });
  const signedRoots = new Map();
  const receipt = async (bytes, index, entry) => {
    const r = sign1(bytes);
    const claims = r.header.get(15);
    need(r.header.get(16) === 'application/naru-receipt+cose' && r.header.get(395) === 1 && r.payload === null, 'receipt');
    need(claims.get(1) === state.head.origin && claims.get(2) === 'naru.receipt.v1' && same(r.header.get(4), state.kid), 'receipt of another log');
    const [size, at, path] = decode(r.unprotectedHeader.get(396).get(-1)[0]);
    need(size === claims.get('size') && size === state.head.size && at === index, 'receipt of another place');
    const root = await rootOf(await sha(Uint8Array.of(0), entry), at, size, path);
    need(same(root, state.head.root), 'not under the checkpoint');
    const name = hex(r.raw) + hex(r.signature);
    if (!signedRoots.has(name)) signedRoots.set(name, verifies(state.spki, toSign(r.raw, root), r.signature));
    must(await signedRoots.get(name), 'signature of the receipt');
  };
  const checkpoint = async (bytes) => {
    const note = un8.decode(bytes), at = note.indexOf('\n\n') + 1;
    const body = note.slice(0, at), [origin, size, root] = body.split('\n');
    need(at > 0 && origin === state.head.origin && Number(size) === state.head.size && same(unbase(root), state.head.root), 'of another tree');
    const own = note.slice(at + 1).split('\n').find((line) => line.startsWith(`— ${origin} `));
    need(own !== undefined, 'not signed by the log');
    const signature = unbase(own.slice(`— ${origin} `.length)).subarray(4);
    must(await verifies(state.spki, utf8.encode(body), signature), 'signature');
  };
  const statement = async (path, bytes, beside) => {
    const e = decode(bytes), entry = e.get('entry'), [, t, sort, commitment] = decode(entry);
    need(sort === 1 && path.endsWith(`/${String(e.get('index')).padStart(12, '0')}.cbor`), 'of another entry');
    const at = new Uint8Array(8);
    new DataView(at.buffer).setBigUint64(0, BigInt(e.get('at')));
    const halves = [await hmac(e.get('k1'), e.get('statement')), await hmac(e.get('k2'), e.get('proof'))];
    need(t <= e.get('at') && same(await sha(utf8.encode('naru-commit/v1'), Uint8Array.of(0), at, ...halves), commitment), 'opening');
    await whole(e.get('proof'), e.get('statement'));
    await receipt(e.get('receipt'), e.get('index'), entry);
    need(e.get('checkpoint') === state.note, 'checkpoint');
    const receiptPath = `${path.slice(0, -5)}.cose`, own = beside.get(receiptPath);
    if (own === undefined || !same(own, e.get('receipt'))) fail(receiptPath, 'not the receipt of its statement');
    return decode(e.get('statement'));
  };
  const use = async (path, bytes) => {
    const e = decode(bytes), batch = decode(e.get('batch')), entry = batch.get('entry');
    const line = decode(e.get('line'));
    need(path.endsWith(`/${hex(line.get('id'))}.cbor`), 'of another decision');
    let r = await sha(Uint8Array.of(0), await hmac(e.get('k'), e.get('line')));
    let sides = BigInt(e.get('sides'));
    for (const p of e.get('path')) { r = sides & 1n ? await node(p, r) : await node(r, p); sides >>= 1n; }
    need(sides === 0n, 'path');
    const [, , sort, item] = decode(entry);
    const signed = sign1(item);
    need(sort === 0, 'no public entry');
    const name = hex(signed.signature);
    if (!signedRoots.has(name)) {
      signedRoots.set(name, verifies(signed.header.get(4), toSign(signed.raw, signed.payload), signed.signature));
      await receipt(batch.get('receipt'), batch.get('index'), entry);
      state.batchKeys.add(hex(await sha(signed.header.get(4))));
    }
    must(await signedRoots.get(name), 'signature of the batch');
    const said = decode(signed.payload);
    need(said.get('type') === 'use.batch' && same(said.get('root'), r), 'not under its batch');
    need(line.get('t') >= said.get('from') && line.get('t') < said.get('until'), 'time');
    return line;
  };
  // The files of a parcel that the page carries, by their paths.
  const inside = (path) => {
    if (!state.data.has(path)) return new Map();
    try { return new Map(unzip(state.data.get(path)).map((file) => [`${path}/${file.name}`, file.bytes])); }
    catch (e) { fail(path, e.message); return new Map(); }
  };
  const each = async (prefix, check) => {
    const out = new Map();
    for (const parcel of [...state.data.keys()].filter((path) => path.startsWith(prefix) && path.endsWith('.zip'))) {
      const files = inside(parcel);
      for (const [path, bytes] of files) {
        if (!path.endsWith('.cbor')) continue;
        try { out.set(path, await check(path, bytes, files)); } catch (e) { fail(path, e.message); }
      }
    }
    return out;
  };
  const rowsOf = (path) => (state.data.has(path) ? un8.decode(state.data.get(path)).split('\n').filter(Boolean).map((l) => JSON.parse(l)) : []);
  // The rows of all lists of a folder that the page carries, in the order of the archive.
  const lines = (folder) => [...state.data.keys()].filter((path) => path.startsWith(folder) && path.endsWith('.ndjson')).flatMap(rowsOf);
  const json = (path) => (state.data.has(path) ? JSON.parse(un8.decode(state.data.get(path))) : {});
  // Lists that the completeness list names: of one kind, or all.
  const lists = (kind) => (json('data/completeness.json').lists ?? []).filter((l) => kind === undefined || l.kind === kind);
  const count = (kind) => lists(kind).reduce((n, l) => n + l.items, 0);
  // Every list is the one that is named, and its parcel holds exactly what its rows say, in their order.
  const named = async () => {
    for (const list of lists()) {
      const listed = state.files.get(list.path), parcel = list.path.replace(/\.ndjson$/, '.zip');
      if (listed === undefined || hex(listed.hash) !== list.sha256) { fail(list.path, 'not the list that is named'); continue; }
      if (!state.data.has(list.path)) continue;
      const rows = rowsOf(list.path), names = rows.flatMap((r) => [r.evidence, r.receipt, r.original, r.form].filter((n) => typeof n === 'string'));
      if (rows.length !== list.items) fail(list.path, 'of another length');
      if (names.length && !state.files.has(parcel)) fail(parcel, 'missing');
      if (!state.data.has(parcel)) continue;
      const files = inside(parcel), there = [...files.keys()];
      const wrong = names.findIndex((name, n) => there[n] !== name);
      if (wrong >= 0) fail(names[wrong], 'missing');
      else if (there.length !== names.length) fail(there[names.length], 'not in the list');
      for (const row of rows) {
        const own = row.sealed_to === 'service' ? files.get(row.original) : undefined;
        if (own && hex(await sha(own)) !== row.sha256) fail(row.original, 'not the original of the list');
      }
    }
    for (const path of state.files.keys()) {
      if (/^data\/(statements|uses|by-source)\/.*\.ndjson$/.test(path) && !lists().some((l) => l.path === path)) fail(path, 'a list that is not named');
    }
  };

  const manifest = async () => {
    state.spki = unbase(carried.get('log.spki'));
    const bytes = unbase(carried.get('manifest.cose'));
    const item = sign1(bytes);
    state.kid = await sha(state.spki);
    need(item.header.get(16) === 'application/naru-archive+cbor' && same(item.header.get(4), state.kid), 'not of this log');
    must(await verifies(state.spki, toSign(item.raw, item.payload), item.signature), 'signature');
    const said = decode(item.payload);
    state.signed = bytes;
    state.head = { origin: said.get('origin'), size: said.get('size'), root: said.get('root') };
    for (const [path, size, hash] of said.get('files')) state.files.set(path, { size, hash });
    if (!lacks.size) state.good.push(['manifest', state.files.size]);
  };
  const copies = async () => {
    for (const [path, text] of carried) {
      if (path === 'log.spki' || path === 'manifest.cose') continue;
      const listed = state.files.get(path);
      try {
        need(listed !== undefined, 'not in the manifest');
        const bytes = unbase(text);
        carried.set(path, '');
        if (bytes.length === listed.size && same(await sha(bytes), listed.hash)) state.data.set(path, bytes);
        else fail(altered(path, bytes), 'SHA-256');
      } catch (e) { fail(path, e.message); }
    }
    for (const path of state.files.keys()) {
      if (/^view\/[0-9]+\.js$/.test(path) && !ended.has(path)) fail(path, 'missing or changed');
      if (path.startsWith('data/') && !carried.has(path)) state.left += 1;
    }
    state.good.push(['files', state.data.size]);
  };
  const contents = async () => {
    try {
      const note = state.data.get('data/checkpoint.txt');
      need(note !== undefined, 'missing');
      state.note = un8.decode(note);
      await checkpoint(note);
      if (!lacks.size) state.good.push(['checkpoint', state.head.size]);
    } catch (e) { fail('data/checkpoint.txt', e.message); }
    await named();
    const said = await each('data/statements/', statement);
    state.good.push(['statements', said.size]);
    const used = await each('data/uses/', use);
    state.good.push(['uses', used.size]);
    for (const row of lines('data/statements/')) {
      const own = said.get(row.evidence);
      if (own) state.proven.add(row.id);
      if (own && own.get('type') !== row.type) fail(row.evidence, 'its list says something else');
    }
    await complaints();
    for (const row of lines('data/uses/')) {
      const own = used.get(row.evidence);
      if (own && (own.get('told') !== row.told || own.get('asker') !== row.asker)) fail(row.evidence, 'its list says something else');
    }
  };

  // Her complaints are sealed by themselves, so their evidence stands by itself.
  const complaints = async () => {
    const said = new Map();
    for (const [path, bytes] of state.data) {
      if (!/^data\/complaints\/[0-9]+\.cbor$/.test(path)) continue;
      try { said.set(path, await statement(path, bytes, state.data)); } catch (e) { fail(path, e.message); }
    }
    for (const row of json('data/complaints.json').complaints ?? []) {
      const own = said.get(row.evidence);
      if (own) state.proven.add(row.statement);
      if (own && (own.get('type') !== 'incident.complain' || own.get('text') !== row.text || own.get('party') !== row.party)) fail('data/complaints.json', row.statement);
    }
    if (said.size) state.good.push(['complaints', said.size]);
  };

  // ---- the folder on the disk, once she names it: one file in memory at a time
  const folder = async (list) => {
    state.disk = { bad: [], good: 0 };
    const seen = new Set();
    for (const file of list) {
      const path = file.webkitRelativePath.split('/').slice(1).join('/');
      seen.add(path);
      const bytes = new Uint8Array(await file.arrayBuffer());
      const listed = state.files.get(path);
      const own = path === 'manifest.cose' ? same(bytes, state.signed)
        : path === 'manifest.js' ? un8.decode(bytes) === `naru("manifest.cose","${carried.get('manifest.cose')}");\n`
        : listed !== undefined && bytes.length === listed.size && same(await sha(bytes), listed.hash);
      if (own) state.disk.good += 1; else state.disk.bad.push(altered(path, bytes));
    }
    for (const path of [...state.files.keys(), 'manifest.cose']) if (!seen.has(path)) state.disk.bad.push(path);
    draw();
    document.documentElement.dataset.disk = 'yes';
  };

  // ---- the page, in two languages
  let ko = (navigator.language ?? 'ko').startsWith('ko');
  const say = (k, e) => (ko ? k : e);
  const el = (name, text, ...children) => {
    const out = document.createElement(name);
    if (text !== undefined && text !== null) out.textContent = String(text);
    out.append(...children);
    return out;
  };
  const label = (word) => { const w = words[word]; return w ? `${ko ? w[0] : w[1]} (${word})` : word === '*' ? say('모두', 'all') : word; };
  const when = (text) => (text ? text.replace('T', ' ').replace(/\.\d+Z$/, ' UTC') : '');
  const states = {
    granted: ['동의함', 'granted'], given: ['동의함', 'given'], refused: ['거부함', 'refused'], withdrawn: ['철회함', 'withdrawn'],
    objected: ['반대함', 'objected'], paused: ['멈춤', 'paused'], resumed: ['다시 시작', 'resumed'], disputed: ['다툼', 'disputed'],
    expired: ['기한이 지남', 'expired'], attested: ['처리자의 주장', "the controller's word"], none: ['없음', 'none'],
    'objection-lifted': ['반대를 거둠', 'objection lifted'],
  };
  const stateOf = (word) => (states[word] ? say(...states[word]) : word);
  const classes = { 'real-name': ['실명', 'real-name'], pseudonymous: ['가명', 'pseudonymous'], anonymous: ['익명', 'anonymous'] };
  const pairs = (rows) => {
    const dl = el('dl');
    for (const [name, value] of rows) if (value !== undefined && value !== null && value !== '') dl.append(el('dt', name), el('dd', value));
    return dl;
  };
  const table = (heads, rows) => {
    const body = el('tbody'), row = el('tr');
    for (const h of heads) { const th = el('th', h); th.scope = 'col'; row.append(th); }
    for (const cells of rows) { const tr = el('tr'); cells.forEach((c) => tr.append(c instanceof Node ? el('td', undefined, c) : el('td', c ?? ''))); body.append(tr); }
    const out = el('div', undefined, el('table', undefined, el('thead', undefined, row), body));
    out.className = 'wide';
    // What may scroll must be reached by the keyboard.
    out.tabIndex = 0;
    return out;
  };
  const MOST = 1000;
  // ---- what is owed, claimed, promised, sent and complained of
  // Milliseconds as a time; what is none of them stays empty.
  const at = (ms) => (Number.isSafeInteger(ms) && Math.abs(ms) <= 8.64e15 ? when(new Date(ms).toISOString()) : '');
  const word = (all, name) => (Object.hasOwn(all, name) ? say(...all[name]) : name);
  // Whether every statement that a row rests on was proven here; the words say it without the sign.
  const mark = (...ids) => {
    const all = ids.filter((id) => typeof id === 'string'), holds = all.length > 0 && all.every((id) => state.proven.has(id));
    const out = el('span', holds ? say('증명됨', 'proven') : say('이 화면에서 확인하지 못함', 'not verified here'));
    out.className = holds ? 'good' : 'open';
    return out;
  };
  const list = (items) => el('ul', undefined, ...items.map((text) => el('li', text)));
  const standings = { waiting: ['기다리는 중', 'waiting'], done: ['기한 안에 마침', 'done in time'], late: ['늦게 마침', 'done late'], overdue: ['기한이 지남', 'overdue'] };
  const endings = { 'closing-act': ['내가 끝냄', 'I ended it'], 'grant-end': ['기한이 됨', 'its term ended'] };
  const rights = {
    access: ['열람', 'access'], rectification: ['정정', 'rectification'], erasure: ['삭제', 'erasure'], restriction: ['처리정지', 'restriction'],
    'object-profiling': ['프로파일링 반대', 'objection to profiling'], 'object-automated': ['자동화된 결정 거부', 'objection to automated decisions'],
  };
  const outcomes = { done: ['들어줌', 'done'], partly: ['일부 들어줌', 'partly done'], refused: ['거절함', 'refused'] };
  const stages = {
    complained: ['접수됨', 'complained'], flagged: ['발견됨', 'flagged'], confirmed: ['확인됨', 'confirmed'], dismissed: ['기각됨', 'dismissed'], closed: ['종결됨', 'closed'],
  };
  const moves = {
    'transfer.deliver': ['보냄', 'sent'], 'transfer.confirm': ['받음', 'received'], 'transfer.fail': ['실패', 'failed'], 'transfer.stop': ['내가 멈춤', 'stopped by me'],
    'incident.answer': ['답변', 'answered'], 'incident.order': ['명령', 'ordered'], 'incident.confirm': ['확인', 'confirmed'], 'incident.dismiss': ['기각', 'dismissed'],
    'incident.assess': ['평가', 'assessed'], 'incident.contain': ['차단', 'contained'], 'incident.report': ['신고', 'reported'], 'incident.notify': ['통지', 'notified'],
    'incident.appeal': ['불복', 'appealed'], 'incident.close': ['종결', 'closed'],
  };
  const modes = { view: ['보기만', 'view only'], store: ['보관', 'store'] };
  const due = (clock) => (clock ? `${at(clock.due)} (${clock.pack} ${clock.version} ${clock.rule})` : '');
  const transfer = (t) => {
    const many = { 'transfer.deliver': (s) => s.items, 'transfer.confirm': (s) => `${s.received} / ${s.announced}`, 'transfer.fail': (s) => s.code };
    const steps = t.steps.map((s) => [when(s.time), word(moves, s.type), s.by, many[s.type]?.(s), mark(s.statement)]);
    return el('article', undefined, el('h3', `${t.snd_org_code ?? '?'} → ${t.rcv_org_code ?? '?'}`), pairs([
      [say('요구한 때', 'demanded'), when(t.time)],
      [say('항목', 'data'), (t.target_info ?? []).map((one) => one.scope).join(', ')],
      [say('목적', 'purpose'), t.purpose && label(t.purpose)],
      [say('주기', 'schedule'), t.is_scheduled ? [t.fnd_cycle, t.add_cycle].filter(Boolean).join(', ') : say('한 번', 'once')],
      [say('보낼 기한', 'sent until'), at(t.end_date)], [say('보유 기한', 'kept until'), at(t.period)],
      [say('방식', 'mode'), t.mode && word(modes, t.mode)],
    ]), mark(t.demand), steps.length ? table([say('시각', 'time'), say('단계', 'step'), say('누가', 'by'), say('얼마나', 'how many'), say('증명', 'proof')], steps) : el('p', say('아직 보낸 것 없음', 'nothing was sent yet')));
  };
  const duty = (d) => d.recipients.map((r) => [at(d.since), `${word(endings, d.ended_by)} · ${d.controller} · ${label(d.purpose)}`, r.party, word(standings, r.standing), due(r.clock),
    r.left.map(label).join(', ') || say('없음', 'nothing'), mark(d.act, d.grant, ...r.deleted.map((one) => one.statement))]);
  const right = (r) => [at(r.at), word(rights, r.right), r.controller, word(standings, r.standing), due(r.clock),
    r.answer ? `${word(outcomes, r.answer.outcome)}${r.answer.reason ? `: ${r.answer.reason}` : ''} · ${at(r.answer.at)}` : '', mark(r.request, ...(r.answer ? [r.answer.statement] : []))];
  const worth = (v) => {
    const used = (g) => v.uses.filter((u) => u.purpose === g.purpose && u.class === g.class).reduce((n, u) => n + u.permitted, 0);
    const paid = (p) => `${p.amount} ${p.currency} · ${at(p.from)} – ${at(p.until)}${p.disputed ? say(' · 내가 다툼', ' · disputed by me') : ''}`;
    return v.grants.map((g) => [v.controller, label(g.purpose), g.promised, used(g), list(g.reported.map(paid)), at(g.ended_at), mark(g.grant, ...g.reported.map((p) => p.statement))]);
  };
  const complaint = (c) => el('article', undefined, el('h3', c.party), pairs([
    [say('시각', 'time'), when(c.time)], [say('내용', 'what I said'), c.text], [say('단계', 'stage'), word(stages, c.stage)], [say('사건', 'incident'), c.incident],
  ]), mark(c.statement), ...(c.steps.length ? [list(c.steps.map((s) => `${when(s.time)} ${word(moves, s.type)} (${s.by})`)),
    el('p', say('그 뒤의 단계는 서비스의 말입니다.', 'What followed is the word of the service.'))] : []));
  const owed = (section) => {
    const most = (all) => all.slice(-MOST).reverse();
    const moved = json('data/transfers.json').transfers ?? [];
    if (moved.length) section(say(`내 전송요구 ${moved.length}건`, `my transfer demands: ${moved.length}`), ...most(moved).map(transfer));
    const duties = json('data/duties.json').duties ?? [];
    if (duties.length) section(say('동의가 끝난 뒤 남은 의무', 'what is owed to me since consents ended'), table(
      [say('언제부터', 'since'), say('무엇이 끝났나', 'what ended'), say('누가', 'who'), say('상태', 'standing'), say('기한', 'due'), say('남은 항목', 'data left'), say('증명', 'proof')], most(duties).flatMap(duty)));
    const claims = json('data/rights.json').rights ?? [];
    if (claims.length) section(say(`내가 행사한 권리 ${claims.length}건`, `rights I claimed: ${claims.length}`), table(
      [say('시각', 'time'), say('권리', 'right'), say('처리자', 'controller'), say('상태', 'standing'), say('기한', 'due'), say('답', 'answer'), say('증명', 'proof')], most(claims).map(right)));
    const value = json('data/value.json'), worths = (value.controllers ?? []).flatMap(worth);
    if (worths.length) section(say('내 데이터의 대가', 'what my data was promised and paid'), table(
      [say('처리자', 'controller'), say('목적', 'purpose'), say('약속', 'promised'), say('쓰인 횟수', 'times used'), say('지급했다는 보고', 'reported as paid'), say('끝난 때', 'ended'), say('증명', 'proof')], most(worths)),
      el('p', say('지급은 처리자의 말입니다.', 'What was paid is the word of the controller.')), ...(value.uses_counted === false ? [el('p', say('이용 횟수를 세지 않는 서비스입니다.', 'This service counts no uses.'))] : []));
    const complained = json('data/complaints.json').complaints ?? [];
    if (complained.length) section(say(`내 신고 ${complained.length}건`, `my complaints: ${complained.length}`), ...most(complained).map(complaint));
  };
  const counted = {
    manifest: (n) => say(`로그가 서명한 목록: 파일 ${n}개`, `list signed by the log: ${n} files`),
    files: (n) => say(`SHA-256이 목록과 같은 파일: ${n}개`, `${n} files with the SHA-256 of the list`),
    checkpoint: (n) => say(`로그가 서명한 체크포인트: 항목 ${n}개`, `checkpoint signed by the log: ${n} entries`),
    statements: (n) => say(`로그에 있음이 증명된 내 진술: ${n}건`, `${n} statements of mine proven to be in the log`),
    complaints: (n) => say(`로그에 있음이 증명된 내 신고: ${n}건`, `${n} complaints of mine proven to be in the log`),
    uses: (n) => say(`증명된 이용 기록: ${n}건`, `${n} uses proven`),
  };
  const consent = (r) => {
    const p = r.pii_processing.purposes[0], x = r.ext, id = p.pii_controllers[0];
    const who = (pid) => { const q = r.party_identification.find((one) => one.party_id === pid); return q ? `${say(q.party_name, q.ext.name_en)} (${pid})` : pid === '*' ? say('모두', 'all') : pid; };
    const notice = r.pii_processing.privacy_notice;
    const events = el('ul');
    for (const e of r.events) events.append(el('li', `${when(e.event_time)} ${stateOf(e.event_state)}${e.ext.inert ? say(' (효력 없음)', ' (no effect)') : ''}`));
    return el('article', undefined, el('h3', `${who(id)} · ${label(p.purpose)}`), pairs([
      [say('상태', 'state'), `${stateOf(x.state)} · ${when(x.since)}`],
      [say('구분', 'class'), classes[x.identifiability] ? say(...classes[x.identifiability]) : x.identifiability],
      [say('항목', 'data'), p.pii_information.map((i) => label(i.pii_type)).join(', ')],
      [say('처리', 'actions'), (p.processing_method ?? []).join(', ')],
      [say('제공받는 자', 'recipients'), (p.recipient_third_parties ?? []).map(who).join(', ')],
      [say('기한', 'until'), x.keep_until && `${when(x.fetch_until)} / ${when(x.keep_until)}`],
      [say('대가', 'in return'), x.consideration],
      [say('들은 고지', 'notice shown'), notice && `${notice.id} · SHA-256 ${notice.sha256} · ${r.pii_processing.language}`],
    ]), r.events.length > 10 ? el('details', undefined, el('summary', say(`경과 ${r.events.length}건`, `${r.events.length} events`)), events) : events);
  };
  const verdict = () => {
    const bad = [...state.failures.map((f) => f.path), ...(state.disk?.bad ?? [])];
    if (bad.length) return ['red', say(`바뀌었거나 빠진 것이 있습니다: ${bad.slice(0, 20).join(', ')}`, `changed or missing: ${bad.slice(0, 20).join(', ')}`)];
    if (!state.head) return ['open', say('이 브라우저에서는 확인할 수 없습니다. naru verify로 확인하십시오.', 'this browser cannot check it: use naru verify')];
    if (lacks.size) return ['open', say(`해시는 맞지만 이 브라우저는 ${[...lacks]} 서명을 확인하지 못합니다. naru verify로 확인하십시오.`, `hashes hold, but this browser cannot check ${[...lacks]} signatures: use naru verify`)];
    return ['green', say('온전합니다: 로그가 서명한 그대로입니다.', 'whole: it is as the log signed it')];
  };
  const checks = () => {
    const out = el('ul');
    const add = (good, text) => { const li = el('li', text); li.className = good ? 'good' : 'bad'; out.append(li); };
    for (const [name, n] of state.good) add(true, counted[name](n));
    for (const f of state.failures) add(false, `${f.path}: ${f.what}`);
    if (state.left) out.append(el('li', say(`크거나 많아서 이 화면에 담지 않은 파일: ${state.left}개 (폴더를 골라 확인)`, `${state.left} files too large or too many for this page: choose the folder to check them`)));
    if (state.disk) add(!state.disk.bad.length, say(`디스크의 파일 ${state.disk.good}개가 맞음, 다르거나 빠진 것 ${state.disk.bad.length}개`, `${state.disk.good} files on the disk hold, ${state.disk.bad.length} differ or are missing`));
    return out;
  };
  const sections = () => {
    const out = [], section = (title, ...children) => out.push(el('section', undefined, el('h2', title), ...children));
    const records = json('data/consents.json').records ?? [];
    section(say('내 동의', 'my consents'), ...(records.length ? records.map(consent) : [el('p', say('없음', 'none'))]));
    const uses = lines('data/uses/');
    section(say(`내 데이터가 쓰인 기록 ${count('use')}건`, `uses of my data: ${count('use')}`), table(
      [say('시각', 'time'), say('물은 자', 'asker'), say('목적', 'purpose'), say('처리', 'action'), say('답', 'answer'), say('이유', 'reason')],
      uses.slice(-MOST).reverse().map((u) => [when(u.time), u.asker, u.purpose && label(u.purpose), u.action ?? u.act, u.decision ? say('허용', 'permitted') : say('거절', 'denied'), u.reason])),
      el('p', say('전부는 data/uses.csv에 있습니다. 5만 건이 넘으면 그 다음 표들에도 있습니다.', 'all of them: data/uses.csv, and from 50,000 on the tables beside it')));
    const brought = lines('data/by-source/');
    if (brought.length) section(say(`다른 곳에서 온 내 데이터 ${count('deposit')}건`, `data that sources brought: ${count('deposit')}`), table(
      [say('시각', 'time'), say('가져온 곳', 'source'), say('이름', 'item'), say('형식', 'type'), say('바이트', 'bytes'), say('읽을 수 있는 자', 'who can read it'), say('파일', 'file')],
      brought.slice(-MOST).map((b) => [when(b.time), b.by === b.party ? b.party : `${b.party} (${b.by})`, b.item, b.media_type, b.bytes,
        b.sealed_to === 'person' ? say('나만 (내 age 키)', 'only I (my age key)') : say('나와 서비스 운영자', 'I and the operator of the service'),
        b.over ? `${say('보유 기간이 끝나 파기됨', 'destroyed, its time to be kept is over')}: ${when(b.over.time)}` : b.original])));
    const parties = json('data/parties.json').parties ?? [];
    section(say('나를 아는 곳', 'who knows me'), table([say('당사자', 'party'), 'ppid'], parties.map((p) => [p.party, p.ppid])));
    const incidents = json('data/incidents.json').incidents ?? [];
    if (incidents.length) section(say('사건', 'incidents'), table([say('시각', 'time'), say('무엇', 'what'), say('단계', 'stage'), say('당사자', 'party')], incidents.map((i) => [when(i.time), say(i.ko, i.en), i.stage, i.accused])));
    owed(section);
    const said = lines('data/statements/');
    section(say(`내 진술 ${count('statement')}건`, `my statements: ${count('statement')}`), table([say('시각', 'time'), say('종류', 'type'), say('로그 자리', 'place in the log')], said.slice(-MOST).reverse().map((s) => [when(s.time), s.type, s.index])));
    const withheld = json('data/completeness.json').withheld ?? [];
    section(say('들어 있지 않은 것', 'what is not inside'), table([say('무엇', 'what'), say('이유', 'reason'), say('근거', 'law')], withheld.map((w) => [w.what, w.reason, `PIPA ${w.law.pipa} / GDPR ${w.law.gdpr}`])));
    return out;
  };
  const draw = () => {
    document.documentElement.lang = ko ? 'ko' : 'en';
    const [colour, text] = verdict();
    document.documentElement.dataset.verdict = colour;
    const box = el('p', text);
    box.id = 'verdict';
    const pick = el('input');
    Object.assign(pick, { type: 'file', id: 'folder', multiple: true, webkitdirectory: true });
    pick.addEventListener('change', () => folder([...pick.files]));
    const parts = [el('h1', say('내 데이터', 'my data')), box, checks()];
    if (state.head) {
      parts.push(pairs([
        [say('로그', 'log'), state.head.origin], [say('체크포인트', 'checkpoint'), `${state.head.size} · ${hex(state.head.root)}`],
        [say('로그 키 SHA-256', 'log key SHA-256'), hex(state.kid)], [say('이용 묶음에 서명한 키', 'use batches signed by'), [...state.batchKeys].join(', ')],
      ]), el('p', say(
        '이 화면은 자기가 담은 사본을 확인합니다. 로그 키는 서비스가 알린 것과 비교하십시오. 화면 자체가 바뀌었는지는 화면이 말할 수 없습니다: naru verify로 확인하십시오. 빠진 것이 없다는 것은 증명되지 않습니다.',
        'This page checks the copies it carries. Compare the log key with the one the service publishes. A page cannot tell whether it was itself changed: naru verify can. That nothing was left out is not proven.')),
      el('label', say('디스크의 파일도 확인: 이 폴더를 고르십시오 ', 'check the files on the disk, too: choose this folder '), pick));
      try { parts.push(...sections()); } catch (e) { parts.push(el('p', String(e.message))); }
    }
    document.getElementById('page').replaceChildren(...parts);
  };

  document.addEventListener('DOMContentLoaded', async () => {
    document.getElementById('ko').addEventListener('click', () => { ko = true; draw(); });
    document.getElementById('en').addEventListener('click', () => { ko = false; draw(); });
    if (globalThis.crypto?.subtle) {
      try { await manifest(); } catch (e) { fail('manifest.cose', e.message); }
      if (state.head) { await copies(); await contents(); }
    }
    draw();
    document.documentElement.dataset.done = 'yes';
  });
})();
