// Signed records: making, reading, sealing and opening them (formats 2, 3.2).
import { Security } from './environment.mjs';

export const hash = async (text) => Security.encodeBase64url(await Security.hashText(text));

// What is stored and sent is always a string; the package of keys wants general signatures as objects.
export const parse = (signature) => (signature.startsWith('{') ? JSON.parse(signature) : signature);
export const serialize = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

// Signs as a team's member or as oneself. What is left of the options goes into the header (2.2), as it is.
export async function sign(data, { author, owner, time = Date.now(), contentType, subject, encryption = null, ...more }) {
  const team = owner && owner !== author ? owner : '';
  const signers = team ? { team, member: author } : { team, tags: [author] };
  const header = { ...(subject ? { subject } : {}), encryption, ...more };
  return serialize(await Security.sign(data, { ...signers, contentType, time, ...header }));
}

// Signatures only: neither membership nor time (2.6). Undefined when it does not verify.
export async function read(signature) {
  try {
    const result = await Security.verify(parse(signature), { member: null });
    if (!result) return undefined;
    const { protectedHeader: header, payload, text, json } = result;
    return { signature, header, payload, text, json };
  } catch {
    return undefined;
  }
}

export const actor = (header) => header.act || header.kid;
export const isDeletion = (record) => record.text === '';
export const isSealed = (record) => record.header.cty === 'text/encrypted';

// Ties of equal times (5). Whether what exists is kept; the same actor always swaps.
export function keeps(existing, proposed) {
  const [old, young] = [actor(existing.header), actor(proposed.header)];
  const last = existing.header.sub ?? '';
  return last.charCodeAt(last.length - 1) % 2 ? old < young : old > young;
}

// What is signed: the data, or the text of its JWE, with the header members that say so.
export async function seal(data, { encryption = null, contentType }) {
  if (!encryption) return { data, options: { contentType, encryption } };
  const sealed = await Security.encrypt(data, contentType ? { tags: [encryption], contentType } : encryption);
  return { data: sealed, options: { contentType: 'text/encrypted', encryption } };
}

// The content of a record, decrypted where it is sealed.
export async function open(record) {
  if (!isSealed(record)) return record;
  const { text, json, payload } = await Security.decrypt(record.text);
  return { ...record, text, json, payload };
}
