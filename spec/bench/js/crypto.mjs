// The peer of `crypto`: does rounds of one operation on request.
//
// stdin   one line a round: the operation and how often
// stdout  one line a round: {"seconds": wall, "cpu": processor seconds}
//
// Run with FLEXSTORE_NPM set, in a directory that may be written.
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';
import path from 'node:path';

const root = path.resolve(process.env.FLEXSTORE_NPM);
const entry = path.join(root, 'node_modules/@ki1r0y/distributed-security/lib/api.mjs');
const { default: Security } = await import(pathToFileURL(entry));

// The package's own cloud is a server on localhost; a map is the fastest there can be.
const stored = new Map();
Security.Storage = {
  async store(collection, tag, signature) { stored.set(collection + '/' + tag, signature); },
  async retrieve(collection, tag) { return stored.get(collection + '/' + tag); },
};
Security.getUserDeviceSecret = (tag) => 'bench ' + tag;

const tag = await Security.create();
const text = (n) => String(n).padStart(16, '0').repeat(64); // 1 KiB
const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const signed = [], sealed = [];
for (let n = 0; n < 256; n++) {
  signed.push(await Security.sign(text(n), { tags: [tag], contentType: 'text/plain', time: Date.now() }));
  sealed.push(await Security.encrypt(text(n), { tags: [tag], contentType: 'text/plain' }));
}
let next = 0;
const operations = {
  sign: () => Security.sign(text(next++), { tags: [tag], contentType: 'text/plain', time: Date.now() }),
  async verify() {
    const n = next++ % 256;
    const result = await Security.verify(signed[n]);
    if (result?.text !== text(n)) throw new Error('not verified');
  },
  seal: () => Security.encrypt(text(next++), { tags: [tag], contentType: 'text/plain' }),
  async open() {
    const n = next++ % 256;
    const result = await Security.decrypt(sealed[n]);
    if (result?.text !== text(n)) throw new Error('not opened');
  },
  // A person: a device, a recovery key and the team of both.
  async author() {
    const device = await Security.create();
    const recovery = await Security.create({ prompt: 'bench' });
    await Security.create(device, recovery);
  },
};
Security.getUserDeviceSecret = (tag, prompt) => 'bench ' + (prompt || tag);

for await (const line of createInterface({ input: process.stdin })) {
  const [name, count] = line.split(' ');
  next = 0;
  const before = process.cpuUsage();
  const start = seconds();
  for (let n = 0; n < Number(count); n++) await operations[name]();
  const wall = seconds() - start;
  const cpu = process.cpuUsage(before);
  console.log(JSON.stringify({ seconds: wall, cpu: (cpu.user + cpu.system) / 1e6 }));
}
// The package keeps the process alive otherwise.
process.exit(0);
