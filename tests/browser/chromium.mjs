// A Chromium over a pipe (DevTools protocol): no WebSocket library is needed.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';

export const until = async (what, look, patience = 15_000) => {
  for (const end = Date.now() + patience; Date.now() < end;) {
    const found = await look();
    if (found) return found;
    await new Promise((ok) => setTimeout(ok, 25));
  }
  throw new Error(`not within ${patience} ms: ${what}`);
};

export const open = async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'naru-browser-'));
  const child = spawn(process.env.CHROMIUM ?? 'chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
    '--disable-sync', '--disable-background-networking', '--disable-component-update', '--remote-debugging-pipe',
    `--user-data-dir=${folder}/profile`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const waiting = new Map(), listeners = [];
  let last = 0, rest = Buffer.alloc(0), gone;
  const end = (why) => { gone = new Error(`Chromium: ${why}`); for (const w of waiting.values()) w.no(gone); waiting.clear(); };
  child.once('error', (error) => end(error.message));
  child.once('exit', (code) => end(`ended with ${code}`));
  child.stdio[4].on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    for (let at; (at = rest.indexOf(0)) >= 0; rest = rest.subarray(at + 1)) {
      const m = JSON.parse(rest.subarray(0, at).toString());
      const w = waiting.get(m.id);
      if (!m.id) listeners.forEach((hear) => hear(m.method, m.params));
      if (w) { waiting.delete(m.id); m.error ? w.no(new Error(m.error.message)) : w.ok(m.result); }
    }
  });
  child.stdio[3].on('error', (error) => end(error.message));
  const send = (method, params = {}, sessionId) => new Promise((ok, no) => {
    if (gone) { no(gone); return; }
    const id = ++last; waiting.set(id, { ok, no });
    child.stdio[3].write(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }) + '\0');
  });
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const at = (method, params) => send(method, params, sessionId);
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await at(`${domain}.enable`);
  await at('WebAuthn.enable', {});
  await send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: `${folder}/saved` });
  const run = async (expression) => {
    const r = await at('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (r.exceptionDetails) throw new Error(r.exceptionDetails.exception?.description ?? r.exceptionDetails.text);
    return r.result.value;
  };
  const device = () => at('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', ctap2Version: 'ctap2_1',
    transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
    automaticPresenceSimulation: true, defaultBackupEligibility: true, defaultBackupState: true } });
  const close = async () => {
    if (!gone) {
      const exit = new Promise((ok) => child.once('exit', ok));
      await send('Browser.close').catch(() => {});
      await exit;
    }
    fs.rmSync(folder, { recursive: true, force: true });
  };
  // A file the page saved, whole; it is gone afterwards, so that the next of its name is new.
  const take = async (name) => {
    const file = `${folder}/saved/${name}`;
    await until(`the file ${name}`, () => fs.existsSync(file) && fs.statSync(file).size > 0);
    const bytes = fs.readFileSync(file);
    fs.rmSync(file);
    return bytes;
  };
  // Opens a file in an `input` of the page.
  const give = async (input, file) => {
    const { result } = await at('Runtime.evaluate', { expression: input });
    await at('DOM.setFileInputFiles', { files: [file], objectId: result.objectId });
  };
  const saved = () => (fs.existsSync(`${folder}/saved`) ? fs.readdirSync(`${folder}/saved`) : []);
  return { at, run, device, close, saved, take, give, hear: (listener) => listeners.push(listener), version: (await send('Browser.getVersion')).product };
};
