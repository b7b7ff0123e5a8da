// What no honest client sends, as commands beside those of client.mjs.
//
//   raw             service, label, as       a bare data channel on a new connection to a relay's /sync
//   rawSend         as, text | texts | message | messages, times    in order, waiting while the buffer is full
//   rawReceived     as                       what came: {open, count, texts: the first hundred}
//   rawClose        as
//   rawHashes       as, count                so many `hash` messages of tags that nobody has, then `endTags`
//   rawOpeners      as, count, pieces        so many `fragments` that announce so many pieces, and no piece
//   rawBomb         as, count, index         one `fragments` of that count and a `frag` of that index
//   post            url, size | json | text  any body; {status, text}; size: an array of signals that long
//   candidates      service, label, count    an offer whose SDP and signals name so many candidates; {status}
//   crowd           service, label, count    so many connections at once; how many opened
//   busy            ms                       does nothing else for so long
import { RTCPeerConnection } from './environment.mjs';
import { gather } from './connection.mjs';

const FULL = 1 << 20; // bytes in the buffer from which we wait
const SHOWN = 100;

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function post(url, body) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  return { status: response.status, text };
}

const route = (service, label, uuid = crypto.randomUUID()) => `${service.replace(/\/sync$/, '')}/sync/${label}/${uuid}`;

async function apply(peer, signals) {
  for (const [event, data] of signals) {
    if (event === 'icecandidate') await peer.addIceCandidate(data);
    else await peer.setRemoteDescription(data);
  }
}

// One peer connection with one channel, and what came on it.
class Raw {
  constructor(label) {
    this.peer = new RTCPeerConnection();
    this.channel = this.peer.createDataChannel(label);
    Object.assign(this, { open: false, count: 0, texts: [] });
    this.channel.onopen = () => { this.open = true; };
    this.channel.onclose = () => { this.open = false; };
    this.channel.onmessage = ({ data }) => {
      this.count++;
      if (this.texts.length < SHOWN) this.texts.push(data);
    };
  }

  async connect(url, patience = 15000) {
    const offer = await gather(this.peer, await this.peer.createOffer());
    const { status, text } = await post(url, JSON.stringify(offer));
    if (status !== 200) throw new Error(`${status}: ${text.slice(0, 200)}`);
    await apply(this.peer, JSON.parse(text));
    for (const end = Date.now() + patience; !this.open && Date.now() < end;) await pause(20);
    if (!this.open) throw new Error('did not open');
  }

  async send(texts) {
    let sent = 0;
    for (const text of texts) {
      while (this.open && this.channel.bufferedAmount > FULL) await pause(5);
      if (!this.open) break;
      this.channel.send(text);
      sent++;
    }
    return sent;
  }
}

const raws = new Map();
const raw = (as) => {
  if (!raws.has(as)) throw new Error(`no raw channel ${as}`);
  return raws.get(as);
};
const say = (method, ...params) => JSON.stringify({ method, params });

function* repeat(texts, times) {
  for (let i = 0; i < times; i++) yield* texts;
}
function* each(count, make) {
  for (let i = 0; i < count; i++) yield make(i);
}

const tagOf = (number) => String(number).padStart(43, 'x');

export const hostile = {
  async raw(client, { service, label, as = label, uuid }) {
    const made = new Raw(label);
    await made.connect(route(service, label, uuid));
    raws.set(as, made);
  },
  rawSend: (client, { as, text, texts = text === undefined ? [] : [text], message, messages, times = 1 }) => {
    const calls = messages ?? (message === undefined ? [] : [message]);
    return raw(as).send(repeat([...texts, ...calls.map((call) => JSON.stringify(call))], times));
  },
  rawReceived: (client, { as }) => {
    const { open, count, texts } = raw(as);
    return { open, count, texts };
  },
  rawClose(client, { as }) {
    raw(as).peer.close();
    raws.delete(as);
  },
  async rawHashes(client, { as, count }) {
    const sent = await raw(as).send(each(count, (i) => say('hash', tagOf(i), tagOf(i))));
    await raw(as).send([say('endTags')]);
    return sent;
  },
  rawOpeners: (client, { as, count, pieces = 2 }) => raw(as).send(each(count, (i) => say('fragments', i, pieces))),
  rawBomb: (client, { as, count, index = 0 }) => raw(as).send([say('fragments', 0, count), say('frag', 0, index, 'x')]),
  post: (client, { url, size, json, text = JSON.stringify(json) }) => {
    const long = size && JSON.stringify([['offer', { type: 'offer', sdp: 'x'.repeat(size) }]]);
    return post(url, long ?? text);
  },
  async candidates(client, { service, label, count }) {
    const { peer } = new Raw(label);
    const signals = await gather(peer, await peer.createOffer());
    const [[, description]] = signals;
    const lines = [...each(count, (i) => `candidate:${i + 1} 1 udp ${2113937151 - i} 127.0.0.1 ${1024 + i} typ host`)];
    description.sdp += lines.map((line) => `a=${line}\r\n`).join('');
    const more = lines.map((candidate) => ['icecandidate', { candidate, sdpMid: '0', sdpMLineIndex: 0 }]);
    const answer = await post(route(service, label), JSON.stringify([...signals, ...more]));
    peer.close();
    return answer;
  },
  async crowd(client, { service, label, count }) {
    const made = [...each(count, () => new Raw(label))];
    const results = await Promise.allSettled(made.map((one) => one.connect(route(service, label), 60000)));
    made.forEach((one, index) => raws.set(`crowd ${index}`, one));
    return results.filter(({ status }) => status === 'fulfilled').length;
  },
  busy(client, { ms }) {
    for (const end = Date.now() + ms; Date.now() < end;);
  },
};
