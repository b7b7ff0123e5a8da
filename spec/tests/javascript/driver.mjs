// Starts clients as children, for tests in node.
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

export class Driver {
  constructor(script = 'client.mjs', args = []) {
    const cwd = mkdtempSync(path.join(tmpdir(), 'flexstore-js-'));
    const stdio = ['pipe', 'pipe', 'inherit'];
    this.child = spawn(process.execPath, [path.join(here, script), ...args], { cwd, stdio });
    this.events = [];
    this.pending = new Map();
    this.next = 1;
    createInterface({ input: this.child.stdout }).on('line', (line) => this.heard(JSON.parse(line)));
  }

  heard(value) {
    if (value.event) { this.events.push(value); return; }
    const { resolve, reject } = this.pending.get(value.id);
    this.pending.delete(value.id);
    if (value.error === undefined) resolve(value.ok);
    else reject(new Error(value.error));
  }

  ask(name, request = {}) {
    const id = this.next++;
    this.child.stdin.write(`${JSON.stringify({ id, do: name, ...request })}\n`);
    return new Promise((resolve, reject) => { this.pending.set(id, { resolve, reject }); });
  }

  // Until something holds, or in vain after so many ms.
  async until(what, holds, ms = 20000) {
    for (const end = Date.now() + ms; Date.now() < end;) {
      if (await holds(this)) return;
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    throw new Error(`in vain: ${what}`);
  }

  stop() { this.child.stdin.end(`${JSON.stringify({ do: 'exit' })}\n`); }
}
