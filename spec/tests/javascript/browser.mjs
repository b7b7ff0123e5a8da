// client.mjs in headless Chromium with the browser's own WebRTC: the same lines in and out, and
//
//   behind           service                     what a reverse proxy does: the same service at the page's origin,
//                                                as the original sets no CORS; answers it
//   goto             url                         another page, or this one with parameters (page.mjs)
//   title                                        of the page
//   screenshot       path
//
// CHROMIUM names the browser, or it is found on PATH. It ends with this process, however that ends.
import { spawn } from 'node:child_process';
import { createServer, request as dial } from 'node:http';
import { createInterface } from 'node:readline';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const packages = path.resolve(process.env.FLEXSTORE_NPM, 'node_modules');
const SECURITY = path.join(packages, '@ki1r0y/distributed-security/dist/api-browser-bundle.mjs');
const TYPES = { '.html': 'text/html', '.mjs': 'text/javascript' };

const FLAGS = [
  '--headless', '--no-sandbox', '--no-first-run', '--disable-gpu', '--disable-dev-shm-usage',
  '--disable-background-networking', '--disable-component-update', '--password-store=basic',
  // Candidates are addresses that others can use, the loopback's too.
  '--disable-features=WebRtcHideLocalIpsWithMdns,Translate,OptimizationHints', '--allow-loopback-in-peer-connection',
  '--remote-debugging-pipe', '--window-size=1000,800',
];

let relay; // behind the page's origin

function forward(request, response) {
  const { method, url, headers } = request;
  const onward = dial(new URL(url, relay), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}

// The page and its modules, and nothing else of this folder.
async function serve(request, response) {
  const name = new URL(request.url, 'http://page').pathname.slice(1) || 'page.html';
  if (relay && name.startsWith('flexstore/')) return forward(request, response);
  const file = name === 'distributed-security.mjs' ? SECURITY : path.join(here, path.basename(name));
  const text = TYPES[path.extname(file)] && await readFile(file).catch(() => undefined);
  if (!text) return response.writeHead(404).end();
  return response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] }).end(text);
}

const server = createServer(serve);
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const origin = `http://127.0.0.1:${server.address().port}`;

const tell = (value) => { process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`); };

// The DevTools protocol over a pipe: messages end with a zero byte.
const flags = [...FLAGS, `--user-data-dir=${path.resolve('chromium')}`];
const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
const child = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio });
child.on('exit', () => process.exit(1));
child.on('error', (error) => { tell({ event: 'failed', error: String(error) }); process.exit(1); });
const [, , , requests, answers] = child.stdio;

const waiting = new Map();
let calls = 0;
function call(method, params = {}, sessionId) {
  const id = ++calls;
  requests.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  return new Promise((resolve, reject) => { waiting.set(id, { resolve, reject }); });
}

function heard({ id, method, params, result, error }) {
  if (method === 'Runtime.bindingCalled') return tell(params.payload);
  const { resolve, reject } = waiting.get(id) ?? {};
  waiting.delete(id);
  return error ? reject?.(new Error(error.message)) : resolve?.(result);
}

let rest = '';
answers.setEncoding('utf8');
answers.on('data', (chunk) => {
  const parts = (rest + chunk).split('\0');
  rest = parts.pop();
  for (const part of parts) heard(JSON.parse(part));
});

const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
const page = (method, params) => call(method, params, sessionId);
const evaluate = async (expression) => (await page('Runtime.evaluate', { expression })).result.value;
await page('Page.enable');
await page('Runtime.enable');
await page('Runtime.addBinding', { name: 'told' });
await page('Page.navigate', { url: `${origin}/page.html` });

const commands = {
  behind({ service }) {
    relay = service;
    return origin + new URL(service).pathname;
  },
  async screenshot({ path: file }) {
    const { data } = await page('Page.captureScreenshot');
    await writeFile(file, Buffer.from(data, 'base64'));
  },
  goto: async ({ url }) => { await page('Page.navigate', { url: new URL(url, origin).href }); },
  title: () => evaluate('document.title'),
};

async function handle(line) {
  const { id, ...request } = JSON.parse(line);
  if (request.do === 'exit') { child.kill(); process.exit(0); }
  try {
    if (!Object.hasOwn(commands, request.do)) return await evaluate(`void ask(${JSON.stringify(line)})`);
    return tell({ id, ok: (await commands[request.do](request)) ?? null });
  } catch (error) {
    return tell({ id, error: String(error?.message ?? error) });
  }
}

// Requests that come before the page is there wait for it.
for (let ready = false; !ready;) {
  ready = await evaluate('typeof ask === "function"');
  if (!ready) await new Promise((resolve) => { setTimeout(resolve, 50); });
}
for await (const line of createInterface({ input: process.stdin })) handle(line);
child.kill();
process.exit(0);
