// The JavaScript client against itself and against what the original left: node self_test.mjs [page [page]]
// with FLEXSTORE_NPM and, for the vectors, FLEXSTORE_VECTORS set. With `page` the one client, or both,
// are in headless Chromium.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { ImmutableCollection, MutableCollection, stateTag } from './collections.mjs';
import { Driver } from './driver.mjs';
import { hash, read } from './record.mjs';
import { Relay } from './relay.mjs';
import { Synchronizer } from './synchronizer.mjs';
import { VersionedCollection, commonState } from './versioned.mjs';

const [MUTABLE, IMMUTABLE, VERSIONED] = ['MutableCollection', 'ImmutableCollection', 'VersionedCollection'];
const KINDS = [MUTABLE, IMMUTABLE, VERSIONED];
const notes = (type) => ({ type, name: 'notes' });
const CREDENTIALS = ['EncryptionKey', 'KeyRecovery', 'Team'].map((name) => [MUTABLE, name]);

const relay = new Relay();
const clients = [];
let ann, ben, team, service;

async function client(page) {
  const made = new Driver(page ? 'browser.mjs' : 'client.mjs');
  clients.push(made);
  made.author = (await made.ask('createAuthor')).author;
  made.service = page ? await made.ask('behind', { service }) : service;
  return made;
}

const vectors = path.join(process.env.FLEXSTORE_VECTORS ?? '', 'js-flexstore/flexstore.json');
const original = existsSync(vectors) ? JSON.parse(readFileSync(vectors, 'utf8')) : undefined;

// The members of a header, in order: of what a file shows decoded, and of a signature.
const members = (decoded) => Object.keys(JSON.parse([decoded].flat()[0])).join();
function members_of(signature) {
  const { signatures } = signature.startsWith('{') ? JSON.parse(signature) : {};
  const [first] = signatures ? [signatures[0].protected] : signature.split('.');
  return members(Buffer.from(first, 'base64url').toString());
}

// The two share a team, whose records they have from each other by hand-carried signals.
before(async () => {
  service = await relay.listen();
  const [, , first, second] = process.argv;
  [ann, ben] = await Promise.all([client(second), client(first)]);
  await meet('keys', CREDENTIALS);
  team = await ann.ask('createTeam', { members: [ann.author, ben.author] });
  for (const each of [ann, ben]) {
    await each.until('the team', async () => (await each.ask('list', { type: MUTABLE, name: 'Team' })).includes(team));
    for (const type of KINDS) await each.ask('open', { ...notes(type), tombstones: true });
  }
});

after(() => {
  for (const each of clients) each.stop();
  setTimeout(() => process.exit(), 500);
});

async function meet(label, collections) {
  const offer = await ann.ask('offer', { label, collections });
  const signals = await ben.ask('accept', { label, collections, signals: offer });
  await ann.ask('complete', { label, signals });
  for (const each of [ann, ben]) {
    for (const [type, name] of collections) await each.ask('synchronized', { type, name, service: label });
  }
}

async function part(label) {
  await ann.ask('disconnect', { service: label });
  await ben.until('apart', async () => !((await ben.ask('connections'))[label]));
}

const text = async (who, type, tag) => (await who.ask('retrieve', { ...notes(type), tag }))?.text;
const shows = (who, type, tag, expected) => who.until(`${type} ${tag}`, async () => (await text(who, type, tag)) === expected);
const moved = (counts) => Object.values(counts).flatMap((each) => ['get', 'put', 'delete'].map((word) => each[`sent ${word}`] ?? 0));

