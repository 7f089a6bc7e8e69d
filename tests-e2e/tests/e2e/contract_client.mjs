// A client that was written from the HTTP contract alone: fetch, a poll every 700 ms, and of each
// answer only the fields that the contract documents (an answer without one of them fails).
//
// Prints the invite that it has made as its first line, then one line for each thing that went as
// the contract says. Ends with 1 at the first that did not.

import assert from "node:assert/strict";

const HOST = process.env.CLUSTER_HOST;
const KEY = process.env.CLIENT_API_KEY;
const POLL_MS = 700;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const passed = (what) => console.log(`ok ${what}`);

/** The documented fields of an answer; every one of them must be there. */
function only(object, ...fields) {
  for (const field of fields) {
    assert.ok(Object.hasOwn(object, field), `${field} is missing in ${JSON.stringify(object)}`);
  }
  return Object.fromEntries(fields.map((field) => [field, object[field]]));
}

async function call(method, path, body, headers = { authorization: `Bearer ${KEY}` }) {
  const answer = await fetch(`${HOST}${path}`, {
    method,
    headers: { "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await answer.json();
  if (!answer.ok) {
    throw Object.assign(new Error(only(json, "error").error), { status: answer.status });
  }
  return json;
}

const JOB_FIELDS = ["jobId", "status", "controlState", "executionModel", "task", "result", "error"];
const ENVELOPE_FIELDS = [
  "ok", "exitCode", "durationMs", "returnType", "returnValue", "argsType", "logs", "output", "error",
  "notes",
];
const REDUCED_FIELDS = ["reducer", "aggregate", "completedShards", "totalShards"];

const job = async (id) => only(await call("GET", `/api/jobs/${id}`), ...JOB_FIELDS);

/** Polls a job until `isThere`. */
async function until(id, isThere) {
  for (;;) {
    const state = await job(id);
    if (isThere(state)) return state;
    await sleep(POLL_MS);
  }
}

const isFinal = (state) => state.status === "done" || state.status === "failed";

/** Polls a job to its end, which must be a good one; its result. */
async function result(id) {
  const state = await until(id, isFinal);
  assert.equal(state.error, null);
  assert.equal(state.status, "done");
  return state.result;
}

async function submit(body) {
  const created = await call("POST", "/api/jobs/run-js", body);
  return only(created, "jobId", "status", "controlState", "executionModel", "note");
}

const sharded = (code, totalUnits, unitsPerShard, reducer, args) => ({
  code, args, reducer, executionModel: "sharded", shardConfig: { totalUnits, unitsPerShard },
});

async function runSharded(...parts) {
  const created = await submit(sharded(...parts));
  assert.deepEqual([created.executionModel, created.note], ["sharded", null]);
  return only(await result(created.jobId), ...REDUCED_FIELDS);
}

/** Makes an invite and waits until two devices have followed it. */
async function invite() {
  const made = only(
    await call("POST", "/api/invites/worker", { ttlSec: 600, workerLabel: "contract" }),
    "inviteToken", "inviteUrl", "shortCode", "shortInviteUrl", "phraseSlug", "phraseCode",
    "phraseInviteUrl", "inviteQrDataUrl", "expiresAt", "ttlSec",
  );
  assert.equal(made.ttlSec, 600);
  for (const link of [made.shortInviteUrl, made.phraseInviteUrl]) {
    const followed = await fetch(link, { redirect: "manual" });
    assert.equal(followed.status, 302);
    assert.equal(new URL(followed.headers.get("location"), HOST).href, made.inviteUrl);
  }
  console.log(made.inviteUrl);
  for (;;) {
    const list = only(await call("GET", "/api/workers"), "count", "totalSlots", "workers");
    if (list.count >= 2) {
      list.workers.forEach((row) => only(row, "workerId", "state", "maxSlots", "availableSlots"));
      assert.ok(list.totalSlots >= 2);
      return passed("invite");
    }
    await sleep(POLL_MS);
  }
}

async function keys() {
  const check = (headers) => call("GET", "/api/auth/check", undefined, headers);
  assert.deepEqual(await check({ "x-client-token": KEY }), { ok: true });
  await assert.rejects(check({ "x-client-token": "wrong" }), {
    message: "Unauthorized client token.", status: 401,
  });
  passed("keys");
}

async function add() {
  const created = only(await call("POST", "/api/jobs", { a: 2, b: 40 }), "jobId", "status");
  assert.equal(await result(created.jobId), 42);
  passed("add");
}

async function single() {
  const code = `
    console.log("half way", { n: 1 });
    const bytes = new TextEncoder().encode(args.text);
    return await Promise.resolve({ length: bytes.length, strict: this === undefined,
      brain: typeof __BRAIN__, document: typeof document });`;
  const created = await submit({ code, args: { text: "ä" } });
  assert.equal(created.executionModel, "single");
  const run = only(await result(created.jobId), ...ENVELOPE_FIELDS);
  assert.deepEqual([run.ok, run.exitCode, run.error], [true, 0, null]);
  assert.deepEqual(run.returnValue, {
    length: 2, strict: true, brain: "undefined", document: "undefined",
  });
  assert.deepEqual(run.logs, ['[log] half way {"n":1}']);
  assert.equal(only(run.output, "text").text, '[log] half way {"n":1}');
  passed("single");
}

async function badScripts() {
  const ended = async (body) => only(await result((await submit(body)).jobId), ...ENVELOPE_FIELDS);
  const thrown = await ended({ code: "throw new Error('boom')" });
  assert.deepEqual([thrown.ok, thrown.exitCode, thrown.returnType], [false, 1, "none"]);
  assert.match(only(thrown.error, "message", "stack").message, /boom$/);
  const late = await ended({ code: "for (;;);", timeoutMs: 300 });
  assert.deepEqual([late.ok, late.exitCode, late.durationMs], [false, 124, 300]);
  assert.equal(only(late.error, "message").message, "Execution timeout exceeded");
  passed("scripts that throw or run too long");
}

async function sum() {
  const code = "const b = __BRAIN__; return { hits: b.offset, samples: b.units }";
  const reduced = await runSharded(code, 95, 10);
  assert.deepEqual(reduced, {
    reducer: { type: "sum", fields: ["hits", "samples"] },
    aggregate: { hits: 450, samples: 95 }, completedShards: 10, totalShards: 10,
  });
  passed("sharded");
}

async function collect() {
  const code = "return [Object.isFrozen(__BRAIN__), __BRAIN__, args]";
  const reduced = await runSharded(code, 25, 10, { type: "collect" }, { x: 1 });
  assert.equal(reduced.aggregate.length, 3);
  const rows = reduced.aggregate.map((row) => only(row, ...ENVELOPE_FIELDS).returnValue);
  rows.sort(([, one], [, other]) => one.shardId - other.shardId);
  rows.forEach(([isFrozen, brain, args], shard) => {
    const { parentJobId, ...told } = only(
      brain, "parentJobId", "shardId", "totalShards", "units", "totalUnits", "offset", "attempt",
    );
    assert.match(parentJobId, /^[0-9a-f-]{36}$/);
    assert.deepEqual(told, {
      shardId: shard, totalShards: 3, units: [10, 10, 5][shard], totalUnits: 25, offset: 10 * shard,
      attempt: 1,
    });
    assert.deepEqual([isFrozen, args], [true, { x: 1 }]);
  });
  passed("collect");
}

async function extremes() {
  const code = "return { value: (__BRAIN__.shardId - 3) ** 2 }";
  const least = await runSharded(code, 10, 1, { type: "min" });
  const most = await runSharded(code, 10, 1, { type: "max", field: "value" });
  assert.deepEqual([least.aggregate, most.aggregate], [{ value: 0 }, { value: 36 }]);
  assert.deepEqual(most.reducer, { type: "max", field: "value" });
  passed("min and max");
}

/** What the old benchmark harness sends for a suite: a hundred shards, every field. */
async function suite() {
  const code = "return { suite_cases: 3, units: __BRAIN__.units, name: 'skipped' }";
  const reduced = await runSharded(code, 1000, 10, { type: "sum", fields: ["*"] }, { seed: 7 });
  assert.deepEqual(reduced.aggregate, { suite_cases: 300, units: 1000 });
  passed("the harness's suite");
}

/** Each shard takes a while, so that a pause finds the job in its midst. */
const SLOW = "const end = performance.now() + 60; while (performance.now() < end); " +
  "return { hits: 1, samples: __BRAIN__.units }";

async function pauseAndResume() {
  const { jobId } = await submit(sharded(SLOW, 400, 1));
  const tell = async (verb) => {
    const told = await call("POST", `/api/jobs/${jobId}/${verb}`);
    return only(told, "ok", "jobId", "controlState").controlState;
  };
  const completed = (state) => only(only(state.task, "shards").shards, "total", "completed").completed;
  await until(jobId, (state) => completed(state) > 0);
  assert.equal(await tell("pause"), "paused");
  // What is out may finish; then nothing moves.
  let before = -1;
  let state = await job(jobId);
  while (completed(state) !== before) {
    before = completed(state);
    await sleep(POLL_MS);
    state = await job(jobId);
  }
  assert.deepEqual([state.status, state.controlState], ["running", "paused"]);
  assert.ok(before < 400, "it was paused before its end");
  assert.equal(await tell("resume"), "running");
  assert.deepEqual((await result(jobId)).aggregate, { hits: 400, samples: 400 });
  await assert.rejects(tell("pause"), { message: "terminal", status: 400 });
  await events(jobId);
  passed("pause and resume");
}

/** Reads all events of a finished job, page by page. */
async function events(jobId) {
  const seen = [];
  for (let after = 0, hasMore = true; hasMore; after = seen.at(-1).seq) {
    const page = only(
      await call("GET", `/api/jobs/${jobId}/events?after=${after}&limit=100`),
      "events", "hasMore", "nextSeq", "firstSeq", "droppedBeforeSeq",
    );
    assert.equal(page.droppedBeforeSeq, 0);
    seen.push(...page.events);
    hasMore = page.hasMore;
  }
  const count = (type) => seen.filter((event) => event.type === type).length;
  assert.deepEqual(
    ["job_started", "shard_done", "job_paused", "job_resumed", "job_done"].map(count),
    [1, 400, 1, 1, 1],
  );
  assert.deepEqual(seen.map((event) => event.seq), seen.map((_, index) => index + 1));
}

async function stopAll() {
  const ids = [];
  for (const body of [sharded(SLOW, 100_000, 1), { code: "await new Promise(() => {})" }]) {
    ids.push((await submit(body)).jobId);
  }
  const stopped = only(await call("POST", "/api/jobs/stop-all"), "ok", "stopped");
  assert.deepEqual(stopped, { ok: true, stopped: 2 });
  for (const id of ids) {
    const state = await until(id, isFinal);
    assert.deepEqual(
      [state.status, state.controlState, state.error],
      ["failed", "cancelled", "stopped_by_client"],
    );
  }
  passed("stop all");
}

for (const step of [
  invite, keys, add, single, badScripts, sum, collect, extremes, suite, pauseAndResume, stopAll, add,
]) {
  await step();
}
