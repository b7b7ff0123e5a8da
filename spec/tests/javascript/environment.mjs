// What node and a browser give in different ways: the package of keys, and WebRTC.
//
// node: FLEXSTORE_NPM names the folder with node_modules; a device's keys are kept below the working directory.
// browser: the server of the page serves the package's own browser bundle as /distributed-security.mjs.

async function ofNode() {
  const { createRequire } = await import('node:module');
  const { pathToFileURL } = await import('node:url');
  const path = await import('node:path');
  const root = path.resolve(process.env.FLEXSTORE_NPM);
  const entry = path.join(root, 'node_modules/@ki1r0y/distributed-security/lib/api.mjs');
  const require = createRequire(path.join(root, 'here.js'));
  return {
    Security: (await import(pathToFileURL(entry))).default,
    RTCPeerConnection: require('@roamhq/wrtc').RTCPeerConnection,
  };
}

async function ofBrowser() {
  return {
    Security: (await import('/distributed-security.mjs')).default,
    RTCPeerConnection: globalThis.RTCPeerConnection,
  };
}

const inNode = Boolean(globalThis.process?.versions?.node);
export const { Security, RTCPeerConnection } = await (inNode ? ofNode() : ofBrowser());
