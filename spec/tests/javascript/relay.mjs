// A relay as the original's is (formats 6.1): no deletions kept, roots merged as an outsider, no limits.
// Not the one under test: a peer for self_test.mjs and for pages without another relay.
import { createServer } from 'node:http';
import { Security, RTCPeerConnection } from './environment.mjs';
import { ImmutableCollection, MutableCollection, StateCollection } from './collections.mjs';
import { apply, gather } from './connection.mjs';
import { Credentials } from './credentials.mjs';
import { Synchronizer } from './synchronizer.mjs';
import { VersionedCollection } from './versioned.mjs';

const KINDS = { ImmutableCollection, MutableCollection, VersionedCollection, StateCollection };
const PATIENCE = 60000; // ms that one side of a rendezvous waits for the other

export class Relay {
  constructor() {
    this.credentials = new Credentials();
    this.collections = new Map(this.credentials.collections.map((each) => [each.label, each]));
    this.peers = new Map(); // uuid -> peer connection
    this.meetings = new Map(); // "offer name" -> {promise, resolve}
    this.server = createServer((request, response) => this.serve(request, response));
  }

  // Answers the address of its services.
  async listen() {
    this.credentials.author = await Security.create();
    await new Promise((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    return `http://127.0.0.1:${this.server.address().port}/flexstore`;
  }

  collection(label) {
    const found = this.collections.get(label);
    if (found) return found;
    const [type, name] = label.split('/');
    const { credentials } = this;
    if (type === 'StateCollection') this.collection(`VersionedCollection/${name}`);
    else {
      const made = new KINDS[type]({ name, credentials });
      this.collections.set(label, made);
      if (made.states) this.collections.set(made.states.label, made.states);
    }
    return this.collections.get(label);
  }

  async serve(request, response) {
    const [, , first, ...rest] = request.url.split('/').map(decodeURIComponent);
    const answer = (status, value) => { response.writeHead(status).end(JSON.stringify(value)); };
    try {
      let body = '';
      for await (const chunk of request) body += chunk;
      const signals = body && JSON.parse(body);
      const value = await this.route(request.method, first, rest, signals);
      return answer(value === undefined ? 404 : value === null ? 408 : 200, value);
    } catch (error) {
      return answer(500, String(error));
    }
  }

  route(method, first, rest, signals) {
    if (first === 'sync') return this.sync(rest[2], signals);
    if (first === 'requestDataChannel') return this.sync(undefined, signals);
    if (first !== 'signal') return undefined;
    const [seeks, name] = rest;
    if (seeks === 'answer') {
      this.meeting(`offer ${name}`).resolve(signals);
      return this.wait(`answer ${name}`);
    }
    if (method === 'GET') return this.wait(`offer ${name}`);
    this.meeting(`answer ${name}`).resolve(signals);
    this.meetings.delete(`offer ${name}`);
    this.meetings.delete(`answer ${name}`);
    return {};
  }

  meeting(key) {
    if (!this.meetings.has(key)) {
      const meeting = {};
      meeting.promise = new Promise((resolve) => { meeting.resolve = resolve; });
      this.meetings.set(key, meeting);
    }
    return this.meetings.get(key);
  }

  wait(key) {
    const late = new Promise((resolve) => { setTimeout(() => resolve(null), PATIENCE).unref(); });
    return Promise.race([this.meeting(key).promise, late]);
  }

  async sync(uuid, signals) {
    const peer = new RTCPeerConnection();
    this.peers.get(uuid)?.close(); // knowing a uuid is enough
    this.peers.set(uuid, peer);
    peer.ondatachannel = ({ channel }) => this.channel(channel);
    await apply(peer, signals);
    return gather(peer, await peer.createAnswer());
  }

  channel(channel) {
    if (channel.label === 'echo') channel.onmessage = ({ data }) => channel.send(data);
    else new Synchronizer({ collection: this.collection(channel.label), channel, passive: true });
  }
}

// As a program: prints its service.
if (process.argv[1]?.endsWith('relay.mjs')) console.log(JSON.stringify({ service: await new Relay().listen() }));
