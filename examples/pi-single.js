// Estimates pi in one run on one device, and tells how far it is.
//
//   cluster run-js --file examples/pi-single.js --args-json '{"samples": 5000000}'
const samples = args?.samples ?? 2_000_000;

let hits = 0;
for (let i = 0; i < samples; i++) {
  const x = Math.random();
  const y = Math.random();
  if (x * x + y * y < 1) hits++;
  if ((i + 1) % Math.ceil(samples / 4) === 0) {
    console.log(`${i + 1} of ${samples} samples: pi is about ${(4 * hits) / (i + 1)}`);
  }
}

return { pi: (4 * hits) / samples, hits, samples };
