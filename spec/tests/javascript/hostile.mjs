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
//   crowd           service, label, count    so many connections, kept open; how many opened
//   crowdSend        message | text, times      by each of them; how many it could
//   busy            ms                       does nothing else for so long
import { gather } from './connection.mjs';
import { Raw, post, route } from './raw.mjs';

const AT_ONCE = 20; // each opens hundreds of sockets while it connects

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
    let opened = 0;
    for (let done = 0; done < count; done += AT_ONCE) {
      const made = [...each(Math.min(AT_ONCE, count - done), () => new Raw(label))];
      const results = await Promise.allSettled(made.map((one) => one.connect(route(service, label))));
      made.forEach((one, index) => raws.set(`crowd ${done + index}`, one));
      opened += results.filter(({ status }) => status === 'fulfilled').length;
    }
    return opened;
  },
  async crowdSend(client, request) {
    const all = [...raws.keys()].filter((as) => as.startsWith('crowd '));
    const sent = await Promise.all(all.map((as) => hostile.rawSend(client, { ...request, as })));
    return sent.filter(Boolean).length;
  },
  busy(client, { ms }) {
    for (const end = Date.now() + ms; Date.now() < end;);
  },
};
