// Opens archives from the disk in a real Chromium, as a double click does, and judges what the page says.
//
// usage: node check.mjs small.zip hostile.zip mydata.zip sources.zip owed.zip     (Node 20 or later; nothing to install but Chromium)
// setup: apt-get install chromium nodejs, or CHROMIUM=/path/to/chromium
//
// `cargo test --test export` leaves them in target/tmp/export. A good archive is green in both languages,
// also when the page is given its folder; one flipped byte, or a file that is gone, is red and named; of
// texts that would run as markup or script none does, and the page asks for nothing outside its folder.
// The DevTools protocol goes over a pipe, so no WebSocket library is needed. Exit code 1 if anything differs.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { spawn } from 'node:child_process';

const [good, hostile, thousand, sources, owed] = process.argv.slice(2);
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'naru-archive-'));
let failed = 0;
const must = (what, holds, beside = '') => {
  console.log(`${holds ? 'ok   ' : 'FAIL '} ${what}${holds ? '' : ` ${beside}`}`);
  if (!holds) failed += 1;
};

// Unpacks a zip whose files are stored.
const unpack = (file) => {
  const zip = fs.readFileSync(file), end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  const out = fs.mkdtempSync(path.join(work, 'unpacked-'));
  let folder;
  for (let n = zip.readUInt16LE(end + 10), at = zip.readUInt32LE(end + 16); n > 0; n--) {
    const size = zip.readUInt32LE(at + 20), name = zip.toString('latin1', at + 46, at + 46 + zip.readUInt16LE(at + 28));
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    fs.mkdirSync(path.dirname(path.join(out, name)), { recursive: true });
    fs.writeFileSync(path.join(out, name), zip.subarray(start, start + size));
    folder = path.join(out, name.split('/')[0]);
    at += 46 + zip.readUInt16LE(at + 28) + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return folder;
};

// ---- Chromium over a pipe
const exe = process.env.CHROMIUM ?? 'chromium';
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'naru-page-'));
const child = spawn(exe, ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update', '--remote-debugging-pipe',
  `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const waiting = new Map();
const requests = [];
let last = 0, rest = Buffer.alloc(0);
child.stdio[4].on('data', (data) => {
  rest = Buffer.concat([rest, data]);
  for (let at; (at = rest.indexOf(0)) >= 0; rest = rest.subarray(at + 1)) {
    const m = JSON.parse(rest.subarray(0, at).toString());
    if (m.method === 'Network.requestWillBeSent') requests.push(m.params.request.url);
    const w = waiting.get(m.id);
    if (w) { waiting.delete(m.id); m.error ? w.no(new Error(m.error.message)) : w.ok(m.result); }
  }
});
const send = (method, params = {}, sessionId) => new Promise((ok, no) => {
  const id = ++last; waiting.set(id, { ok, no });
  child.stdio[3].write(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }) + '\0');
});

// Answers when the page is done; the promise lives in the page, so nothing is waited for by the clock.
const until = (seen) => `new Promise((ok) => {
  const look = () => (${seen} ? ok(true) : requestAnimationFrame(look)); look(); })`;

// What the page in a folder says. With `named`, the page is given the folder, too.
const open = async (folder, named = false) => {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const at = (method, params = {}) => send(method, params, sessionId);
  const run = async (expression) => {
    const r = await at('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (r.exceptionDetails) throw new Error(r.exceptionDetails.exception?.description ?? r.exceptionDetails.text);
    return r.result.value;
  };
  await at('Network.enable');
  await at('Page.enable');
  requests.length = 0;
  const url = pathToFileURL(path.join(folder, 'index.html')).href;
  await at('Page.navigate', { url });
  // The context of the page before may end under the question: then it is asked again.
  const done = `location.href === ${JSON.stringify(url)} && ${until("document.documentElement.dataset.done === 'yes'")}`;
  while ((await run(done).catch(() => false)) !== true);
  if (named) {
    await at('DOM.enable');
    const { root } = await at('DOM.getDocument');
    const { nodeId } = await at('DOM.querySelector', { nodeId: root.nodeId, selector: '#folder' });
    await at('DOM.setFileInputFiles', { nodeId, files: [folder] });
    await run(until("document.documentElement.dataset.disk === 'yes'"));
  }
  const say = async (language) => {
    await run(`document.getElementById('${language}').click()`);
    return run(`({ verdict: document.documentElement.dataset.verdict, words: document.getElementById('verdict').textContent,
      marks: { good: document.querySelectorAll('#page section .good').length, open: document.querySelectorAll('#page section .open').length },
      plain: [...document.querySelectorAll('th')].every((th) => th.scope === 'col' && th.textContent !== '')
        && [...document.querySelectorAll('h1, h2, h3')].every((h, n, all) => n === 0 || h.tagName[1] - all[n - 1].tagName[1] <= 1),
      lang: document.documentElement.lang, text: document.body.innerText, ran: globalThis.ran ?? null,
      markup: document.querySelectorAll('#page :is(img, script, a, iframe, svg, object)').length })`);
  };
  const [en, ko] = [await say('en'), await say('ko')];
  const away = requests.filter((one) => !one.startsWith(`${pathToFileURL(folder).href}/`));
  await send('Target.closeTarget', { targetId });
  return { en, ko, away };
};
const whole = (said) => said.en.verdict === 'green' && said.ko.verdict === 'green' && !said.away.length && said.en.ran === null;

try {
  const folder = unpack(good);
  let said = await open(folder);
  must('a good archive is green in both languages', whole(said) && said.en.lang === 'en' && said.ko.lang === 'ko', JSON.stringify(said).slice(0, 900));
  must('it tells who holds which consent, and what was told', ['my consents', 'bank', 'withdrawn', 'permitted', '4 statements of mine proven', '3 uses proven']
    .every((word) => said.en.text.includes(word)) && ['내 동의', '철회함', '허용'].every((word) => said.ko.text.includes(word)), said.en.text.slice(0, 900));
  said = await open(folder, true);
  must('and stays green when it is given its folder', whole(said) && / files on the disk hold, 0 differ/.test(said.en.text), said.en.words);

  const red = async (what, file, change, { named = false, names = file, base = folder, also = () => true } = {}) => {
    const at = path.join(base, file), before = fs.readFileSync(at);
    const after = change(Buffer.from(before));
    if (after === null) fs.rmSync(at); else fs.writeFileSync(at, after);
    const said = await open(base, named);
    fs.writeFileSync(at, before);
    must(`red: ${what}`, said.en.verdict === 'red' && said.ko.verdict === 'red' && said.en.words.includes(names) && also(said), `${said.en.verdict}: ${said.en.words}`);
  };
  const flip = (where) => (bytes) => { bytes[where(bytes)] ^= 1; return bytes; };
  const inside = (path, more) => (bytes) => bytes.indexOf(`naru("${path}","`) + path.length + 8 + more;
  const scripts = (base) => fs.readdirSync(path.join(base, 'view')).filter((name) => /^[0-9]+\.js$/.test(name)).sort();
  const newest = `view/${scripts(folder).at(-1)}`;
  const carries = (path, base = folder) => `view/${scripts(base).find((name) => fs.readFileSync(`${base}/view/${name}`).includes(`naru("${path}"`))}`;
  const first = 'data/statements/000001.zip';
  for (const file of [first, 'data/uses/000001.ndjson', 'data/consents.json', 'data/uses.csv', 'data/checkpoint.txt'])
    await red(`a byte of ${file} as the page carries it`, carries(file), flip(inside(file, 9)), { names: file });
  const parcel = fs.readFileSync(path.join(folder, first)), size = parcel.readUInt32LE(22), long = parcel.readUInt16LE(26);
  const within = `${first}/${parcel.toString('latin1', 30, 30 + long)}`;
  const middle = 30 + long + Math.floor(size / 2);
  await red(`a byte of ${within} as the page carries it`, carries(first), (bytes) => {
    const at = inside(first, 1)(bytes), end = bytes.indexOf('"', at);
    const changed = Buffer.from(bytes.toString('latin1', at, end), 'base64');
    changed[middle] ^= 1;
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(changed.toString('base64')), bytes.subarray(end)]);
  }, { names: within });
  await red(`a byte of ${within} on the disk`, first, (bytes) => { bytes[middle] ^= 1; return bytes; }, { named: true, names: within });
  await red('a byte of a script around what it carries', newest, flip(() => 1));
  await red('a script that is gone', newest, () => null);
  await red('a byte of the manifest', 'manifest.js', flip(inside('manifest.cose', 400)), { names: 'manifest.cose' });
  await red('a byte of its signature', 'manifest.js', flip((bytes) => bytes.length - 20), { names: 'manifest.cose' });
  await red('another log key', 'view/log.js', flip(inside('log.spki', 40)), { names: 'manifest.cose' });
  // In a comment: a script that is broken says nothing, red or green.
  await red('a byte of view/viewer.js on the disk', 'view/viewer.js', flip(() => 5), { named: true });
  for (const file of ['data/consents.json', first, 'index.html', 'bagit.txt', 'manifest.cose', 'view/words.js'])
    await red(`a byte of ${file} on the disk`, file, flip((bytes) => bytes.length - 2), { named: true });
  await red('a file that is gone from the disk', 'data/consents.csv', () => null, { named: true });

  // ---- what is sent, owed, claimed, promised and complained of
  const more = unpack(owed);
  said = await open(more);
  must('green with transfers, duties, rights, value and a complaint', whole(said), said.en.words);
  must('their sections are there in English', ['my transfer demands: 1', 'what is owed to me since consents ended', 'rights I claimed: 1', 'what my data was promised and paid', 'my complaints: 1', '1 complaints of mine proven']
    .every((one) => said.en.text.includes(one)), said.en.text.slice(-3000));
  must('and in Korean', ['내 전송요구 1건', '동의가 끝난 뒤 남은 의무', '내가 행사한 권리 1건', '내 데이터의 대가', '내 신고 1건', '증명됨', '확인됨', '거절함']
    .every((one) => said.ko.text.includes(one)), said.ko.text.slice(-3000));
  must('with what they say', ['bank → hospital', 'refused: PIPA art. 35(4)', '700 KRW', 'disputed by me', 'marker-of-one', '=me <img src=x onerror=globalThis.ran=1>', 'confirmed (pipc)', 'done in time', 'waiting']
    .every((one) => said.en.text.includes(one)), said.en.text.slice(-3000));
  must('every row of theirs is proven', said.en.marks.good >= 7 && said.en.marks.open === 0, JSON.stringify(said.en.marks));
  must('headings follow each other and every table names its columns', said.en.plain, said.en.text.slice(0, 200));
  must('and none of it is markup', said.en.markup === 0 && said.ko.ran === null);
  const listed = JSON.parse(fs.readFileSync(`${more}/data/complaints.json`)).complaints[0];
  const claim = JSON.parse(fs.readFileSync(`${more}/data/rights.json`)).rights[0].request;
  const claimed = fs.readFileSync(`${more}/data/statements/000001.ndjson`, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l)).find((row) => row.id === claim).evidence.replace(/\/[^/]*$/, '');
  for (const file of ['data/complaints.json', listed.evidence, 'data/transfers.json', 'data/value.json'])
    await red(`a byte of ${file} as the page carries it`, carries(file, more), flip(inside(file, 9)), { names: file, base: more });
  await red('the parcel with the proof of a claim: and its row is marked as not verified', carries(claimed, more), flip(inside(claimed, 9)),
    { names: claimed, base: more, also: (said) => said.en.marks.open >= 1 && said.en.text.includes('not verified here') && said.ko.text.includes('이 화면에서 확인하지 못함') });

  said = await open(unpack(thousand));
  must('a thousand events are green', whole(said) && said.en.text.includes('700 uses proven'), said.en.words);
  const brought = unpack(sources);
  said = await open(brought);
  must('what sources brought is shown, and who can read it', whole(said) && ['data that sources brought: 3', 'only I (my age key)', 'I and the operator of the service', 'lab', '.original.json.age']
    .every((word) => said.en.text.includes(word)) && ['나만 (내 age 키)', '나와 서비스 운영자'].every((word) => said.ko.text.includes(word)), said.en.text.slice(0, 900));
  const source = fs.readFileSync(path.join(brought, 'data/by-source/bank/000001.ndjson'), 'utf8').split('\n').filter(Boolean)
    .map((row) => JSON.parse(row).original).find((name) => name.endsWith('.txt'));
  const original = path.join(brought, 'data/by-source/bank/000001.zip'), kept = fs.readFileSync(original);
  const text = kept.indexOf('marker-');
  fs.writeFileSync(original, Buffer.from(kept).fill(0x78, text, text + 1));
  said = await open(brought, true);
  must('red: a byte of what a source brought, on the disk', said.en.verdict === 'red' && said.en.words.includes(source), said.en.words);
  said = await open(unpack(hostile));
  must('hostile texts are shown and do not run', whole(said) && said.en.markup === 0 && said.ko.ran === null
    && said.en.text.includes('<img src=x onerror=globalThis.ran=1>'), JSON.stringify(said).slice(0, 900));
} finally {
  await send('Browser.close').catch(() => {});
  await new Promise((ok) => (child.exitCode === null ? child.once('exit', ok) : ok()));
  for (const dir of [profile, work]) fs.rmSync(dir, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
