// One WebRTC connection per service, shared by collections (formats 6.1 to 6.3).
//
// Services:  http(s)://host/flexstore[/sync]           a relay: only we open channels
//            http(s)://host/flexstore/signal/answer/N  a rendezvous: we offer, and seek an answer
//            http(s)://host/flexstore/signal/offer/N   a rendezvous: we seek an offer, and answer
//            signals:LABEL                             by hand: we offer
//            an array of signals                       by hand: an offer, which we answer

const LAST_CANDIDATE = 2000; // ms after the first one
const FIRST_CANDIDATE = 500; // ms for it to come after an end that came too early
const LATER = 100; // ms from connected to further channels to a relay
const FIRST_ID = 125; // of negotiated channels; the first channel counts, but is opened in-band

export const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function request(url, body) {
  const init = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${response.status} from ${url}`);
  return response.json();
}

// What a service is: how signals travel.
function kindOf(service) {
  if (Array.isArray(service)) return { kind: 'answer' };
  if (!/^https?:/.test(service)) return { kind: 'offer' };
  const [, seeks] = /\/signal\/(answer|offer)\//.exec(service) ?? [];
  if (seeks) return { kind: seeks === 'answer' ? 'seekAnswer' : 'seekOffer' };
  return { kind: 'relay', base: service.includes('/sync') ? service : `${service}/sync` };
}

export class Connection {
  constructor({ service, RTCPeerConnection, uuid = crypto.randomUUID(), iceServers = [], report = () => {} }) {
    Object.assign(this, { service, uuid, report, ...kindOf(service) });
    this.peer = new RTCPeerConnection({ iceServers });
    this.channels = new Map(); // label -> data channel
    this.awaited = new Map(); // label -> what to do when it comes
    this.opening = Promise.resolve();
    this.ordinal = 0; // of the next channel
    this.peer.ondatachannel = ({ channel }) => this.came(channel);
    this.connected = new Promise((resolve, reject) => { Object.assign(this, { resolve, reject }); });
    this.connected.catch(() => {});
    this.signals = new Promise((resolve) => { this.gathered = resolve; });
    this.peer.onconnectionstatechange = () => this.changed();
  }

  get answers() { return this.kind === 'answer' || this.kind === 'seekOffer'; }

  changed() {
    const state = this.peer.connectionState;
    this.report({ event: 'connection', state });
    if (state === 'connected') this.resolve();
    if (state === 'failed') this.close();
  }

  // Channels

  // A channel of this label, in the order of the calls. The handlers are attached by `use` at once.
  open(label, use) {
    const number = this.ordinal++;
    if (!number) return this.first(label, use);
    if (this.kind !== 'relay') {
      return this.keep(label, this.peer.createDataChannel(label, { negotiated: true, id: FIRST_ID + number }), use);
    }
    this.awaited.set(label, use); // counts from now on
    this.opening = this.opening.then(async () => {
      await this.connected;
      await pause(LATER);
      this.awaited.delete(label);
      this.keep(label, this.peer.createDataChannel(label), use);
    });
    return this.opening;
  }

  first(label, use) {
    if (this.answers) this.awaited.set(label, use);
    else this.keep(label, this.peer.createDataChannel(label), use);
    return this.signal(label).catch((error) => {
      this.report({ event: 'failed', error: String(error?.message ?? error) });
      this.close();
      throw error;
    });
  }

  came(channel) {
    const use = this.awaited.get(channel.label);
    if (!use) return this.report({ event: 'unexpected', label: channel.label });
    this.awaited.delete(channel.label);
    return this.keep(channel.label, channel, use);
  }

  keep(label, channel, use) {
    this.channels.set(label, channel);
    channel.addEventListener('close', () => this.left(label, channel));
    use(channel);
  }

  left(label, channel) {
    if (this.channels.get(label) === channel) this.channels.delete(label);
    if (!this.channels.size && !this.awaited.size) this.close();
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.reject(new Error('closed'));
    this.peer.close();
    this.report({ event: 'connection', state: 'closed' });
    this.onclose?.();
  }

  // Signals

  async signal(label) {
    const { kind, service, base, uuid } = this;
    if (kind === 'offer') return this.gathered(await this.offer());
    if (kind === 'answer') return this.gathered(await this.answer(service));
    if (kind === 'relay') {
      return this.apply(await request(`${base}/${label}/${encodeURIComponent(uuid)}`, await this.offer()));
    }
    if (kind === 'seekAnswer') return this.apply(await request(service, await this.offer()));
    const answer = await this.answer(await request(service));
    return request(service, answer);
  }

  async offer() { return gather(this.peer, await this.peer.createOffer()); }

  async answer(offer) {
    await this.apply(offer);
    return gather(this.peer, await this.peer.createAnswer());
  }

  apply(signals) { return apply(this.peer, signals); }
}

// In order.
export async function apply(peer, signals) {
  for (const [event, data] of signals) {
    if (event === 'icecandidate') await peer.addIceCandidate(data);
    else await peer.setRemoteDescription(data);
  }
}

// The description and its candidates: complete at the end of candidates, or a while after the first.
export function gather(peer, description) {
  const { type, sdp } = description;
  const signals = [[type, { type, sdp }]];
  return new Promise((resolve, reject) => {
    let timer;
    const done = () => { clearTimeout(timer); resolve(signals); };
    peer.onicecandidate = ({ candidate }) => {
      // libwebrtc sometimes says that it is complete before it begins.
      if (!candidate && signals.length === 1) { timer ??= setTimeout(done, FIRST_CANDIDATE); return undefined; }
      if (!candidate) return done();
      if (!candidate.candidate) return undefined;
      const { candidate: line, sdpMid, sdpMLineIndex, usernameFragment } = candidate;
      signals.push(['icecandidate', { candidate: line, sdpMid, sdpMLineIndex, usernameFragment }]);
      if (signals.length === 2) { clearTimeout(timer); timer = setTimeout(done, LAST_CANDIDATE); }
    };
    peer.setLocalDescription(description).catch(reject);
  });
}
