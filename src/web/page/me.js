// The page of one person: her key, what is asked of her, what she allows.
//
// Keys stay in the authenticator; this device keeps only their public parts. The session's token lives in
// this script and nowhere else. Nobody signs bytes a server chose: statements are built here, shown, hashed
// and signed by one assertion (challenge: design section 4, "Signed item" (b)). Nodes are built one by one:
// no text of anybody becomes markup.
'use strict';
(() => {
  const { join, cbor, sha256, b64u, unb64u, hex, unhex, utf8, random } = globalThis.bytes;
  const W = globalThis.words[document.documentElement.lang] ?? globalThis.words.en;
  const $ = (id) => document.getElementById(id);
  const STATEMENTS = 'naru-statements/v1', LOGIN = 'naru-login/v1', KEPT = 'naru-passkeys';
  // Never allowed along with the rest.
  const APART = ['profile', 'combine', 'transfer-abroad'];
  const DAY = 86_400_000;
  let place, token, session, asked;

  const make = (tag, text, more = {}) => {
    const node = Object.assign(document.createElement(tag), more);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const say = (text) => { $('status').textContent = text; };
  const when = (ms) => new Date(ms).toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' });

  class Told extends Error {}
  const call = async (path, options = {}) => {
    const headers = { accept: 'application/json', ...options.headers };
    if (token) headers.authorization = `Bearer ${token}`;
    return fetch(path, { ...options, headers, credentials: 'omit', cache: 'no-store' });
  };
  const json = async (path) => {
    const answer = await call(path);
    if (!answer.ok) throw Object.assign(new Error(path), { status: answer.status });
    return answer.json();
  };

  // ---- keys
  const kept = () => { try { return JSON.parse(localStorage.getItem(KEPT)) ?? []; } catch { return []; } };
  const keep = (key) => localStorage.setItem(KEPT, JSON.stringify([...kept(), key]));
  const hashOf = async ({ spki }) => hex(await sha256(unb64u(spki)));
  // A key that has ended signs nothing more: it is not offered again.
  const forget = async (ended) => {
    const all = kept(), hashes = await Promise.all(all.map(hashOf));
    const stay = all.filter((_, n) => !ended.includes(hashes[n]));
    if (stay.length < all.length) localStorage.setItem(KEPT, JSON.stringify(stay));
  };

  const create = async () => {
    const made = await navigator.credentials.create({ publicKey: {
      rp: { id: place.rp_id, name: 'Naru 나루' },
      user: { id: random(16), name: `naru ${new Date().toISOString().slice(0, 10)}`, displayName: 'Naru' },
      // Nothing is proved by it: possession is proved by the assertion that follows.
      challenge: random(32),
      // ES256 first: only of its signatures the public key is found again on another device.
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: 'public-key', alg })),
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      attestation: 'none',
    } });
    const spki = made.response.getPublicKey();
    if (!spki) throw new Told(W.cannot);
    return { id: b64u(new Uint8Array(made.rawId)), spki: b64u(new Uint8Array(spki)) };
  };

  // One assertion over all of them; each item is whole in itself. Extension output, which may hold a secret
  // of the person, is never read.
  const sign = async (prefix, signed, keys) => {
    const digests = await Promise.all(signed.map((one) => sha256(one)));
    say(W.wait);
    const got = await navigator.credentials.get({ publicKey: {
      rpId: place.rp_id,
      challenge: await sha256(utf8(prefix), Uint8Array.of(0), ...digests),
      allowCredentials: keys.map(({ id }) => ({ type: 'public-key', id: unb64u(id) })),
      userVerification: 'required',
    } });
    const id = b64u(new Uint8Array(got.rawId));
    // A passkey that came from another device has left no public key here: a login does without.
    const spki = keys.find((key) => key.id === id)?.spki ?? '';
    const { authenticatorData, clientDataJSON, signature } = got.response;
    const rest = [authenticatorData, clientDataJSON, signature].map((part) => new Uint8Array(part));
    return Object.assign(signed.map((one) => cbor([1, one, digests, ...rest, unb64u(spki)])), { id, spki });
  };

  const statement = (type, fields) => ({ v: 1, type, iat: Date.now(), nonce: random(16), ...fields });

  // Each item has its own result; the first that was not taken is told, and the rest stands.
  const post = async (items) => {
    const answer = await call('/v1/statements:batch', {
      method: 'POST', body: join(items), headers: { 'content-type': 'application/cbor-seq' },
    });
    const results = await answer.json();
    const not = answer.ok ? results.find((one) => one.code ?? one.inert) : results;
    const code = not?.code ?? not?.inert;
    if (not) throw new Told(W.codes[code] ?? W.refused(code));
    return results;
  };

  const logIn = async (keys) => {
    const now = Date.now();
    const items = await sign(LOGIN, [cbor({ v: 1, origin: place.origin, nonce: random(16), iat: now, exp: now + 60_000 })], keys);
    const answer = await call('/oauth/token', {
      method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `grant_type=urn:naru:login&login=${b64u(items[0])}`,
    });
    const given = await answer.json();
    if (!answer.ok) throw new Told(W.refused(given.error));
    token = given.access_token;
    session = await hashOf({ spki: given.key ?? items.spki });
    if (given.key) keep({ id: items.id, spki: given.key });
  };

  const must = () => {
    const keys = kept();
    if (keys.length === 0) throw new Told(W.unknownKey);
    return keys;
  };
  // A session is short: whoever comes back later confirms once more.
  const within = async (work) => {
    if (!token) await logIn(must());
    try { return await work(); } catch (error) {
      if (error.status !== 401) throw error;
      token = undefined;
      await logIn(must());
      return work();
    }
  };
  const ppid = async (party) => unhex((await within(() => json(`/v1/subjects/me/ppids/${party}`))).ppid.slice(5));

  // ---- what she sees
  const field = (list, name, text) => list.append(make('dt', name), make('dd', text));
  const readable = (v) => JSON.stringify(v, (_, x) => (x instanceof Uint8Array ? hex(x) : x), 2);

  const save = (blob, name) => {
    const link = make('a', undefined, { href: URL.createObjectURL(blob), download: name });
    link.click();
    // Not at once: some browsers read it only after this turn.
    setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
  };

  const receipt = async (id) => {
    const standing = await within(() => json(`/v1/statements/${id}`));
    const answer = await call(`/v1/statements/${id}/receipt`);
    if (!answer.ok) throw new Told(W.notYet);
    save(await answer.blob(), `${id}.receipt.cose`);
    say(W.saved(standing.index));
  };

  const card = (slot) => {
    const item = make('li', undefined, { className: 'card' });
    const what = `${slot.controller} · ${slot.purpose} · ${W.classes[slot.class]}`;
    item.dataset.state = slot.state;
    item.append(make('h3', what));
    const list = make('dl');
    field(list, W.since, `${W.states[slot.state]} · ${when(slot.since)}`);
    if (slot.terms) {
      field(list, W.until, when(slot.terms.keep_until));
      field(list, W.actions, `${slot.terms.actions.join(', ')} · ${slot.terms.categories.join(', ')}`);
      field(list, W.recipients, slot.terms.recipients.join(', ') || W.nobody);
    }
    item.append(list);
    if (slot.terms && !slot.controller.includes('*') && !slot.purpose.includes('*')) {
      item.append(button(W.withdraw(what), () => withdraw(slot), 'withdraw'));
    }
    if (slot.over) item.append(button(W.receipt(what), () => receipt(slot.over), 'quiet'));
    return item;
  };

  const show = async () => {
    const own = await within(() => json('/v1/subjects/me'));
    $('inside').hidden = false;
    $('register').hidden = true;
    await forget(own.keys.filter((key) => !key.live).map(({ key }) => key));
    $('keys').replaceChildren(...ring.rows(own));
    $('rebind').hidden = !own.rebind;
    $('rebind-words').textContent = own.rebind ? W.rebind(when(own.rebind.due)) : '';
    $('stop').onclick = own.rebind ? act(() => stop(own.rebind.key)) : null;
    $('rebound').textContent = own.rebound_until ? W.rebound(when(own.rebound_until)) : '';
    $('slots').replaceChildren(...(own.slots.length ? own.slots.map(card) : [make('li', W.none)]));
    return own;
  };

  // The words are shown only if they are those on record.
  const words = async (notice) => {
    const lang = document.documentElement.lang;
    const adult = notice.texts.filter((text) => text.audience === 'adult');
    const text = adult.find((one) => one.locale === lang) ?? adult[0] ?? notice.texts[0];
    const body = new Uint8Array(await (await call(text.address)).arrayBuffer());
    if (hex(await sha256(body)) !== text.hash) throw new Told(W.otherWords);
    return { text, said: new TextDecoder().decode(body) };
  };

  const tick = (name, label, more = {}) => {
    const line = make('label', undefined, { className: 'tick' });
    line.append(make('input', undefined, { type: 'checkbox', name, ...more }), ' ', label);
    return line;
  };

  const purpose = (notice, text, one) => {
    const set = make('fieldset');
    set.append(make('legend', `${one.purpose} · ${W.classes[one.class]}`), tick('purpose', W.allow(one.purpose)));
    const list = make('dl');
    field(list, W.actions, one.actions.filter((a) => !APART.includes(a)).join(', '));
    field(list, W.recipients, one.recipients.join(', ') || W.nobody);
    field(list, W.keep, W.days(Math.round(one['keep-ms'] / DAY)));
    for (const c of one.categories.filter((c) => c.required)) field(list, W.needed, `${c.category}: ${c.reason}`);
    set.append(list);
    for (const c of one.categories.filter((c) => !c.required)) {
      set.append(tick('category', `${c.category} (${W.optional}): ${c.reason}`, { value: c.category }));
    }
    for (const a of one.actions.filter((a) => APART.includes(a))) set.append(tick('action', `${a} (${W.extra})`, { value: a }));
    set.ask = { notice, text, one };
    return set;
  };

  const ask = async () => {
    const party = $('party').value.trim();
    const answer = await call(`/v1/parties/${encodeURIComponent(party)}/notices`);
    if (!answer.ok) throw new Told(W.noParty);
    asked = await answer.json();
    const name = document.documentElement.lang === 'ko' ? asked.controller.name_ko : asked.controller.name_en;
    const shown = await Promise.all(asked.notices.map(async (notice) => {
      const { text, said } = await words(notice);
      const box = make('section', undefined, { className: 'card' });
      box.append(make('h3', `${name} · ${notice.name} ${notice.version}`), make('p', said, { className: 'said', lang: text.locale }));
      box.append(...notice.purposes.map((one) => purpose(notice, text, one)));
      return box;
    }));
    $('notices').replaceChildren(...shown);
    $('grant').hidden = shown.length === 0;
    say(shown.length ? '' : W.noNotices);
  };

  // ---- what she does
  const chosen = (set, name) => [...set.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);
  const draft = (set, about, over) => {
    const { notice, text, one } = set.ask, until = Date.now() + one['keep-ms'];
    return statement('consent.grant', {
      ppid: about, over: over ? unhex(over) : null, controller: asked.controller.id, recipients: one.recipients,
      purpose: one.purpose, class: one.class, jurisdictions: asked.jurisdiction ? [asked.jurisdiction] : [],
      categories: one.categories.filter((c) => c.required).map((c) => c.category).concat(chosen(set, 'category')),
      actions: one.actions.filter((a) => !APART.includes(a)).concat(chosen(set, 'action')),
      'fetch-until': until, 'keep-until': until,
      notice: { id: unhex(notice.id), hash: unhex(text.hash), locale: text.locale },
    });
  };

  const grant = async () => {
    const sets = [...$('notices').querySelectorAll('fieldset')].filter((set) => set.querySelector('input[name=purpose]:checked'));
    if (sets.length === 0) throw new Told(W.nothing);
    const about = await ppid(asked.controller.id);
    const own = await within(() => json('/v1/subjects/me'));
    const over = ({ ask: { one } }) => own.slots.find((slot) =>
      slot.controller === asked.controller.id && slot.purpose === one.purpose && slot.class === one.class)?.over;
    const drafts = sets.map((set) => draft(set, about, over(set)));
    $('signing').textContent = readable(drafts);
    await post(await sign(STATEMENTS, drafts.map(cbor), must()));
    await show();
    say(W.granted);
  };

  const withdraw = async (slot) => {
    const { controller, purpose: what, class: of } = slot;
    const one = statement('consent.withdraw', { ppid: await ppid(controller), controller, purpose: what, class: of });
    $('signing').textContent = readable([one]);
    await post(await sign(STATEMENTS, [cbor(one)], must()));
    await show();
    say(W.withdrawn);
  };

  const stop = async (key) => {
    const one = statement('key.revoke', { ppid: await ppid('self'), key: unhex(key) });
    $('signing').textContent = readable([one]);
    await post(await sign(STATEMENTS, [cbor(one)], must()));
    await show();
    say(W.stopped);
  };

  const register = async () => {
    say(W.wait);
    const key = await create();
    await post(await sign(STATEMENTS, [cbor(statement('key.create', { 'key-use': 'passkey' }))], [key]));
    keep(key);
    await logIn([key]);
    await show();
    say(W.registered);
  };

  const enter = async () => {
    // With none kept the browser offers those it has, synchronised ones too.
    await logIn(kept());
    await show();
    say(W.here);
  };

  // The key of this session has ended, and the session with it.
  const leave = async (key) => {
    token = session = undefined;
    await forget([key]);
    $('inside').hidden = true;
    say(W.left);
  };

  // One act at a time; whatever goes wrong is told, and nothing is recorded that was not signed.
  let busy = false;
  function act(work) {
    return async (event) => {
      event?.preventDefault();
      if (busy) return;
      busy = true;
      document.body.setAttribute('aria-busy', 'true');
      try { await work(); } catch (error) {
        const told = error instanceof Told ? error.message
          : ['NotAllowedError', 'AbortError'].includes(error.name) ? W.cancelled
            : ['SecurityError', 'NotSupportedError'].includes(error.name) ? W.cannot : W.failed;
        say(told);
      } finally {
        busy = false;
        document.body.removeAttribute('aria-busy');
      }
    };
  }
  function button(text, work, className) {
    return make('button', text, { type: 'button', className, onclick: act(work) });
  }

  const ring = globalThis.keyring({
    $, W, Told, make, field, say, when, readable, button, within, json, ppid, statement, post, save, show, leave,
    sign: (drafts) => sign(STATEMENTS, drafts, must()), session: () => session,
  });

  act(async () => {
    place = await json('/me/place');
    $('pem-file').onchange = act(ring.opened);
    $('paste').onsubmit = act(ring.given);
    $('make').onclick = act(ring.madeHere);
    $('agree').onclick = act(ring.agree);
    $('refuse').onclick = act(ring.refuse);
    $('again').onclick = act(ring.again);
    $('answer').onchange = act(ring.answered);
    $('register').onclick = act(register);
    $('login').onclick = act(enter);
    $('ask').onsubmit = act(ask);
    $('grant').onclick = act(grant);
    $('register').hidden = kept().length > 0;
    if (!globalThis.PublicKeyCredential || location.hostname.match(/^[0-9.]+$/)) throw new Told(W.cannot);
    document.documentElement.dataset.ready = 'yes';
  })();
})();
