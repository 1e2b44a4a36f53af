// Bytes as the log wants them: deterministic CBOR (RFC 8949 section 4.2.1), digests, base64url, hex.
// Lacks: a decoder. What is signed is shown from the same values it is encoded from.
'use strict';
globalThis.bytes = (() => {
  const join = (parts) => {
    const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of parts) { out.set(part, at); at += part.length; }
    return out;
  };
  const compare = (a, b) => {
    for (let i = 0; i < a.length && i < b.length; i += 1) if (a[i] !== b[i]) return a[i] - b[i];
    return a.length - b.length;
  };
  const head = (major, n) => {
    const m = major << 5;
    if (!Number.isSafeInteger(n) || n < 0) throw new RangeError('not a length or a whole number');
    if (n < 24) return Uint8Array.of(m | n);
    if (n < 0x100) return Uint8Array.of(m | 24, n);
    const view = new DataView(new ArrayBuffer(9));
    const of = (add, size) => { view.setUint8(0, m | add); return new Uint8Array(view.buffer.slice(0, size)); };
    if (n < 0x10000) { view.setUint16(1, n); return of(25, 3); }
    if (n < 0x100000000) { view.setUint32(1, n); return of(26, 5); }
    view.setBigUint64(1, BigInt(n));
    return of(27, 9);
  };
  const text = new TextEncoder();
  // Maps are plain objects with text keys; absent members are left out, `null` is written.
  const cbor = (v) => {
    if (v === null) return Uint8Array.of(0xf6);
    if (typeof v === 'boolean') return Uint8Array.of(v ? 0xf5 : 0xf4);
    if (typeof v === 'number') return head(0, v);
    if (typeof v === 'string') { const b = text.encode(v); return join([head(3, b.length), b]); }
    if (v instanceof Uint8Array) return join([head(2, v.length), v]);
    if (Array.isArray(v)) return join([head(4, v.length), ...v.map(cbor)]);
    const pairs = Object.entries(v).filter(([, x]) => x !== undefined).map(([k, x]) => [cbor(k), cbor(x)]);
    pairs.sort(([a], [b]) => compare(a, b));
    return join([head(5, pairs.length), ...pairs.flat()]);
  };
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest('SHA-256', join(parts)));
  const b64u = (b) => btoa(String.fromCharCode(...b)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  const unb64u = (s) => Uint8Array.from(atob(s.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  const hex = (b) => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
  const unhex = (s) => Uint8Array.from(s.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const utf8 = (s) => text.encode(s);
  const random = (n) => crypto.getRandomValues(new Uint8Array(n));
  return Object.freeze({ join, cbor, sha256, b64u, unb64u, hex, unhex, utf8, random });
})();
