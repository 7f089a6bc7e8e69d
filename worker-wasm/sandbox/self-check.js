// A job like any other: what could it reach here? Returns how many things it tried, and the names of
// those that are not closed.
const GONE = [
  'fetch', 'XMLHttpRequest', 'WebSocket', 'WebSocketStream', 'EventSource', 'WebTransport', 'RTCPeerConnection',
  'Worker', 'SharedWorker', 'importScripts', 'BroadcastChannel', 'postMessage', 'close', 'indexedDB', 'caches',
  'localStorage', 'sessionStorage', 'cookieStore', 'FileReader', 'FileReaderSync', 'FileSystemHandle', 'location',
  'Notification', 'GPU', 'GPUAdapter', 'WebGLRenderingContext', 'WebGL2RenderingContext', 'FontFace', 'fonts',
  'WorkerNavigator', 'USB', 'HID', 'Serial', 'Request', 'Response', 'window', 'document', 'parent', 'top', 'opener',
];
// Some things refuse to be looked at, where they are there.
const isThere = (name) => {
  try {
    return typeof globalThis[name] !== 'undefined';
  } catch {
    return true;
  }
};
const open = GONE.filter(isThere);
const demand = (name, holds) => {
  if (!holds) open.push(name);
};
const throws = (action) => {
  try {
    action();
    return false;
  } catch {
    return true;
  }
};

demand('navigator', Object.keys(navigator).join() === 'hardwareConcurrency');
demand('object-URLs', typeof URL.createObjectURL === 'undefined');
demand('text-timers', throws(() => setTimeout('0')) && throws(() => setInterval('0')));
demand('webgl', typeof OffscreenCanvas === 'undefined' || new OffscreenCanvas(1, 1).getContext('webgl') === null);
demand('origin', globalThis.origin === 'null');
demand('sloppy-mode', throws(() => arguments.callee));
demand('import', await import('data:text/javascript,0').then(() => false, () => true));
return [GONE.length + 7, ...open].join(' ');