test('what the original stored verifies, with the tags that it had', async (t) => {
  if (!original) return t.skip('no vectors');
  const { items } = original;
  for (const item of items) {
    const record = await read(item.record);
    assert.equal(record.text, item.payload, item.label);
    const { iat, ant } = record.header;
    if (item.collection === 'StateCollection') assert.equal(await stateTag(record.text, ant, iat), item.tag);
    if (item.collection === 'ImmutableCollection' && record.text) assert.equal(await hash(record.text), item.tag);
  }
  // What we make against what it made.
  const find = (collection, label) => members(items.find((item) => item.collection === collection && item.label === label).protectedDecoded);
  const made = async (type, options, kind = type) => {
    const tag = await ann.ask('store', { ...notes(type), data: { made: Math.random() }, ...options });
    const at = kind === 'StateCollection' ? (await ann.ask('versions', { ...notes(type), tag })).heads[0] : tag;
    return members_of(await ann.ask('signature', { ...notes(kind), tag: at }));
  };
  for (const type of [IMMUTABLE, MUTABLE]) {
    assert.equal(await made(type, {}), find(type, 'json, author only'));
    assert.equal(await made(type, { owner: team }), find(type, 'json, owner team'));
    assert.equal(await made(type, { owner: team, encryption: team }), find(type, 'json, owner team, encryption team'));
    assert.equal(await made(type, { encryption: ann.author }), find(type, 'json, author, encrypted to user'));
    const tag = await ann.ask('store', { ...notes(type), data: 'x', owner: team });
    await ann.ask('remove', { ...notes(type), tag, owner: team });
    assert.equal(members_of(await ann.ask('signature', { ...notes(type), tag })), find(type, 'tombstone after remove'));
  }
  assert.equal(await made(VERSIONED, {}), find(VERSIONED, 'versioned individual: root'));
  assert.equal(await made(VERSIONED, { owner: team }), find(VERSIONED, 'versioned team: root'));
  assert.equal(await made(VERSIONED, { owner: team, encryption: team }, 'StateCollection'), find('StateCollection', 'versioned team encrypted: state'));
});

test('an outsider merges a fork of the original as its relay did', async (t) => {
  if (!original) return t.skip('no vectors');
  const [{ tag, A, B, states, relayRecord, relayProtected, mergedRecord }] = original.scenarios;
  const collection = new VersionedCollection({ name: 'forks', credentials: relay.credentials });
  const put = async (into, at, signature) => assert.equal((await into.put(at, signature)).stored, true);
  for (const [state, { record }] of Object.entries(states)) await put(collection.states, state, record);
  await put(collection, tag, A);
  await put(collection, tag, B);
  assert.equal(members_of(collection.get(tag)), members(relayProtected));
  assert.deepEqual(collection.heads(tag), (await read(relayRecord)).json);
  await assert.rejects(collection.store('more', { tag }), /not merged/);
  // What an owner made of it contains one of the two and stands for the other.
  const merged = (await read(mergedRecord)).json;
  const common = commonState(collection.states, [...merged, ...collection.heads(tag)]);
  assert.deepEqual(common.slice(1).sort(), Object.keys(states).filter((each) => each !== common[0]).sort());
});

test('messages are those of the transcript', async (t) => {
  if (!original) return t.skip('no vectors');
  const { items, scenarios } = original;
  const { transcript } = scenarios.find((each) => each.transcript);
  // What a passive side says to the original's words, with items of the original.
  const [first, second] = items.filter((each) => each.collection === MUTABLE && each.payload);
  const collection = new MutableCollection({ name: 'notes', credentials: relay.credentials });
  await collection.put(first.tag, first.record);
  const said = [];
  const channel = { readyState: 'open', send: (words) => said.push(words), close() {} };
  const synchronizer = new Synchronizer({ collection, channel, passive: true });
  const [versions] = transcript;
  const hear = (method, ...params) => synchronizer.receive(JSON.stringify({ method, params }));
  await hear(versions.method, ...versions.params);
  await new Promise((resolve) => { setTimeout(resolve, 300); });
  hear('hash', second.tag, await hash(second.record));
  await hear('endTags');
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  assert.ok(said.includes(JSON.stringify({ method: 'get', params: [second.tag] })));
  await hear('put', second.tag, second.record);
  await hear('get', first.tag);
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  const expected = [
    '{"method":"versions","params":[17,17]}',
    `{"method":"get","params":["${second.tag}"]}`,
    `{"method":"hash","params":["${first.tag}","${await hash(first.record)}"]}`,
    '{"method":"endTags","params":[]}',
    '{"method":"synchronizationComplete","params":[1]}',
    JSON.stringify({ method: 'put', params: [first.tag, first.record] }),
  ];
  assert.deepEqual([...said].sort(), [...expected].sort());
  const words = new Set(transcript.filter((each) => each.method).map((each) => each.method));
  assert.deepEqual([...words].sort(), ['delete', 'endTags', 'get', 'hash', 'put', 'synchronizationComplete', 'versions']);
});

