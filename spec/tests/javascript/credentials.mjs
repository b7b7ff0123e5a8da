// Who we are: key sets, and the three collections in which they are shared (formats 4).
import { Security } from './environment.mjs';
import { MutableCollection } from './collections.mjs';
import { hash, parse, read, serialize } from './record.mjs';

const SHARED = ['EncryptionKey', 'KeyRecovery', 'Team'];

// Made before there are services, and so without deletions, like any collection of the original (5).
export class Credentials {
  constructor({ tombstones = false } = {}) {
    this.answers = new Map([['-', '-']]);
    this.author = this.owner = null;
    this.encryption = null;
    for (const name of SHARED) this[name] = new MutableCollection({ name, credentials: this, tombstones });
    Security.getUserDeviceSecret = (tag, prompt) => (prompt ? this.answers.get(prompt) ?? 'not a secret' : tag);
    Security.Storage = {
      store: (name, tag, signature) => this.#store(name, tag, serialize(signature)),
      retrieve: async (name, tag) => {
        const signature = this[name].get(tag);
        return signature && parse(signature);
      },
    };
  }

  get collections() { return SHARED.map((name) => this[name]); }

  // Whoever signs when a call does not say.
  defaults({ author = this.author, owner = this.owner, encryption = this.encryption, ...more }) {
    return { author, owner, encryption, ...more };
  }

  // Of a key set there may be another record now.
  forget(tag) { Security.clear(tag); }

  async #store(name, tag, signature) {
    const { sub } = Security.decodeClaims(parse(signature));
    const method = sub === (await hash('')) ? 'delete' : 'put';
    const { refused } = await this[name][method](tag, signature);
    if (refused) throw new Error(refused);
    this[name].push(method, tag, signature);
  }

  // A person: a device and a recovery; or with the prompt "-" an invitation to be claimed.
  async createAuthor(prompt) {
    const recovery = await Security.create({ prompt });
    const device = prompt === '-' ? undefined : await Security.create();
    const author = await Security.create(...[device, recovery].filter(Boolean));
    if (device) this.author = author;
    return { author, device, recovery };
  }

  // As the original does it: the interim record no longer lists the one that signed it.
  async claimInvitation(tag, prompt) {
    const team = await read(this.Team.get(tag) ?? '');
    const members = team?.json?.recipients.map(({ header }) => header.kid) ?? [];
    if (members.length !== 1) throw new Error('not an invitation');
    const [invitation] = members;
    const recovery = await Security.create({ prompt });
    const device = await Security.create();
    await Security.changeMembership({ tag, add: [recovery, device], remove: members, recovery: true });
    await Security.changeMembership({ tag, remove: members });
    await Security.destroy({ tag: invitation, recovery: true });
    this.author = tag;
    return { author: tag, device, recovery };
  }

  // A new device of somebody whose answer is known.
  async addDevice(tag) {
    const device = await Security.create();
    await Security.changeMembership({ tag, add: [device], recovery: true });
    this.author = tag;
    return { author: tag, device };
  }
}
