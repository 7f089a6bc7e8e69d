// The metrics page: totals, workers and jobs, looked at every two seconds while anybody sees them.

import { Refusal, close, explain, get, whenOpen } from '{{sibling:session.js}}';

const INTERVAL_MS = 2000;
const MAX_ROWS = 200;

const element = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

const node = (name, text, className = '') => {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
};

const row = (...cells) => {
  const made = document.createElement('tr');
  made.append(...cells.map((cell) => (cell instanceof Node ? cell : node('td', cell))));
  return made;
};

const ago = (ms) => {
  const seconds = Math.round(ms / 1000);
  if (seconds < 2) return 'now';
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
};

const worker = (it) => {
  const state = node('td', it.state);
  state.prepend(node('span', '', it.connected ? 'dot on' : 'dot'));
  return row(
    node('td', it.workerId, 'mono'),
    state,
    it.connected ? `${it.maxSlots - it.availableSlots} of ${it.maxSlots}` : '–',
    number.format(it.completedShards),
    number.format(it.failedShards),
    number.format(it.contributedUnits),
    number.format(it.throughputUnitsPerSec),
    it.completedJobs > 0 ? `${number.format(it.avgDurationMs)} ms` : '–',
    ago(it.lastSeenMs),
  );
};

const job = (it, now) => {
  const status = it.controlState === 'running' ? it.status : it.controlState;
  const shards = it.totalShards === undefined;
  return row(
    node('td', it.jobId, 'mono'),
    status,
    it.op === 'add' ? `${it.a} + ${it.b}` : it.executionModel,
    shards ? '–' : `${number.format(it.completedShards)} of ${number.format(it.totalShards)}`,
    shards ? '–' : number.format(it.failedShards),
    ago(Date.parse(now) - Date.parse(it.updatedAt)),
  );
};

const figures = ({ workers, runtime }) => [
  ['Workers', `${number.format(workers.totals.workersConnected)} of ${number.format(workers.totals.workersTracked)}`],
  ['Shards running', number.format(runtime.activeAssignments)],
  ['Shards waiting', number.format(runtime.queueDepth)],
  ['Jobs running', number.format(runtime.counters.running)],
  ['Jobs queued', number.format(runtime.counters.queued)],
  ['Jobs done', number.format(runtime.counters.done)],
  ['Jobs failed', number.format(runtime.counters.failed)],
  ['Shards done', number.format(workers.totals.completedShards)],
  ['Shards failed', number.format(workers.totals.failedShards)],
  ['Units', number.format(workers.totals.contributedUnits)],
];

const figure = ([name, value]) => {
  const made = document.createElement('div');
  made.append(node('dt', name), node('dd', value));
  return made;
};

const note = (shown, all) => (all === 0 ? 'None yet' : shown < all ? `${shown} of ${all}` : '');

const show = (metrics) => {
  const workers = metrics.workers.workers.slice(0, MAX_ROWS);
  const { jobs, counters } = metrics.runtime;
  element('totals').replaceChildren(...figures(metrics).map(figure));
  element('workers').replaceChildren(...workers.map(worker));
  element('workers-note').textContent = note(workers.length, metrics.workers.totals.workersTracked);
  element('jobs').replaceChildren(...jobs.map((it) => job(it, metrics.now)));
  element('jobs-note').textContent = note(jobs.length, counters.visibleJobs);
  element('seen').textContent = `as of ${time.format(new Date(metrics.now))}`;
};

const isSeen = () =>
  new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener('visibilitychange', () => resolve(), { once: true });
  });

const wait = () => new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));

const look = async () => {
  for (;;) {
    await isSeen();
    try {
      show(await get('metrics/cluster'));
      element('trouble-text').textContent = '';
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.status === 401) return close();
      element('trouble-text').textContent = explain(thrown);
    }
    await wait();
  }
};

whenOpen(look);