test('rules of immutable and mutable items', async () => {
  const put = (who, type, tag, data, more) => who.ask('store', { ...notes(type), tag, data, ...more });
  await put(ann, MUTABLE, 'ruled', 'new', { time: 2000 });
  await assert.rejects(put(ann, MUTABLE, 'ruled', 'old', { time: 1000 }), /backdated/);
  await assert.rejects(put(ann, MUTABLE, 'ruled', 'another owner', { owner: team }), /not the owner/);
  const tag = await put(ann, IMMUTABLE, undefined, 'same', { time: 2000 });
  const first = await ann.ask('signature', { ...notes(IMMUTABLE), tag });
  await put(ann, IMMUTABLE, undefined, 'same', { time: 3000 });
  assert.equal(await ann.ask('signature', { ...notes(IMMUTABLE), tag }), first);
  await put(ann, IMMUTABLE, undefined, 'same', { time: 1000 });
  assert.notEqual(await ann.ask('signature', { ...notes(IMMUTABLE), tag }), first);
  await assert.rejects(put(ann, IMMUTABLE, 'not-a-hash', 'x'), /not the hash/);
  const collection = new ImmutableCollection({ name: 'x', credentials: relay.credentials });
  assert.ok((await collection.put('x', 'not a signature')).refused);
});

test('by hand: all kinds, plain and sealed, live, in fragments, and again nothing', async () => {
  const collections = KINDS.map((type) => [type, 'notes']);
  for (const type of KINDS) {
    await ann.ask('store', { ...notes(type), data: `of Ann ${type}` });
    await ben.ask('store', { ...notes(type), data: `of Ben ${type}` });
    await ann.ask('store', { ...notes(type), data: { sealed: type }, owner: team, encryption: team });
  }
  await meet('hand', collections);
  for (const type of [...KINDS, 'StateCollection']) {
    const [ours, theirs] = await Promise.all([ann, ben].map((who) => who.ask('list', notes(type))));
    assert.deepEqual(ours.sort(), theirs.sort());
    assert.ok(ours.length >= 3);
  }
  const { hand } = await ben.ask('connections');
  const ids = Object.fromEntries(Object.entries(hand.channels).map(([label, { id }]) => [label, id]));
  assert.deepEqual([ids[`${IMMUTABLE}/notes`], ids[`${VERSIONED}/notes`], ids['StateCollection/notes']], [126, 127, 128]);

  const long = '"'.repeat(100000);
  for (const type of KINDS) {
    await ann.ask('store', { ...notes(type), data: long });
    const tag = await ann.ask('store', { ...notes(type), data: `live ${type}`, owner: team });
    await shows(ben, type, tag, `live ${type}`);
    assert.equal(await text(ben, type, await hash(long)), long);
    await ben.ask('remove', { ...notes(type), tag, owner: team });
    await ann.until('deleted', async () => !(await ann.ask('list', notes(type))).includes(tag));
  }
  const secret = await ann.ask('store', { ...notes(VERSIONED), tag: 'secret', data: { n: 1 }, owner: team, encryption: team });
  await shows(ben, VERSIONED, secret, '{"n":1}');
  await ben.ask('store', { ...notes(VERSIONED), tag: 'secret', data: { n: 2 }, owner: team, encryption: team });
  await shows(ann, VERSIONED, secret, '{"n":2}');
  const { chain, times } = await ann.ask('versions', { ...notes(VERSIONED), tag: 'secret' });
  assert.equal(chain.length, 2);
  assert.equal(Object.keys(times).length, 2);
  const counts = await ben.ask('counts', { reset: true });
  assert.ok(counts[`${MUTABLE}/notes`]['received frag'] >= 9);

  await part('hand');
  await ann.ask('counts', { reset: true });
  await meet('again', collections);
  const again = await ann.ask('counts', {});
  assert.ok(again[`${MUTABLE}/notes`]['sent hash'] > 0);
  assert.deepEqual(moved(again).filter(Boolean), []);
  await part('again');
});

