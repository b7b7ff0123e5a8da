// What a test may ask of a client, in node and in a page alike. The list stands in client.mjs.
import { RTCPeerConnection, Security } from './environment.mjs';
import { ImmutableCollection, MutableCollection } from './collections.mjs';
import { Connection, pause } from './connection.mjs';
import { Credentials } from './credentials.mjs';
import { hostile } from './hostile.mjs';
import { Raw } from './raw.mjs';
import { Synchronizer } from './synchronizer.mjs';
import { VersionedCollection } from './versioned.mjs';

const KINDS = { ImmutableCollection, MutableCollection, VersionedCollection };
const CUT = 80; // characters of a message's parameter in a report

// A payload is text, JSON or {"bytes": base64url}.
const payload = (data) => (typeof data?.bytes === 'string' ? Security.decodeBase64url(data.bytes) : data);

const brief = (value) => {
  if (typeof value !== 'string' || value.length <= CUT) return value;
  return `${value.slice(0, CUT)}… (${value.length} chars)`;
};

// Words of the API only: what else is in a request would end in a header.
function options(request) {
  const words = ['tag', 'owner', 'author', 'encryption', 'time', 'contentType', 'group', 'individual'];
  return Object.fromEntries(words.filter((word) => request[word] !== undefined).map((word) => [word, request[word]]));
}

export class Client {
  // tell: takes events.
  constructor(tell) {
    this.tell = tell;
    this.credentials = new Credentials();
    this.collections = new Map(); // label -> collection
    this.connections = new Map(); // service label -> connection
    this.links = new Map(); // service label -> collection label -> {link: when its channel is there, coming}
    this.counts = {}; // collection label -> "sent put" -> number
    this.messages = 'none'; // or 'brief', 'full'
    for (const collection of this.credentials.collections) this.add(collection);
  }

  add(collection) {
    const { label } = collection;
    collection.onupdate = (tag, { text, header }, from) => {
      if (this.credentials.collections.includes(collection)) this.credentials.forget(tag);
      const { iss, kid, act, iat } = header;
      const who = { owner: iss || kid, author: act || kid, iat };
      this.tell({ event: 'update', collection: label, tag, text: brief(text), ...who, from: from ? 'peer' : 'here' });
    };
    collection.onrefuse = (tag, words) => this.tell({ event: 'refused', collection: label, tag, words });
    this.collections.set(label, collection);
    if (collection.states) this.add(collection.states);
    return collection;
  }

  collection({ type, name }) {
    const found = this.collections.get(`${type}/${name}`);
    if (!found) throw new Error(`no collection ${type}/${name}`);
    return found;
  }

  links_of({ type, name, service }) {
    const all = [...this.links].filter(([label]) => !service || label === service);
    const states = type === 'VersionedCollection' ? [`StateCollection/${name}`] : [];
    const labels = [`${type}/${name}`, ...states];
    return all.flatMap(([, links]) => labels.map((label) => links.get(label)).filter(Boolean));
  }

  // The channels of a collection on a service's connection.
  join(collection, service, request = {}) {
    const label = request.label ?? service;
    const connection = this.connections.get(label) ?? this.connect(label, service, request);
    const parts = collection.states ? [collection, collection.states] : [collection];
    const arrived = this.expect(label, parts);
    const opened = parts.map((part) => connection.open(part.label, (channel) => {
      const report = (event) => this.report(label, part.label, event);
      const { versions } = request;
      arrived(part.label, new Synchronizer({ collection: part, channel, report, versions }));
    }));
    return { connection, opened: Promise.all(opened) };
  }

  // Channels come later where the other side opens them.
  expect(label, parts) {
    const links = this.links.get(label);
    for (const part of parts) {
      const entry = {};
      entry.coming = new Promise((resolve) => { entry.resolve = resolve; });
      links.set(part.label, entry);
    }
    return (partLabel, link) => {
      links.get(partLabel).link = link;
      links.get(partLabel).resolve(link);
    };
  }

  connect(label, service, { uuid }) {
    const report = (event) => this.tell({ service: label, ...event });
    const connection = new Connection({ service, RTCPeerConnection, uuid, report });
    connection.onclose = () => {
      if (this.connections.get(label) !== connection) return;
      const links = this.links.get(label);
      this.connections.delete(label);
      this.links.delete(label);
      for (const { link } of links.values()) link?.closed(); // browsers do not tell of the channels
    };
    this.connections.set(label, connection);
    this.links.set(label, new Map());
    return connection;
  }

  report(service, label, event) {
    if (event.event !== 'message') return this.tell({ service, collection: label, ...event });
    const counts = this.counts[label] ??= {};
    const key = `${event.direction} ${event.method}`;
    counts[key] = (counts[key] ?? 0) + 1;
    counts[`${event.direction} characters`] = (counts[`${event.direction} characters`] ?? 0) + event.length;
    if (this.messages === 'none') return undefined;
    const params = this.messages === 'full' ? event.params : event.params.map(brief);
    return this.tell({ service, collection: label, ...event, params });
  }

