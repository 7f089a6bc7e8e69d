// The viewer: paints the tiles that the shards of a job return, as they come in.
//
// A running job is followed by its events. One that is over is painted from its result, which is
// also how tiles come that were no longer among the events.

import { Refusal, close, explain, get, whenOpen } from '{{sibling:session.js}}';
import { readTile, MAX_SIDE } from '{{sibling:tile.js}}';

const INTERVAL_MS = 700;
const EVENTS = 256;

const element = (id) => document.getElementById(id);
const canvas = element('picture');
const picture = canvas.getContext('2d', { willReadFrequently: true });

/** Which job is watched; a watch of an earlier one ends when it notices. */
let watched = null;
let painted = new Set();

const grow = (width, height) => {
  if (width <= canvas.width && height <= canvas.height) return;
  const before = picture.getImageData(0, 0, canvas.width, canvas.height);
  canvas.width = Math.min(MAX_SIDE, Math.max(canvas.width, width));
  canvas.height = Math.min(MAX_SIDE, Math.max(canvas.height, height));
  picture.putImageData(before, 0, 0);
};

const paint = (shard, value) => {
  const tile = readTile(value);
  if (tile === null || painted.has(shard)) return;
  if (painted.size === 0) {
    [canvas.width, canvas.height] = [tile.imageWidth ?? 1, tile.imageHeight ?? 1];
  }
  grow(tile.x + tile.width, tile.y + tile.height);
  picture.putImageData(new ImageData(tile.rgba, tile.width, tile.height), tile.x, tile.y);
  painted.add(shard);
};

const clear = () => {
  painted = new Set();
  picture.clearRect(0, 0, canvas.width, canvas.height);
};

const tell = (status, completed, total) => {
  element('progress').max = total;
  element('progress').value = completed;
  element('standing').textContent =
    `${status}: ${completed} of ${total} shards, ${painted.size} painted`;
};

const paintResult = async (id) => {
  const { result } = await get(`jobs/${id}`);
  const all = result?.aggregate;
  if (Array.isArray(all)) all.forEach((envelope, shard) => paint(shard, envelope?.returnValue));
};

const paintEvents = async (id, after) => {
  const answer = await get(`jobs/${id}/events?after=${after}&limit=${EVENTS}`);
  for (const event of answer.events) {
    after = event.seq;
    if (event.type === 'shard_done') paint(event.shardIndex, event.result);
  }
  return { after, hasMore: answer.hasMore };
};

const isOver = (state) => state.status === 'done' || state.status === 'failed';

/** One look at the job; whether it was the last, and after which event to go on. */
const look = async (id, after) => {
  const state = await get(`jobs/${id}?result=none`);
  const { shards } = state.task;
  if (!shards) throw new Refusal(400, 'This is not a sharded job.');
  let hasMore = false;
  if (!isOver(state)) ({ after, hasMore } = await paintEvents(id, after));
  else if (state.status === 'done' && painted.size < shards.total) await paintResult(id);
  tell(state.status, shards.completed, shards.total);
  if (state.error) element('watch-error').textContent = state.error;
  return { after, hasMore, isOver: isOver(state) };
};

const wait = () => new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));

const watch = async (id) => {
  const mine = {};
  watched = mine;
  clear();
  element('standing').textContent = '';
  let after = 0;
  while (watched === mine) {
    element('watch-error').textContent = '';
    try {
      const seen = await look(id, after);
      if (seen.isOver) return;
      after = seen.after;
      if (seen.hasMore) continue;
    } catch (thrown) {
      if (watched !== mine) return;
      if (thrown instanceof Refusal && thrown.status === 401) return close();
      element('watch-error').textContent = explain(thrown);
      if (thrown instanceof Refusal && thrown.status < 500 && thrown.status !== 429) return;
    }
    await wait();
  }
};

element('watch').addEventListener('submit', (event) => {
  event.preventDefault();
  const id = element('job').value.trim();
  history.replaceState(null, '', `${location.pathname}#${encodeURIComponent(id)}`);
  watch(encodeURIComponent(id));
});

element('save').addEventListener('click', () => {
  const link = document.createElement('a');
  link.download = 'picture.png';
  link.href = canvas.toDataURL('image/png');
  link.click();
});

whenOpen(() => {
  const named = decodeURIComponent(location.hash.slice(1));
  if (named) {
    element('job').value = named;
    watch(encodeURIComponent(named));
  }
});
