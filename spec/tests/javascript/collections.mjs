// The collections of the JavaScript Flexstore (formats 5), in memory.
import { Security } from './environment.mjs';
import { hash, isDeletion, keeps, open, read, seal, sign } from './record.mjs';

// A rule answers nothing, KEEP (answer the tag, store nothing), or the words of a refusal.
const KEEP = Symbol('keep');

export class Collection {
  // tombstones: deletions are kept. queued: writes to one tag wait for each other; the original's do not.
  constructor({ name, credentials, tombstones = false, queued = false }) {
    Object.assign(this, { name, credentials, tombstones, queued });
    this.records = new Map(); // tag -> record as read
    this.synchronizers = new Set();
    this.waiting = new Map(); // tag -> the last write, when queued
    this.onupdate = () => {};
    this.onrefuse = () => {};
  }

  get label() { return `${this.constructor.name}/${this.name}`; }

  // The signature string at a tag, deletions too.
  get(tag) { return this.records.get(tag)?.signature; }

  // Undeleted tags.
  list() { return [...this.records].filter(([, record]) => !isDeletion(record)).map(([tag]) => tag); }

  async store(data, { tag, ...options } = {}) {
    const given = this.credentials.defaults(options);
    const { data: signed, options: sealed } = await seal(data, given);
    return this.write(tag, await sign(signed, { ...given, ...sealed }));
  }

  // A signature made here: kept, and told to everybody.
  async write(tag, signature) {
    const { tag: stored, refused } = await this.put(tag, signature);
    if (refused) throw new Error(refused);
    this.push('put', stored, signature);
    return stored;
  }

  async remove(tag, options = {}) {
    const given = { ...this.credentials.defaults(options), encryption: '' };
    const signature = await sign('', { subject: tag, ...given });
    const { refused } = await this.delete(tag, signature);
    if (refused) throw new Error(refused);
    this.push('delete', tag, signature);
    return tag;
  }

  async retrieve(tag) {
    const record = this.records.get(tag);
    return record && open(record);
  }

  push(method, tag, signature, except) {
    for (const synchronizer of this.synchronizers) {
      if (synchronizer !== except) synchronizer.push(method, tag, signature);
    }
  }

  // Writes that came from anywhere. Answers {tag, stored} or {tag, refused}.
  put(tag, signature, from) { return this.inTurn(tag, () => this.#put(tag, signature, from)); }
  delete(tag, signature, from) { return this.inTurn(tag, () => this.#delete(tag, signature, from)); }

  inTurn(tag, write) {
    if (!this.queued) return write();
    const turn = (this.waiting.get(tag) ?? Promise.resolve()).then(write);
    this.waiting.set(tag, turn.catch(() => {}));
    return turn;
  }

  async #put(tag, signature, from) {
    const proposed = await read(signature);
    if (!proposed) return this.#refuse(tag, 'does not verify');
    if (isDeletion(proposed)) return this.#erase(tag, proposed, from);
    tag ||= await this.tagOf(proposed);
    const existing = this.antecedent(tag, proposed);
    const rules = [this.tagRule, this.ownerRule, this.dateRule];
    const verdicts = await Promise.all(rules.map((rule) => rule.call(this, tag, proposed, existing)));
    const words = verdicts.find((verdict) => typeof verdict === 'string');
    if (words) return this.#refuse(tag, words);
    if (verdicts.includes(KEEP)) return { tag, stored: false };
    this.onupdate(tag, proposed, from); // before it is persisted
    this.records.set(tag, await this.merge(tag, proposed, this.records.get(tag)));
    return { tag, stored: true };
  }

  async #delete(tag, signature, from) {
    const proposed = await read(signature);
    if (!proposed || !isDeletion(proposed)) return this.#refuse(tag, 'not a deletion that verifies');
    return this.#erase(tag, proposed, from);
  }

  // Deletions win whatever their time.
  async #erase(tag, proposed, from) {
    const existing = this.records.get(tag);
    if (!existing) return this.#refuse(tag, 'nothing to delete');
    const words = this.ownerRule(tag, proposed, existing);
    if (words) return this.#refuse(tag, words);
    this.onupdate(tag, proposed, from);
    if (this.tombstones) this.records.set(tag, proposed);
    else this.records.delete(tag);
    return { tag, stored: true };
  }

  #refuse(tag, refused) {
    this.onrefuse(tag, refused);
    return { tag, refused };
  }

  antecedent(tag) { return this.records.get(tag); }
  tagOf(record) { return hashOf(record); }
  tagRule() {}
  dateRule() {}
  ownerOf({ iss, kid }) { return iss || kid; }
  ownerRule(tag, proposed, existing) {
    if (existing && this.ownerOf(proposed.header) !== this.ownerOf(existing.header)) return 'not the owner';
  }
  merge(tag, proposed) { return proposed; }
}

// Of the payload as signed. The original reads text, and does not survive bytes without a cty.
const hashOf = async (record) => Security.encodeBase64url(await Security.hashBuffer(record.payload));

export class ImmutableCollection extends Collection {
  async tagRule(tag, proposed, existing) {
    if (tag === (await hashOf(proposed))) return undefined;
    return existing ? KEEP : 'the tag is not the hash';
  }
  dateRule(tag, proposed, existing) {
    const { iat } = proposed.header;
    if (!iat) return 'no time';
    if (!existing || iat < existing.header.iat) return undefined;
    if (iat > existing.header.iat) return KEEP;
    return keeps(existing, proposed) ? KEEP : undefined;
  }
}

export class MutableCollection extends Collection {
  dateRule(tag, proposed, existing) {
    if (!existing) return undefined;
    const { iat } = proposed.header;
    if (!iat) return 'no time';
    if (iat < existing.header.iat) return 'backdated';
    return iat === existing.header.iat && keeps(existing, proposed) ? KEEP : undefined;
  }
}

// Owners of versioned things: `group` or `individual` if the author has an EncryptionKey here (2.7).
const owned = (Base) => class extends Base {
  ownerOf(header) {
    const claimed = header.group || header.individual;
    const known = claimed && this.credentials.EncryptionKey.get(header.act || header.kid);
    return known ? claimed : super.ownerOf(header);
  }
};

export const stateTag = (text, ant, iat) => hash(`${text}${ant || iat}`);

export class StateCollection extends owned(Collection) {
  antecedent(tag, { header: { ant } }) { return ant ? this.records.get(ant) : undefined; }
  tagOf({ text, header }) { return stateTag(text, header.ant, header.iat); }
  async tagRule(tag, proposed) {
    if (tag !== (await this.tagOf(proposed))) return 'the tag is not the hash';
  }

  // Waits until a state is here, for so many milliseconds at most: roots and states come in no order.
  async arrival(tag, patience) {
    for (const end = Date.now() + patience; !this.records.has(tag) && Date.now() < end;) {
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    return this.records.get(tag);
  }
}

export const OwnedCollection = owned(Collection);
