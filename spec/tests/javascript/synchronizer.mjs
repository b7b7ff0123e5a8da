// One collection over one data channel (formats 6.3, 6.4).
import { pause } from './connection.mjs';
import { hash } from './record.mjs';

const NEEDED = 200; // ms from the first need of the version to the message
const UNSUITED = 500; // ms until a channel without a common version is closed
const LONG = 16000; // UTF-16 units from which a message travels in pieces
let fragmented = 0; // ids of such messages

const METHODS = ['versions', 'hash', 'endTags', 'get', 'put', 'delete', 'synchronizationComplete', 'fragments', 'frag'];

export class Synchronizer {
  // passive: a relay, which begins with its own tags when it hears the first of the other's.
  // report: told of every message, and of what happens.
  constructor({ collection, channel, passive = false, versions = [17, 17], report = () => {} }) {
    Object.assign(this, { collection, channel, passive, versions, report });
    this.pending = new Map(); // tag -> what to do with the answer
    this.pieces = new Map(); // id -> what came of a long message
    this.examined = 0;
    this.work = 0; // checks under way
    this.ended = this.told = this.sentComplete = this.gotComplete = false;
    this.opened = new Promise((resolve) => { this.isOpen = resolve; });
    this.agreed = new Promise((resolve) => { this.agree = resolve; });
    this.synchronized = new Promise((resolve, reject) => { Object.assign(this, { resolve, reject }); });
    this.synchronized.catch(() => {});
    collection.synchronizers.add(this);
    channel.onmessage = ({ data }) => this.receive(data);
    channel.onclose = () => this.closed();
    channel.onopen = () => this.open();
    if (channel.readyState === 'open') this.open();
  }

  open() {
    if (this.wasOpened) return;
    this.wasOpened = true;
    this.isOpen();
    this.report({ event: 'open' });
    if (!this.passive) this.start();
  }

  close() { this.channel.close(); this.closed(); }

  closed() {
    if (!this.collection.synchronizers.delete(this)) return;
    this.report({ event: 'closed' });
    this.reject(new Error('closed'));
  }

  // Sending

  async push(method, tag, signature) {
    await this.opened;
    this.send(method, tag, signature);
  }

  send(method, ...params) {
    const text = this.tell('sent', method, params);
    if (text.length < LONG) return this.transmit(text);
    const count = Math.ceil(text.length / LONG);
    const id = fragmented++;
    this.transmit(this.tell('sent', 'fragments', [id, count]));
    for (let index = 0; index < count; index++) {
      this.transmit(this.tell('sent', 'frag', [id, index, text.slice(index * LONG, (index + 1) * LONG)]));
    }
  }

  transmit(text) {
    if (this.channel.readyState === 'open') this.channel.send(text);
  }

  tell(direction, method, params) {
    const text = JSON.stringify({ method, params });
    this.report({ event: 'message', direction, method, params, length: text.length });
    return text;
  }

  // Receiving

  receive(text) {
    let call;
    try { call = JSON.parse(text); } catch { call = null; }
    const { method, params } = call ?? {};
    if (!METHODS.includes(method) || !Array.isArray(params)) {
      return this.report({ event: 'misunderstood', text: String(text).slice(0, 200) });
    }
    this.report({ event: 'message', direction: 'received', method, params, length: text.length });
    return Promise.resolve(this[`on_${method}`](...params)).catch((error) => {
      this.report({ event: 'failed', method, error: String(error) });
    });
  }

  on_fragments(id, count) { this.pieces.set(id, { count, texts: [], came: 0 }); }

  on_frag(id, index, text) {
    const whole = this.pieces.get(id);
    if (!whole) return undefined;
    whole.texts[index] = text;
    if (++whole.came < whole.count) return undefined;
    this.pieces.delete(id);
    return this.receive(whole.texts.join(''));
  }

  // The version

  async version() {
    if (!this.asked) {
      this.asked = true;
      pause(NEEDED).then(() => this.send('versions', ...this.versions));
    }
    return this.agreed;
  }

  async on_versions(min, max) {
    this.version();
    const [ourMin, ourMax] = this.versions;
    const [least, most] = [Math.max(min, ourMin), Math.min(max, ourMax)];
    const version = most >= least ? most : 0;
    this.report({ event: 'version', version });
    if (version) return this.agree(version);
    await pause(UNSUITED);
    return this.close();
  }

  // Comparison

  async start() {
    if (this.started) return;
    this.started = true;
    await this.version();
    const { collection } = this;
    const tags = collection.list();
    for (const tag of tags) this.send('hash', tag, await hash(collection.get(tag) ?? 'missing'));
    this.send('endTags');
    this.told = true;
    this.settle();
  }

  async on_hash(tag, theirs) {
    this.start();
    this.work++;
    const ours = await hash(this.collection.get(tag) ?? 'missing');
    if (ours !== theirs) {
      const signature = await new Promise((resolve) => {
        this.pending.set(tag, resolve);
        this.send('get', tag);
      });
      if (signature) await this.accept('put', tag, signature);
    }
    this.examined++;
    this.work--;
    this.settle();
  }

  on_endTags() {
    this.ended = true;
    this.start();
    this.settle();
  }

  // We have told all of ours and checked all of theirs.
  settle() {
    if (!this.ended || !this.told || this.work || this.sentComplete) return;
    this.sentComplete = true;
    this.send('synchronizationComplete', this.examined);
    this.finish();
  }

  on_synchronizationComplete() {
    this.gotComplete = true;
    this.finish();
  }

  finish() {
    if (!this.sentComplete || !this.gotComplete) return;
    this.report({ event: 'synchronized', examined: this.examined });
    this.resolve(this.examined);
  }

  // Items

  on_get(tag) { this.send('put', tag, this.collection.get(tag) ?? null); }

  on_put(tag, signature) {
    const answered = this.pending.get(tag);
    this.pending.delete(tag);
    if (answered) return answered(signature);
    return signature ? this.accept('put', tag, signature) : undefined;
  }

  on_delete(tag, signature) { return this.accept('delete', tag, signature); }

  // A relay passes on what it accepts; a client does not.
  async accept(method, tag, signature) {
    const { stored } = await this.collection[method](tag, signature, this);
    if (stored && this.passive) this.collection.push(method, tag, signature, this);
  }
}
