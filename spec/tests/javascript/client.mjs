// The JavaScript Flexstore, written again from its formats, as a peer that a test steers.
//
// stdin   one request a line: {"id": 1, "do": name, ...}. Requests run at the same time.
// stdout  {"id": 1, "ok": value} or {"id": 1, "error": words}; and {"event": name, ...} as things happen.
//
// Run with FLEXSTORE_NPM set, in a directory that may be written: devices keep their keys there.
//
// Identities
//   answer           prompt, answer              what unlocks recoveries of that prompt
//   createAuthor     prompt                      {author, device, recovery}; "-" makes an invitation
//   createTeam       members                     tag
//   createDevice                                 tag
//   claimInvitation  tag, prompt
//   addDevice        tag                         a new device of an author whose answer is known
//   changeMembership tag, add, remove
//   destroy          tag
//   use              author, owner, encryption   defaults of what follows
//
// Collections (type: ImmutableCollection, MutableCollection, VersionedCollection; also StateCollection
// where it reads). The credentials EncryptionKey, KeyRecovery and Team are there from the start.
//   open             type, name, service | services, tombstones, queued, uuid, versions
//                    makes it where it is not, and connects; answers when signals were exchanged
//   credentials      service                     connects all three
//   store            type, name, data, tag, owner, author, encryption, time, contentType, group, individual
//   remove           type, name, tag, owner, author
//   retrieve         type, name, tag, hash, time {text, json, iat, owner, author, header} or null
//   list             type, name                  undeleted tags
//   versions         type, name, tag             {latest, times, heads, chain: newest first}
//   signature        type, name, tag             the stored string
//   put              type, name, tag, signature  writes and pushes a string signed elsewhere
//   forget           type, name, tag             as if it had never been here
//
// Synchronization
//   synchronized     type, name, service, timeout   waits; how many tags were examined, a channel each
//   disconnect       type, name, service            the channels of a collection, or all connections
//   connections                                     state and channels of each
//   offer            label, collections          signals by hand: [[type, name], ...] in the same order
//   accept           label, collections, signals    on both sides; answers signals
//   complete         label, signals
//   echo             service, texts              what the echo route sends back
//
// Reports
//   messages         report: none|brief|full     an event for every message sent and received
//   counts           reset                       {label: {"sent put": 1, "sent characters": 360, ...}}
//   exit
//
// Events: update, refused, message, open, version, synchronized, misunderstood, failed, closed, connection.
// What is hostile stands in hostile.mjs.
import { createInterface } from 'node:readline';
import { Client } from './commands.mjs';

const tell = (value) => { process.stdout.write(`${JSON.stringify(value)}\n`); };
const client = new Client(tell);

// The original dies of what it does not expect; a test wants to hear of it.
process.on('uncaughtException', (error) => tell({ event: 'uncaught', error: String(error?.stack ?? error) }));
process.on('unhandledRejection', (error) => tell({ event: 'uncaught', error: String(error?.stack ?? error) }));

async function handle(line) {
  let id;
  try {
    const request = JSON.parse(line);
    ({ id } = request);
    if (request.do === 'exit') process.exit(0);
    tell({ id, ok: await client.run(request) });
  } catch (error) {
    tell({ id, error: String(error?.message ?? error) });
  }
}

tell({ event: 'ready' });
for await (const line of createInterface({ input: process.stdin })) handle(line);
// Native threads of WebRTC keep the process alive otherwise.
process.exit(0);
