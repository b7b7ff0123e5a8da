// The JavaScript original's package of keys as a peer of the tests: does what it is asked to.
//
// stdin   one line a request: {"do": name, ...}
// stdout  one line an answer: {"ok": value} or {"error": words}
//
// Run with FLEXSTORE_NPM set, in a directory that may be written: devices keep their keys there.
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(process.env.FLEXSTORE_NPM);
const entry = path.join(root, 'node_modules/@ki1r0y/distributed-security/lib/api.mjs');
const { default: Security } = await import(pathToFileURL(entry));

// What is shared: a map here, relays in life. General signatures are objects, as the package wants.
const shared = new Map();
const read = (text) => (text.startsWith('{') ? JSON.parse(text) : text);
const write = (value) => (typeof value === 'string' ? value : JSON.stringify(value));
Security.Storage = {
  async store(collection, tag, signature) { shared.set(`${collection}/${tag}`, write(signature)); },
  async retrieve(collection, tag) {
    const text = shared.get(`${collection}/${tag}`);
    return text === undefined ? undefined : read(text);
  },
};
const answers = new Map();
Security.getUserDeviceSecret = (tag, prompt) => (prompt ? answers.get(prompt) : `${tag}, this device`);

// A payload is text, JSON or {"bytes": base64url}.
const payload = (value) => (value?.bytes === undefined ? value : new Uint8Array(Buffer.from(value.bytes, 'base64url')));

const requests = {
  answer: ({ prompt, answer }) => { answers.set(prompt, answer); },
  create: ({ members = [] }) => Security.create(...members),
  change: ({ tag, add, remove }) => Security.changeMembership({ tag, add, remove }),
  destroy: ({ tag }) => Security.destroy(tag),
  sign: async ({ payload: value, options }) => write(await Security.sign(payload(value), options)),
  // Shallow like a collection of the original, or deep: whether the author is a member now.
  async verify({ signature, options }) {
    const result = await Security.verify(read(signature), ...(options ? [options] : []));
    return result ? { text: result.text, header: result.protectedHeader } : null;
  },
  seal: async ({ payload: value, tags }) => write(await Security.encrypt(payload(value), ...tags)),
  async open({ jwe, tag, recovery }) {
    const result = await Security.decrypt(read(jwe), { tags: [tag], recovery });
    return result ? { text: result.text, bytes: Buffer.from(result.payload).toString('base64url') } : null;
  },
  shared: ({ collection, tag }) => shared.get(`${collection}/${tag}`) ?? null,
  put: ({ collection, tag, signature }) => { shared.set(`${collection}/${tag}`, signature); },
  // What was stored has changed: do not go by what was unlocked before.
  forget: ({ tag }) => Security.clear(tag),
  device: ({ tag }) => readFile(path.join('Storage', 'Device', tag), 'utf8'),
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const request = JSON.parse(line);
    answer = { ok: (await requests[request.do](request)) ?? null };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  console.log(JSON.stringify(answer));
}
// The package keeps the process alive otherwise.
process.exit(0);
