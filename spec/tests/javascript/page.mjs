// The client of commands.mjs in a page. browser.mjs calls `ask` with a request's line and takes what `tell`
// is given; what a person would want to see is shown.
//
// With the parameters ?service=…&name=… it is an app by itself: a mutable collection that is shown as it changes.
import { Client } from './commands.mjs';

const LINES = 30;
const log = [];

function show(line) {
  log.push(line.slice(0, 160));
  document.querySelector('#log').textContent = log.slice(-LINES).join('\n');
  const items = [...client.collections.values()].map(({ label, records }) => {
    const item = document.createElement('li');
    item.textContent = `${label}: ${records.size}`;
    return item;
  });
  document.querySelector('#collections').replaceChildren(...items);
}

function tell(value) {
  const line = JSON.stringify(value);
  show(line);
  globalThis.told?.(line);
}

const client = new Client((event) => tell(event));
for (const name of ['error', 'unhandledrejection']) {
  addEventListener(name, (event) => tell({ event: 'uncaught', error: String(event.reason?.stack ?? event.message) }));
}

globalThis.ask = async (line) => {
  const { id, ...request } = JSON.parse(line);
  try {
    tell({ id, ok: await client.run(request) });
  } catch (error) {
    tell({ id, error: String(error?.message ?? error) });
  }
};

// As an app: joins, writes one item, and says in the title what it has.
async function alone({ service, name = 'notes', text = 'from a page' }) {
  const { author } = await client.run({ do: 'createAuthor' });
  const notes = { type: 'MutableCollection', name };
  await client.run({ do: 'credentials', service });
  await client.run({ do: 'open', ...notes, service });
  await client.run({ do: 'synchronized', ...notes, service });
  await client.run({ do: 'store', ...notes, tag: author, data: text });
  document.title = `stored ${author}`;
}

const parameters = Object.fromEntries(new URLSearchParams(location.search));
document.title = 'ready';
tell({ event: 'ready' });
if (parameters.service) alone(parameters).catch((error) => { document.title = `failed: ${error.message}`; });
