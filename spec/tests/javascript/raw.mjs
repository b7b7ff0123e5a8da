// One peer connection with one data channel and nothing above it.
import { RTCPeerConnection } from './environment.mjs';
import { apply, gather, pause } from './connection.mjs';

const FULL = 1 << 20; // bytes in the buffer from which we wait
const SHOWN = 100;

export async function post(url, body) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  return { status: response.status, text };
}

export const route = (service, label, uuid = crypto.randomUUID()) => `${service.replace(/\/sync$/, '')}/sync/${label}/${uuid}`;

// One peer connection with one channel, and what came on it.
export class Raw {
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
