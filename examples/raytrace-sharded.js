// Renders three spheres on a chequered floor. A unit is a row of pixels, so a shard is a band of the
// picture, whatever the cut. Watch it come in on the page /raytrace-viewer.
//
//   cluster run-js --file examples/raytrace-sharded.js --execution-model sharded \
//     --total-units 400 --units-per-shard 8 --reducer collect --args-json '{"width":640,"height":400}'
//
// args: width, height of the picture in pixels (height = total units), samples a pixel's side.
const shard = globalThis.__BRAIN__;
const width = args?.width ?? 640;
const height = args?.height ?? shard?.totalUnits ?? args?.units ?? 400;
const grain = args?.samples ?? 2;
const top = shard?.offset ?? 0;
const rows = Math.min(shard?.units ?? height, height - top);

const add = (a, b, k = 1) => [a[0] + k * b[0], a[1] + k * b[1], a[2] + k * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const scale = (a, k) => [a[0] * k, a[1] * k, a[2] * k];
const unit = (a) => scale(a, 1 / Math.sqrt(dot(a, a)));

const SUN = unit([-0.6, 1, -0.7]);
const SPHERES = [
  { at: [-1.7, 0.8, 4.6], radius: 0.8, colour: [0.85, 0.24, 0.2], mirror: 0.2 },
  { at: [0, 1.1, 5.6], radius: 1.1, colour: [0.92, 0.92, 0.95], mirror: 0.7 },
  { at: [1.6, 0.6, 3.9], radius: 0.6, colour: [0.16, 0.42, 0.8], mirror: 0.3 },
];

const hitSphere = (from, ray, { at, radius }) => {
  const to = add(from, at, -1);
  const half = dot(to, ray);
  const root = half * half - dot(to, to) + radius * radius;
  if (root < 0) return Infinity;
  const far = Math.sqrt(root);
  const near = -half - far;
  return near > 1e-4 ? near : far - half > 1e-4 ? far - half : Infinity;
};

const nearest = (from, ray) => {
  let best = { distance: ray[1] < 0 ? -from[1] / ray[1] : Infinity, sphere: null };
  for (const sphere of SPHERES) {
    const distance = hitSphere(from, ray, sphere);
    if (distance < best.distance) best = { distance, sphere };
  }
  return best;
};

const sky = (ray) => add([0.96, 0.97, 1], [-0.55, -0.4, -0.12], Math.max(0, ray[1]));

const trace = (from, ray, depth) => {
  const { distance, sphere } = nearest(from, ray);
  if (!(distance < 60)) return sky(ray);
  const point = add(from, ray, distance);
  const normal = sphere ? unit(add(point, sphere.at, -1)) : [0, 1, 0];
  const isDark = (Math.floor(point[0]) + Math.floor(point[2])) & 1;
  const colour = sphere ? sphere.colour : isDark ? [0.25, 0.27, 0.3] : [0.8, 0.8, 0.78];
  const outside = add(point, normal, 1e-4);
  const isLit = nearest(outside, SUN).distance === Infinity;
  const light = 0.25 + (isLit ? 0.75 * Math.max(0, dot(normal, SUN)) : 0);
  const own = scale(colour, light);
  const mirror = sphere ? sphere.mirror : 0.1;
  if (depth === 0) return own;
  const bounced = trace(outside, add(ray, normal, -2 * dot(ray, normal)), depth - 1);
  return add(scale(own, 1 - mirror), bounced, mirror);
};

const pixel = (column, row) => {
  let sum = [0, 0, 0];
  for (let i = 0; i < grain * grain; i++) {
    const x = column + ((i % grain) + 0.5) / grain;
    const y = row + (Math.floor(i / grain) + 0.5) / grain;
    const ray = unit([(2 * x - width) / height, (height - 2 * y) / height - 0.12, 1.9]);
    sum = add(sum, trace([0, 1.3, -1], ray, 3));
  }
  // Gamma 2: the square root makes of light what a screen expects.
  return scale(sum, 1 / (grain * grain)).map((light) => 255 * Math.sqrt(Math.min(1, light)));
};

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const base64 = (bytes) => {
  const parts = [];
  for (let i = 0; i < bytes.length; i += 3) {
    const bits = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const letters = [18, 12, 6, 0].map((shift) => LETTERS[(bits >> shift) & 63]).join('');
    const missing = Math.max(0, i + 3 - bytes.length);
    parts.push(letters.slice(0, 4 - missing) + '='.repeat(missing));
  }
  return parts.join('');
};

const rgba = new Uint8ClampedArray(4 * width * rows).fill(255);
for (let row = 0; row < rows; row++) {
  for (let column = 0; column < width; column++) {
    rgba.set(pixel(column, top + row), 4 * (row * width + column));
  }
}

return {
  x: 0, y: top, width, height: rows, imageWidth: width, imageHeight: height, rgba: base64(rgba),
};
