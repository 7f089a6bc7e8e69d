// The client key of this tab, which the client page keeps in the same place, and calls with it.
//
// A page of this kind has `#closed` with the form `#sign-in`, and `#open` with everything else.

const KEY = 'cluster_client_token';

const element = (id) => document.getElementById(id);

/** A refusal of the server, with its text. */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// Storage may be blocked; then the key lasts until the page is left.
let key = (() => {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
})();

const keep = (value) => {
  key = value;
  try {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch {}
};

/** JSON of a path of the API. Throws a `Refusal`, or what `fetch` throws. */
export const get = async (path) => {
  const answer = await fetch(`api/${path}`, {
    headers: { authorization: `Bearer ${key}` },
    cache: 'no-store',
  });
  if (answer.ok) return answer.json();
  const { error } = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, error ?? `The server answered ${answer.status}.`);
};

/** What to tell a person of something that was thrown. */
export const explain = (thrown) =>
  thrown instanceof Refusal ? thrown.message : 'The server cannot be reached.';

const show = (isOpen) => {
  element('open').hidden = !isOpen;
  element('closed').hidden = isOpen;
};

/** Asks for the key again, because it is not accepted. */
export const close = () => {
  keep(null);
  show(false);
  element('key-error').textContent = 'This key is not accepted.';
  element('key').focus();
};

/** Calls `opened` once there is a key that the server accepts, and each time there is one again. */
export const whenOpen = (opened) => {
  const attempt = async () => {
    try {
      await get('auth/check');
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.status === 401) return close();
      show(false);
      element('key-error').textContent = explain(thrown);
      return;
    }
    element('key-error').textContent = '';
    element('key').value = '';
    show(true);
    opened();
  };
  element('sign-in').addEventListener('submit', (event) => {
    event.preventDefault();
    keep(element('key').value.trim());
    attempt();
  });
  if (key === null) show(false);
  else attempt();
};
