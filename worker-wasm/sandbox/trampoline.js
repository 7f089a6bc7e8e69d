// Runs first in every executor (a dedicated `data:` worker of the sandbox frame) and stays between
// job code and the port to the runtime.
//
// Lives here: what job code may see, how a shard is run, and how its outcome becomes text. Not here:
// deadlines, blame and retries (the runtime's), the choice of what runs.
//
// The rule that a newcomer would break: job code can replace everything that it can reach, so after
// `harden` nothing here may look up a property that is not its own. Primordials are captured, loops
// count, replies are strings, descriptors and records have no prototype. No iterators, no spread, no
// `push`, no promise resolved with an object.
(() => {
  'use strict';

  // ---- Primordials -----------------------------------------------------------------------------

  const G = globalThis;
  const { apply, defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const uncurry = (method) => apply(Function.prototype.bind, Function.prototype.call, [method]);
  const getter = (owner, name) => uncurry(getOwnPropertyDescriptor(owner, name).get);

  const AsyncFunction = (async () => {}).constructor;
  const { freeze } = Object;
  const { imul, random: nativeRandom, round } = Math;
  const MathObject = Math;
  const { parse, stringify } = JSON;
  const NativePromise = Promise;
  const NativeTypeError = TypeError;
  const textOf = String;
  const { isArray } = Array;
  const Codes = Uint16Array;
  const now = performance.now.bind(performance);
  const setNativeTimeout = setTimeout.bind(G);
  const clearNativeTimeout = clearTimeout.bind(G);

  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const indexOf = uncurry(String.prototype.indexOf);
  const sliceText = uncurry(String.prototype.slice);
  const decode = uncurry(TextDecoder.prototype.decode);
  const encode = uncurry(TextEncoder.prototype.encode);
  const byteLength = getter(getPrototypeOf(Uint8Array.prototype), 'byteLength');
  const addListener = uncurry(EventTarget.prototype.addEventListener);
  const removeListener = uncurry(EventTarget.prototype.removeEventListener);
  const preventDefault = uncurry(Event.prototype.preventDefault);
  const stopPropagation = uncurry(Event.prototype.stopImmediatePropagation);
  const eventData = getter(MessageEvent.prototype, 'data');
  const eventPorts = getter(MessageEvent.prototype, 'ports');
  const errorMessage = getter(ErrorEvent.prototype, 'message');
  const post = uncurry(MessagePort.prototype.postMessage);
  const then = uncurry(NativePromise.prototype.then);
  const startPort = uncurry(MessagePort.prototype.start);

  const define = (owner, name, value, writable) =>
    defineProperty(owner, name, { __proto__: null, value, writable, configurable: writable, enumerable: true });

  // ---- Text ------------------------------------------------------------------------------------

  const MAX_TEXT = 4096;
  const scratch = new Codes(MAX_TEXT);
  const scratchBuffer = scratch.buffer;
  // Replaces lone surrogates, so that what it makes can be decoded as UTF-8 text anywhere.
  const utf16 = new TextDecoder('utf-16le', { ignoreBOM: true });
  const utf8 = new TextEncoder();

  function copyCodes(text, into, at, most) {
    const length = text.length < most ? text.length : most;
    for (let i = 0; i < length; i += 1) into[at + i] = charCodeAt(text, i);
    return length;
  }

  const decoded = (buffer, at, length) => decode(utf16, new Codes(buffer, at * 2, length));

  // The first `most` characters, well formed, and without a reference to the whole.
  function excerpt(text, most) {
    return decoded(scratchBuffer, 0, copyCodes(text, scratch, 0, most < MAX_TEXT ? most : MAX_TEXT));
  }

  const utf8Bytes = (text) => byteLength(encode(utf8, text));

  function printed(value) {
    try {
      return textOf(value);
    } catch {
      return 'unprintable value';
    }
  }

  // ---- Console ---------------------------------------------------------------------------------

  const MAX_LINES = 160;
  const MAX_LINE = 280;
  // A ring of fixed size: a flood costs no memory, and no line holds on to a long text.
  const lineCodes = new Codes(MAX_LINES * MAX_LINE);
  const linesBuffer = lineCodes.buffer;
  const lineLengths = new Codes(MAX_LINES);
  let linesWritten = 0;

  function shown(value) {
    if (typeof value === 'string') return value;
    try {
      const text = stringify(value);
      if (typeof text === 'string') return text;
    } catch {
      // Not JSON: shown as text.
    }
    return printed(value);
  }

  function writeLine(level, values, first) {
    let text = '[' + level + ']';
    for (let i = first; i < values.length && text.length < MAX_LINE; i += 1) text += ' ' + shown(values[i]);
    const place = linesWritten % MAX_LINES;
    lineLengths[place] = copyCodes(text, lineCodes, place * MAX_LINE, MAX_LINE);
    linesWritten += 1;
  }

  const writer = (level) => freeze(function () { writeLine(level, arguments, 0); });
  const [log, info, warn, error, debug, trace] = ['log', 'info', 'warn', 'error', 'debug', 'trace'].map(writer);
  const ignored = freeze(function () {});
  const assert = freeze(function (holds) {
    if (holds) return;
    if (arguments.length > 1) writeLine('error', arguments, 1);
    else writeLine('error', ['Assertion failed'], 0);
  });

  const freshConsole = () => ({
    log, info, warn, error, debug, trace, assert,
    dir: log, dirxml: log, table: log, group: log, groupCollapsed: log, groupEnd: ignored,
    count: ignored, countReset: ignored, time: ignored, timeEnd: ignored, timeLog: ignored,
    timeStamp: ignored, profile: ignored, profileEnd: ignored, clear: ignored,
  });

  // ---- Math.random -----------------------------------------------------------------------------

  const rng = new Int32Array(4);

  // xoshiro128** 1.1 (Blackman and Vigna), two draws a number. A method, so that it is no
  // constructor, like the one it stands for.
  const { random: seededRandom } = {
    random() {
      let s0 = rng[0];
      let s1 = rng[1];
      let s2 = rng[2];
      let s3 = rng[3];
      let x = imul(s1, 5);
      const high = imul((x << 7) | (x >>> 25), 9) >>> 5;
      x = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= x;
      s3 = (s3 << 11) | (s3 >>> 21);
      x = imul(s1, 5);
      const low = imul((x << 7) | (x >>> 25), 9) >>> 6;
      x = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      rng[1] = s1 ^ s2;
      rng[0] = s0 ^ s3;
      rng[2] = s2 ^ x;
      rng[3] = (s3 << 11) | (s3 >>> 21);
      return (high * 0x4000000 + low) / 0x20000000000000;
    },
  };

  // ---- Hardening -------------------------------------------------------------------------------

  const ALLOWED = (
    'Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise '
    + 'RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError '
    + 'InternalError globalThis JSON Math Intl Temporal ArrayBuffer SharedArrayBuffer Atomics DataView Uint8Array '
    + 'Int8Array Uint16Array Int16Array Uint32Array Int32Array Float16Array Float32Array Float64Array '
    + 'Uint8ClampedArray BigUint64Array BigInt64Array BigInt Map Set WeakMap WeakSet WeakRef FinalizationRegistry '
    + 'Iterator Proxy Reflect DisposableStack AsyncDisposableStack decodeURI decodeURIComponent encodeURI '
    + 'encodeURIComponent escape unescape eval isFinite isNaN WebAssembly '
    + 'self constructor toString performance Performance crypto Crypto SubtleCrypto CryptoKey isSecureContext '
    + 'crossOriginIsolated origin setTimeout clearTimeout setInterval clearInterval queueMicrotask structuredClone '
    + 'TextEncoder TextDecoder atob btoa AbortController AbortSignal Event EventTarget CustomEvent DOMException '
    + 'URL URLSearchParams Blob MessageChannel MessagePort MessageEvent ReadableStream WritableStream '
    + 'TransformStream CompressionStream DecompressionStream TextEncoderStream TextDecoderStream '
    + 'ByteLengthQueuingStrategy CountQueuingStrategy OffscreenCanvas OffscreenCanvasRenderingContext2D '
    + 'ImageData ImageBitmap Path2D DOMMatrix DOMPoint DOMRect'
  ).split(' ');

  // Deletes what is not allowed from the global object and everything it inherits from. Returns the
  // names of what would not go; constants are no danger and are not counted.
  function removeGlobals() {
    const allowed = new Set(ALLOWED);
    const left = [];
    for (let owner = G; owner !== null && owner !== Object.prototype; owner = getPrototypeOf(owner)) {
      if (owner === EventTarget.prototype) continue;
      for (const name of ownKeys(owner)) {
        if (typeof name === 'symbol' || allowed.has(name)) continue;
        deleteProperty(owner, name);
        const kept = getOwnPropertyDescriptor(owner, name);
        if (kept && typeof kept.value !== 'number') left.push(name);
      }
    }
    return left;
  }

  let firstTimer = 0;
  let lastTimer = 0;

  // Takes functions only: a text with `import()` hangs Firefox's tab. Remembers which timers a shard
  // has set, so that they end with it.
  function guardTimer(name) {
    const native = G[name];
    const { [name]: guarded } = {
      [name](handler) {
        if (typeof handler !== 'function') throw new NativeTypeError('string timer handlers are disabled');
        lastTimer = apply(native, G, arguments);
        if (firstTimer === 0) firstTimer = lastTimer;
        return lastTimer;
      },
    };
    for (let owner = G; owner !== null; owner = getPrototypeOf(owner)) deleteProperty(owner, name);
    define(G, name, guarded, true);
  }

  function clearTimers() {
    if (firstTimer === 0) return;
    for (let id = firstTimer; id <= lastTimer; id += 1) clearNativeTimeout(id);
    firstTimer = 0;
  }

  // Graphics processors are out of bounds, whatever path leads to them.
  function guardCanvas() {
    if (typeof OffscreenCanvas === 'undefined') return;
    const native = OffscreenCanvas.prototype.getContext;
    const { getContext } = {
      getContext(kind) {
        return kind === '2d' ? apply(native, this, arguments) : null;
      },
    };
    define(OffscreenCanvas.prototype, 'getContext', getContext, true);
  }

  // Keys that take long to make are made outside of the executor, and go on being made after its end:
  // so none may take long, and one is made at a time.
  const MAX_ITERATIONS = 1000000;
  const MAX_MODULUS_BITS = 4096;
  const KEY_PARAMETERS = [
    'name', 'hash', 'salt', 'info', 'iterations', 'public', 'modulusLength', 'publicExponent', 'namedCurve', 'length',
  ];
  const KEY_LIMITS = { __proto__: null, iterations: MAX_ITERATIONS, modulusLength: MAX_MODULUS_BITS };

  // A copy, which says the same each time that it is asked.
  function bounded(algorithm) {
    if (algorithm === null || (typeof algorithm !== 'object' && typeof algorithm !== 'function')) return algorithm;
    const copy = { __proto__: null };
    for (let i = 0; i < KEY_PARAMETERS.length; i += 1) {
      const name = KEY_PARAMETERS[i];
      let value = algorithm[name];
      if (value === undefined) continue;
      const limit = KEY_LIMITS[name];
      if (limit !== undefined) {
        value = +value;
        if (value > limit) throw new NativeTypeError(name + ' is more than ' + limit);
      }
      copy[name] = value;
    }
    return copy;
  }

  let nextKey = null;
  let lastKey = null;
  let isMakingKey = false;

  function makeKeys() {
    if (isMakingKey || nextKey === null) return;
    const { make, resolve, reject } = nextKey;
    nextKey = nextKey.next;
    isMakingKey = true;
    const settle = (how) => (value) => {
      isMakingKey = false;
      how(value);
      makeKeys();
    };
    const made = make();
    // Without a constructor `then` asks nothing that job code could have replaced.
    defineProperty(made, 'constructor', { __proto__: null, value: undefined });
    then(made, settle(resolve), settle(reject));
  }

  function guardKeys() {
    if (typeof SubtleCrypto === 'undefined') return;
    for (const name of ['generateKey', 'deriveKey', 'deriveBits']) {
      const native = SubtleCrypto.prototype[name];
      const { [name]: guarded } = {
        [name](algorithm) {
          const given = arguments;
          const make = () => apply(native, this, given);
          return new NativePromise((resolve, reject) => {
            given[0] = bounded(algorithm);
            const entry = { __proto__: null, make, resolve, reject, next: null };
            if (nextKey === null) nextKey = entry;
            else lastKey.next = entry;
            lastKey = entry;
            makeKeys();
          });
        },
      };
      define(SubtleCrypto.prototype, name, guarded, true);
    }
  }

  // Errors of stray timers and promises end here: one is worth a console line, none is worth a
  // message to the frame.
  function muteStrayErrors() {
    addListener(G, 'error', (event) => {
      preventDefault(event);
      writeLine('error', [errorMessage(event)], 0);
    });
    addListener(G, 'unhandledrejection', (event) => preventDefault(event));
  }

  function harden() {
    muteStrayErrors();
    const left = removeGlobals();
    guardTimer('setTimeout');
    guardTimer('setInterval');
    guardCanvas();
    guardKeys();
    deleteProperty(URL, 'createObjectURL');
    deleteProperty(URL, 'revokeObjectURL');
    // The same on every device: a job has one thread here.
    define(G, 'navigator', freeze({ __proto__: null, hardwareConcurrency: 1 }), false);
    define(G, 'console', freshConsole(), true);
    return left;
  }

  // ---- One shard -------------------------------------------------------------------------------

  const MAX_DEPTH = 128;
  const MAX_PREVIEW = 1024;
  // A longer text is not even measured: that would take longer than many a run. Its size is told
  // as if it were plain ASCII.
  const HUGE_TEXT = 16777216;
  // What an envelope takes beside value, error, notes and console lines.
  const ENVELOPE_BYTES = 640;

  // What is the same for all shards that this executor runs, and its code as a function.
  let job = null;
  let body = null;
  let compileError = '';

  function describe(thrown) {
    try {
      const isError = typeof thrown === 'object' && thrown !== null && 'message' in thrown;
      return isError ? thrown.name + ': ' + thrown.message : textOf(thrown);
    } catch {
      return 'unprintable error';
    }
  }

  const JOB_FILE = 'job.js';
  const PROLOGUE = '"use strict";\n';
  // Lines before the first of the job: the constructor's own two, and the prologue.
  const LINES_BEFORE = 3;

  function load(message) {
    job = message;
    body = null;
    try {
      body = new AsyncFunction('args', 'console', PROLOGUE + message.code + '\n//# sourceURL=' + JOB_FILE);
    } catch (thrown) {
      compileError = 'compile: ' + describe(thrown);
    }
  }

  // Sets what a shard sees. Throws where an earlier shard has locked a part of it.
  function prepare(table, row) {
    linesWritten = 0;
    if (job.isSeeded) for (let i = 0; i < 4; i += 1) rng[i] = table[row + 5 + i];
    let isSet = define(MathObject, 'random', job.isSeeded ? seededRandom : nativeRandom, true);
    if (job.parentJobId === null) {
      isSet = deleteProperty(G, '__BRAIN__') && isSet;
    } else {
      const brain = freeze({
        parentJobId: job.parentJobId,
        shardId: table[row + 1],
        totalShards: job.totalShards,
        units: table[row + 2],
        totalUnits: job.totalUnits,
        offset: table[row + 3],
        attempt: table[row + 4],
        seed: job.seed,
      });
      isSet = define(G, '__BRAIN__', brain, true) && isSet;
    }
    if (!isSet) throw new NativeTypeError('__BRAIN__ or Math.random was locked by an earlier shard');
  }

  // Starts the shard of `row`; the promise is job code's, and safe to await.
  function start(table, row) {
    prepare(table, row);
    const promise = body(parse(job.args), freshConsole());
    // With a constructor of its own, `await` asks nothing that job code could have replaced.
    defineProperty(promise, 'constructor', { __proto__: null, value: NativePromise });
    return promise;
  }

  // ---- Outcomes --------------------------------------------------------------------------------

  const RETURNED = 0;
  const THREW = 1;
  const outcome = (status, value, type, message, stack, note) =>
    ({ __proto__: null, status, value, type, message, stack, note });
  const failed = (message, stack) => outcome(THREW, '', null, message, stack, null);
  const succeeded = (value, type, note) => outcome(RETURNED, value, type, null, null, note);

  const SELF_URL = 'data:text/javascript;base64,';
  const isBase64 = (code) =>
    (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || (code >= 0x2f && code <= 0x39)
    || code === 0x2b || code === 0x3d;

  const isDigit = (code) => code >= 0x30 && code <= 0x39;

  // `text` with each `mark`, and what follows it as long as `belongs` says so, put through `replace`.
  function replaceAll(text, mark, belongs, replace) {
    let done = '';
    let rest = text;
    for (let at = indexOf(rest, mark); at >= 0 && done.length < MAX_TEXT; at = indexOf(rest, mark)) {
      const start = at + mark.length;
      let end = start;
      while (end < rest.length && belongs(charCodeAt(rest, end))) end += 1;
      done += sliceText(rest, 0, at) + replace(sliceText(rest, start, end));
      rest = sliceText(rest, end);
    }
    return done + rest;
  }

  // The stack with the job's own line numbers, and without the text of this script, which is its
  // address.
  function stackOf(thrown) {
    try {
      const stack = typeof thrown === 'object' && thrown !== null ? thrown.stack : null;
      if (typeof stack !== 'string') return null;
      const named = replaceAll(stack, SELF_URL, isBase64, () => 'sandbox');
      return replaceAll(named, JOB_FILE + ':', isDigit, (line) => JOB_FILE + ':' + (line - LINES_BEFORE));
    } catch {
      return null;
    }
  }

  function typeOf(value) {
    if (value === null) return 'null';
    return isArray(value) ? 'array' : typeof value;
  }

  // The type that a reader of the JSON text would name.
  function typeOfJson(text) {
    switch (charCodeAt(text, 0)) {
      case 0x7b: return 'object';
      case 0x5b: return 'array';
      case 0x22: return 'string';
      case 0x6e: return 'null';
      case 0x74: case 0x66: return 'boolean';
      default: return 'number';
    }
  }

  function isTooDeep(text) {
    if (text.length <= 2 * MAX_DEPTH || charCodeAt(text, 0) === 0x22) return false;
    let depth = 0;
    let isInString = false;
    for (let i = 0; i < text.length; i += 1) {
      const code = charCodeAt(text, i);
      if (code === 0x22) {
        isInString = !isInString;
      } else if (isInString) {
        if (code === 0x5c) i += 1;
      } else if (code === 0x5b || code === 0x7b) {
        depth += 1;
        if (depth > MAX_DEPTH) return true;
      } else if (code === 0x5d || code === 0x7d) {
        depth -= 1;
      }
    }
    return false;
  }

  // As much of `text` as fits in `room` bytes, as JSON.
  function quoted(text, mostChars, room) {
    for (let length = mostChars; length > 0; length >>= 1) {
      const json = stringify(excerpt(text, length));
      if (json.length * 3 <= room || utf8Bytes(json) <= room) return json;
    }
    return '""';
  }

  function nonSerializable(value, type, why) {
    const preview = quoted(printed(value), MAX_PREVIEW, job.budget / 2);
    return succeeded(
      '{"nonSerializable":true,"type":' + stringify(type) + ',"preview":' + preview + '}',
      type,
      'The return value is not serialisable: ' + why,
    );
  }

  function truncated(text, type, bytes) {
    return succeeded(
      '{"truncated":true,"type":' + stringify(type) + ',"totalSerializedBytes":' + bytes + ',"preview":'
        + quoted(text, MAX_PREVIEW, job.budget / 2) + '}',
      type,
      'The return value was too large: only a preview of it is kept.',
    );
  }

  function returned(value) {
    if (value === undefined) return succeeded('', 'undefined', null);
    const type = typeOf(value);
    if (type === 'string' && value.length > HUGE_TEXT) {
      return truncated(stringify(sliceText(value, 0, MAX_PREVIEW)), type, value.length + 2);
    }
    let text;
    try {
      text = stringify(value);
    } catch (thrown) {
      return nonSerializable(value, type, describe(thrown));
    }
    if (typeof text !== 'string') return nonSerializable(value, type, 'a ' + type + ' has no JSON form.');
    const most = job.budget * 0.9;
    const bytes = text.length * 3 > most ? utf8Bytes(text) : 0;
    if (bytes > most) return truncated(text, type, bytes);
    if (isTooDeep(text)) return nonSerializable(value, type, 'it is nested more than ' + MAX_DEPTH + ' deep.');
    return succeeded(text, type === typeOfJson(text) ? null : type, null);
  }

  // ---- Replies ---------------------------------------------------------------------------------

  // The newest console lines that fit in `room`; an envelope has each of them twice.
  function keptLines(room) {
    const oldest = linesWritten > MAX_LINES ? linesWritten - MAX_LINES : 0;
    let first = linesWritten;
    let text = '';
    while (first > oldest) {
      const place = (first - 1) % MAX_LINES;
      const line = stringify(decoded(linesBuffer, place * MAX_LINE, lineLengths[place]));
      room -= 2 * (utf8Bytes(line) + 1);
      if (room < 0) break;
      text = '\tl' + line + text;
      first -= 1;
    }
    return { __proto__: null, text, dropped: first, isCut: first > oldest };
  }

  // What most outcomes do not have: fields of a letter and a JSON text, each after a tab.
  function details(result) {
    const { type, message, stack, note } = result;
    if (type === null && message === null && note === null && linesWritten === 0) return '';
    let room = job.budget - ENVELOPE_BYTES - utf8Bytes(result.value);
    let text = '';
    if (type !== null) text += '\tt' + stringify(type);
    if (message !== null) {
      const messageJson = quoted(message, MAX_TEXT, room / 2);
      room -= utf8Bytes(messageJson);
      text += '\tm' + messageJson;
    }
    if (stack !== null) {
      const stackJson = quoted(stack, MAX_TEXT, room / 2);
      room -= utf8Bytes(stackJson);
      text += '\ts' + stackJson;
    }
    if (note !== null) text += '\tn' + quoted(note, MAX_LINE, MAX_TEXT);
    const lines = keptLines(room);
    if (lines.isCut) text += '\tn"Console lines were dropped so that the result fits."';
    if (lines.dropped > 0) text += '\td' + lines.dropped;
    return text + lines.text;
  }

  const FLUSH_MS = 10;
  const FLUSH_CHARS = 131072;

  let port = null;
  let replies = '';
  let lastFlush = 0;

  function flush() {
    if (replies !== '') post(port, replies);
    replies = '';
    lastFlush = now();
  }

  // One line a shard: JSON text holds neither tabs nor line breaks.
  function reply(id, result, elapsedMs) {
    replies += id + '\t' + result.status + '\t' + round(elapsedMs * 1000) + '\t' + result.value
      + details(result) + '\n';
  }

  // ---- The loop --------------------------------------------------------------------------------

  // Columns of a row: id, shard, units, offset, attempt, and four words of generator state.
  const COLUMNS = 9;

  let head = null;
  let tail = null;
  let isRunning = false;

  async function work() {
    isRunning = true;
    lastFlush = now();
    while (head !== null) {
      const { load: newJob, count, table } = head.message;
      head = head.next;
      if (head === null) tail = null;
      if (newJob !== null) load(newJob);
      // For shards that wait: what is finished must not wait with them.
      const timer = count > 1 ? setNativeTimeout(flush, FLUSH_MS) : 0;
      for (let row = 0; row < count * COLUMNS; row += COLUMNS) {
        const started = now();
        let result;
        try {
          result = body === null ? failed(compileError, null) : returned(await start(table, row));
        } catch (thrown) {
          result = failed(describe(thrown), stackOf(thrown));
        }
        clearTimers();
        const ended = now();
        reply(table[row], result, ended - started);
        if (ended - lastFlush >= FLUSH_MS || replies.length > FLUSH_CHARS) flush();
      }
      if (timer !== 0) clearNativeTimeout(timer);
      flush();
    }
    isRunning = false;
  }

  function receive(event) {
    const entry = { __proto__: null, message: eventData(event), next: null };
    if (tail === null) head = entry;
    else tail.next = entry;
    tail = entry;
    if (!isRunning) work();
  }

  // ---- Self-test -------------------------------------------------------------------------------

  const within = (ms, promise) =>
    Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms, 'no answer'))]);
  const opens = (promise) => promise.then(() => 'open', () => 'blocked');

  // Resolves as soon as one of the events does.
  const settles = (target, opened) => new Promise((resolve) => {
    target[opened] = () => resolve('open');
    target.onerror = () => resolve('blocked');
  });

  // What the browser itself must block, asked before anything is removed. Addresses are `data:`
  // where that can be asked, and else of the reserved host `invalid`: a browser that fails the test
  // sends nothing either.
  const PROBES = {
    fetch: () => opens(fetch('data:,x')),
    xhr: () => {
      const request = new XMLHttpRequest();
      request.open('GET', 'data:,x', false);
      request.send();
      return 'open';
    },
    import: () => opens(import('data:text/javascript,0')),
    importScripts: () => {
      importScripts('data:text/javascript,0');
      return 'open';
    },
    webSocket: () => settles(new WebSocket('wss://probe.invalid/'), 'onopen'),
    eventSource: () => settles(new EventSource('https://probe.invalid/'), 'onopen'),
    blobWorker: () => settles(
      new Worker(URL.createObjectURL(new Blob(['postMessage(0)'], { type: 'text/javascript' }))),
      'onmessage',
    ),
    indexedDB: () => settles(indexedDB.open('probe'), 'onsuccess'),
    caches: () => opens(caches.open('probe')),
    files: () => opens(navigator.storage.getDirectory()),
    origin: () => (G.origin === 'null' ? 'blocked' : 'open'),
  };

  async function probe() {
    let answers = '';
    for (const name of Object.keys(PROBES)) {
      let answer = 'blocked';
      try {
        answer = await within(3000, PROBES[name]());
      } catch {
        // It is not even there.
      }
      answers += '\t+' + name + ' ' + answer;
    }
    return answers;
  }

  // ---- Start -----------------------------------------------------------------------------------

  // Says that it takes work: a field for each global that is left (-) and each answer to a probe (+).
  function open(answers) {
    const left = harden().map((name) => '\t-' + name).join('');
    addListener(port, 'message', receive);
    startPort(port);
    post(port, 'ready' + left + answers);
  }

  addEventListener('message', function init(event) {
    stopPropagation(event);
    removeListener(G, 'message', init);
    [port] = eventPorts(event);
    if (eventData(event).isProbe) probe().then(open);
    else open('');
  });
})();