  async run(request) {
    const command = Object.hasOwn(commands, request.do) && commands[request.do];
    if (!command) throw new Error(`no command ${request.do}`);
    return (await command(this, request)) ?? null;
  }
}

const view = (record) => record && {
  text: record.text, json: record.json, iat: record.header.iat,
  owner: record.header.iss || record.header.kid, author: record.header.act || record.header.kid,
  header: record.header,
};

const within = (promise, ms = 30000, what = 'in vain') => {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(what)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const commands = {
  // Identities
  answer: ({ credentials }, { prompt, answer }) => { credentials.answers.set(prompt, answer); },
  createAuthor: ({ credentials }, { prompt = 'question?' }) => credentials.createAuthor(prompt),
  createTeam: (client, { members }) => Security.create(...members),
  createDevice: () => Security.create(),
  claimInvitation: ({ credentials }, { tag, prompt = 'question?' }) => credentials.claimInvitation(tag, prompt),
  addDevice: ({ credentials }, { tag }) => credentials.addDevice(tag),
  changeMembership: (client, { tag, add, remove }) => Security.changeMembership({ tag, add, remove }),
  destroy: (client, { tag }) => Security.destroy(tag),
  use({ credentials }, { author, owner, encryption }) {
    if (author !== undefined) credentials.author = author;
    if (owner !== undefined) credentials.owner = owner;
    if (encryption !== undefined) credentials.encryption = encryption;
  },

  // Collections
  async open(client, { type, name, service, services, tombstones, queued, ...more }) {
    const label = `${type}/${name}`;
    const all = services ?? (service === undefined ? [] : [service]);
    if (!client.collections.has(label)) {
      // As in the original: deletions are kept where services were given at construction.
      const kept = tombstones ?? all.length > 0;
      client.add(new KINDS[type]({ name, credentials: client.credentials, tombstones: kept, queued }));
    }
    const collection = client.collections.get(label);
    await within(Promise.all(all.map((each) => client.join(collection, each, more).opened)), 70000);
  },
  async credentials(client, { service, ...more }) {
    const opened = client.credentials.collections.map((each) => client.join(each, service, more).opened);
    await within(Promise.all(opened), 70000);
  },
  store: (client, request) => client.collection(request).store(payload(request.data), options(request)),
  remove: (client, { tag, ...request }) => client.collection(request).remove(tag, options(request)),
  async retrieve(client, { tag, hash, time, ...request }) {
    const collection = client.collection(request);
    return view(await collection.retrieve(tag, { hash, time }));
  },
  list: (client, request) => client.collection(request).list(),
  versions: (client, { tag, ...request }) => {
    const collection = client.collection(request);
    const { latest, ...times } = collection.getVersions(tag);
    return { latest, times, heads: collection.heads(tag), chain: collection.chain(tag) };
  },
  // The stored string, and writing one as if it had been signed here.
  signature: (client, { tag, ...request }) => client.collection(request).get(tag),
  put: (client, { tag, signature, ...request }) => client.collection(request).write(tag, signature),
  // As if it had never been here: no deletion, no message.
  forget: (client, { tag, ...request }) => { client.collection(request).records.delete(tag); },

  // Synchronization
  async synchronized(client, { timeout, ...request }) {
    const links = client.links_of(request);
    if (!links.length) throw new Error('no channel');
    const each = async ({ coming }) => (await coming).synchronized;
    return within(Promise.all(links.map(each)), timeout, 'not synchronized');
  },
  disconnect(client, { type, name, service }) {
    if (type) for (const { link } of client.links_of({ type, name, service })) link?.close();
    else for (const [label, connection] of [...client.connections]) if (!service || label === service) connection.close();
  },
  connections: ({ connections }) => Object.fromEntries(
    [...connections].map(([label, { peer, channels }]) => [label, {
      state: peer.connectionState,
      channels: Object.fromEntries([...channels].map(([each, { id, readyState }]) => [each, { id, readyState }])),
    }]),
  ),

  // Signals by hand: one side offers, the other accepts, the first completes.
  offer: (client, request) => byHand(client, request, `signals:${request.label}`),
  accept: (client, request) => byHand(client, request, request.signals),
  async complete({ connections }, { label, signals }) { await connections.get(label).apply(signals); },

  // The echo route: what comes back of these texts.
  async echo(client, { service, texts }) {
    const made = new Raw('echo');
    await made.connect(`${service}/requestDataChannel/test/echo/${crypto.randomUUID()}`);
    await made.send(texts);
    for (const end = Date.now() + 10000; made.count < texts.length && Date.now() < end;) await pause(20);
    made.peer.close();
    return made.texts;
  },

  // Reports
  messages(client, { report }) { client.messages = report; },
  counts(client, { reset }) {
    const { counts } = client;
    if (reset) client.counts = {};
    return counts;
  },
  ...hostile,
};

// The collections in the order in which both sides name them.
async function byHand(client, { collections, label, versions }, service) {
  let connection;
  const all = collections.map(([type, name]) => client.collection({ type, name }));
  for (const collection of all) ({ connection } = client.join(collection, service, { label, versions }));
  return within(connection.signals);
}