test('through a relay: live, a fork that an owner merges, rendezvous in both orders', async () => {
  for (const who of [ann, ben]) {
    const { service } = who;
    await who.ask('credentials', { service });
    for (const type of KINDS) await who.ask('open', { ...notes(type), service });
    for (const type of KINDS) await who.ask('synchronized', { ...notes(type), service });
  }
  for (const type of KINDS) {
    const tag = await ben.ask('store', { ...notes(type), data: `relayed ${type}` });
    await shows(ann, type, tag, `relayed ${type}`);
    await ben.ask('remove', { ...notes(type), tag });
    await ann.until('deleted', async () => !(await ann.ask('list', notes(type))).includes(tag));
  }
  const item = { ...notes(VERSIONED), tag: 'forked', owner: team, encryption: team };
  await ann.ask('store', { ...item, data: 'base' });
  await shows(ben, VERSIONED, 'forked', 'base');
  for (const who of [ann, ben]) await who.ask('disconnect', { service: who.service });
  await ann.ask('store', { ...item, data: 'of Ann' });
  await ben.ask('store', { ...item, data: 'of Ben' });
  for (const who of [ann, ben]) {
    const { service } = who;
    await who.ask('credentials', { service });
    await who.ask('open', { ...notes(VERSIONED), service });
    await who.ask('synchronized', { ...notes(VERSIONED), service });
  }
  const versions = () => ben.ask('versions', { ...notes(VERSIONED), tag: 'forked' });
  await ben.until('merged', async () => (await versions()).heads.length === 1);
  assert.deepEqual((await versions()).chain.length, 3);
  await shows(ben, VERSIONED, 'forked', 'of Ben');
  if (original) {
    const [{ mergedProtected }] = original.scenarios;
    assert.equal(members_of(await ben.ask('signature', { ...notes(VERSIONED), tag: 'forked' })), members(mergedProtected));
  }
  for (const who of [ann, ben]) await who.ask('disconnect', { service: who.service });

  for (const [name, [one, other]] of Object.entries({ early: ['answer', 'offer'], late: ['offer', 'answer'] })) {
    const join = (who, seeks) => who.ask('open', { ...notes(MUTABLE), service: `${who.service}/signal/${seeks}/${name}` });
    const first = join(ann, one);
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    await Promise.all([first, join(ben, other)]);
    const tag = await ann.ask('store', { ...notes(MUTABLE), data: `met ${name}` });
    await shows(ben, MUTABLE, tag, `met ${name}`);
  }
});

test('versions that do not meet close the channel', async () => {
  await ann.ask('open', { type: MUTABLE, name: 'old', service: ann.service, versions: [15, 16] });
  const version = (each) => each.event === 'version' && each.collection === `${MUTABLE}/old`;
  await ann.until('no version', () => ann.events.find(version)?.version === 0);
  const closed = (each) => each.event === 'closed' && each.collection === `${MUTABLE}/old`;
  await ann.until('closed', () => ann.events.some(closed));
});
