// Versioned items (formats 5.1 to 5.3): a root is a list of states, and lists merge.
import { Security } from './environment.mjs';
import { OwnedCollection, StateCollection } from './collections.mjs';
import { hash, isDeletion, keeps, open, read, seal, sign } from './record.mjs';

// How long a merge waits for states that its lists name; the formats do not say.
const PATIENCE = 3000;

export class VersionedCollection extends OwnedCollection {
  constructor(options) {
    super(options);
    this.states = new StateCollection(options);
  }

  async store(data, { tag, ...options } = {}) {
    const given = this.credentials.defaults(options);
    const time = given.time ?? Date.now();
    const { data: signed, options: sealed } = await seal(data, given);
    // Equal first contents are one item, on purpose.
    const item = tag || (await hash(typeof signed === 'string' ? signed : JSON.stringify(signed)));
    const heads = this.heads(item);
    if (heads.length > 1) throw new Error('not merged');
    const signature = await sign(signed, { ...given, ...sealed, time, subject: item, ...ant(heads[0]) });
    const state = await this.states.write('', signature);
    const { author, owner, group, individual } = given;
    const claim = { ...(group ? { group } : {}), ...(individual ? { individual } : {}) };
    return this.write(item, await sign([state], { author, owner, encryption: '', ...claim }));
  }

  async remove(tag, options = {}) {
    for (const state of this.chain(tag)) {
      await this.states.remove(state, { ...options, ant: state, subject: tag });
    }
    return super.remove(tag, options);
  }

  heads(tag) { return this.records.get(tag)?.json ?? []; }

  // By the tag of a state, by time (not opened, as in the original), or the latest.
  async retrieve(tag, { hash: state, time } = {}) {
    if (state) return this.states.retrieve(state);
    const chain = this.chain(tag).map((each) => this.states.records.get(each));
    if (time !== undefined) return chain.find(({ header }) => header.iat <= time);
    return chain.length ? open(chain[0]) : undefined;
  }

  // Newest first; of an unmerged root the states of all its heads.
  chain(tag) {
    const tags = new Set(this.heads(tag).flatMap((head) => [...walk(this.states, head)]));
    const held = [...tags].filter((each) => isHeld(this.states, each));
    return this.heads(tag).length > 1 ? sorted(this.states, held).reverse() : held;
  }

  // Keyed by time, so that equal times collide, as in the original.
  getVersions(tag) {
    const times = this.chain(tag).reverse().map((each) => [this.states.records.get(each).header.iat, each]);
    return { latest: times.at(-1)?.[0], ...Object.fromEntries(times) };
  }

  tagRule(tag, proposed) {
    const list = proposed.json;
    const good = Array.isArray(list) && list.every((each) => typeof each === 'string');
    return good ? undefined : 'not a list of states';
  }

  // Of an incoming root and what is here (5.2). Answers the record to keep.
  async merge(tag, proposed, existing) {
    const [ours, theirs] = [existing?.json ?? [], proposed.json];
    if (theirs.length === 1 && !ours.length) return proposed;
    if (ours.length === 1 && !theirs.length) return existing;
    const combined = [...theirs, ...ours];
    await Promise.all(combined.map((each) => this.states.arrival(each, PATIENCE)));
    const [ancestor, ...above] = commonState(this.states, combined);
    if (combined.length === 2 && ancestor) {
      if (ancestor === theirs[0]) return proposed;
      if (ancestor === ours[0]) return existing;
    }
    const signer = await this.signer(proposed.header);
    const complete = combined.every((each) => isHeld(this.states, each));
    if (!complete || !signer.mine) return this.unmerged(combined, signer);
    return this.replay(tag, ancestor, ancestor ? above : combined, signer);
  }

  // Whose the item is, and whether we can sign as that.
  async signer({ group, individual, iss, kid, act }) {
    const owner = group || individual || iss || kid;
    const isTeam = Boolean(group || (!individual && iss));
    const { author } = this.credentials.defaults({});
    const member = isTeam ? author ?? act : owner;
    const mine = await Security.sign('', { tags: [owner, ...(isTeam && author ? [author] : [])] }).then(() => true, () => false);
    return { owner, isTeam, member, author, mine };
  }

  // All that those can do who are not the owner: a readable, unmerged root.
  async unmerged(combined, { owner, isTeam, author }) {
    const claim = isTeam ? { group: owner } : { individual: owner };
    return read(await sign([...new Set(combined)], { author, encryption: '', ...claim }));
  }

  async replay(tag, ancestor, tags, { owner, isTeam, member }) {
    const signers = { author: member, ...(isTeam ? { owner } : {}) };
    let head = ancestor;
    for (const each of sorted(this.states, [...new Set(tags)])) {
      const record = this.states.records.get(each);
      const fits = (record.header.ant || '') === (head ?? '');
      head = fits ? each : await this.restate(tag, record, { ...signers, ...ant(head) });
    }
    const root = await sign([head], { ...signers, encryption: '', tag });
    return read(root);
  }

  // The same content again after another state: same time, same audience, a new signature.
  async restate(tag, record, options) {
    const { json, text, payload } = await open(record);
    const { encryption, iat: time } = record.header;
    const { data, options: sealed } = await seal(json ?? text ?? payload, { encryption });
    return this.states.write('', await sign(data, { ...options, ...sealed, time, subject: tag }));
  }
}

const ant = (tag) => (tag ? { ant: tag } : {});

const isHeld = (states, tag) => states.records.has(tag) && !isDeletion(states.records.get(tag));

// A state and what came before it, as far as it is here.
function* walk(states, tag) {
  for (let each = tag; each;) {
    yield each;
    const record = states.records.get(each);
    each = record && !isDeletion(record) ? record.header.ant : undefined; // a deletion names itself
  }
}

// By time; of equal times what the tie rule keeps comes last. The rule does not order what the same actor
// wrote: then the shorter chain comes first, and the smaller tag.
function sorted(states, tags) {
  const depths = new Map(tags.map((tag) => [tag, [...walk(states, tag)].length]));
  const held = (tag) => states.records.get(tag);
  const compare = (a, b) => {
    const [one, other] = [held(a), held(b)];
    if (one.header.iat !== other.header.iat) return one.header.iat - other.header.iat;
    if (keeps(one, other)) return 1;
    if (keeps(other, one)) return -1;
    return depths.get(a) - depths.get(b) || Number(a > b) - Number(a < b);
  };
  return [...tags].sort(compare);
}

// One chain, read as far as was asked for.
class Chain {
  constructor(states, head) {
    this.rest = walk(states, head);
    this.tags = new Set();
  }
  has(tag) {
    while (!this.tags.has(tag)) {
      const { value, done } = this.rest.next();
      if (done) return false;
      this.tags.add(value);
    }
    return true;
  }
  above(tag) {
    const tags = [...this.tags];
    return tags.slice(0, tags.indexOf(tag));
  }
}

// The last state in all chains and then every state after it; [] if there is none (5.3).
export function commonState(states, list) {
  let heads = [...new Set(list)];
  const chains = new Map(heads.map((head) => [head, new Chain(states, head)]));
  // A head within another's chain is dropped.
  heads = heads.filter((head) => !heads.some((other) => other !== head && chains.get(other).has(head)));
  if (heads.length <= 1) return heads;
  const [first, ...others] = heads.map((head) => chains.get(head));
  for (const candidate of walk(states, heads[0])) {
    first.has(candidate);
    if (others.every((chain) => chain.has(candidate))) {
      return [candidate, ...new Set([first, ...others].flatMap((chain) => chain.above(candidate)))];
    }
  }
  return [];
}
