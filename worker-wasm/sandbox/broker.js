// Inside the sandbox frame: spawns and terminates executors for the runtime, and answers its pings.
//
// Lives here: the executors' handles. Not here: results, job code, or any other use of their ports:
// each executor's port is passed on unread.
(() => {
  'use strict';

  const EXECUTOR = 'data:text/javascript;base64,{{trampoline}}';
  const executors = new Map();
  let control = null;

  const say = (message) => control.postMessage(message);

  // An executor that broke is reported once, however many errors it throws afterwards.
  function reportDeath(id, worker) {
    worker.onerror = (event) => {
      event.preventDefault();
      worker.onerror = null;
      say({ type: 'died', id, reason: String(event.message).slice(0, 200) });
    };
  }

  function spawn({ id, isProbe, port }) {
    try {
      const worker = new Worker(EXECUTOR);
      executors.set(id, worker);
      reportDeath(id, worker);
      worker.postMessage({ isProbe }, [port]);
    } catch (error) {
      say({ type: 'died', id, reason: String(error).slice(0, 200) });
    }
  }

  function kill({ id }) {
    executors.get(id)?.terminate();
    executors.delete(id);
  }

  const COMMANDS = {
    spawn,
    kill,
    ping: ({ id }) => say({ type: 'pong', id }),
  };

  // What the frame itself can reach; all of it must be closed.
  function openDoors() {
    const doors = {
      origin: () => self.origin !== 'null',
      parent: () => parent.document,
      storage: () => localStorage,
      cookie: () => typeof document.cookie === 'string',
    };
    return Object.keys(doors).filter((name) => {
      try {
        return doors[name]();
      } catch {
        return false;
      }
    });
  }

  addEventListener('message', (event) => {
    const isHost = event.source === parent && event.origin === location.origin;
    if (!isHost || control || event.ports.length !== 1) return;
    [control] = event.ports;
    control.onmessage = ({ data }) => COMMANDS[data.type](data);
    say({ type: 'open', doors: openDoors() });
  });
})();
