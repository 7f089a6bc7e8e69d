// Estimates pi: throws points at a square and counts those inside the quarter circle.
//
// In a sharded job every shard throws its own share of the points; in a single job, or without
// args, one run throws them all. A point depends on its index alone, so the sum is the same however
// the work is cut. Reduce with `sum` over hits and samples.
//
//   cluster run-js --file examples/pi-sharded.js --execution-model sharded \
//     --total-units 200000000 --units-per-shard 1000000
const shard = globalThis.__BRAIN__;
const samples = shard?.units ?? args?.units ?? 1_000_000;
const offset = shard?.offset ?? args?.offset ?? 0;

// Finaliser of MurmurHash3: turns an index into 32 well mixed bits.
const mix = (hash) => {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
};

let hits = 0;
for (let i = 0; i < samples; i++) {
  const index = offset + i;
  const high = Math.floor(index / 0x100000000);
  const bits = mix(index ^ Math.imul(high, 0x9e3779b9));
  const x = bits & 0x7fff;
  const y = bits >>> 17;
  // Inside the circle is the middle of the cell (x, y), all doubled: (2x+1)^2 + (2y+1)^2 < 65536^2.
  if (x * (x + 1) + y * (y + 1) < 0x40000000) hits++;
}

return { hits, samples };
