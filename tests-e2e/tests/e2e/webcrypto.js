// Checks golden vectors of the envelope with the browser's own cryptography and a Merkle path written
// anew, so that no code is shared with the verifier. Gives name -> whether signature and path hold.
async (vectors) => {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const text = (b64url) => atob(b64url.replace(/-/g, '+').replace(/_/g, '/'));
  const raw = (b64url) => Uint8Array.from(text(b64url), (c) => c.charCodeAt(0));
  const hash = async (...parts) => {
    const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return new Uint8Array(await crypto.subtle.digest('SHA-256', joined));
  };
  const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

  // RFC 9162, section 2.1.3.2.
  const inTree = async (entry, claims) => {
    if (entry.index >= claims.size) return false;
    let [fn, sn] = [entry.index, claims.size - 1];
    let r = await hash([0], bytes(entry.leaf));
    for (const p of entry.path.map(bytes)) {
      if (sn === 0) return false;
      if (fn % 2 === 1 || fn === sn) {
        r = await hash([1], p, r);
        while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn >> 1, sn >> 1];
      } else {
        r = await hash([1], r, p);
      }
      [fn, sn] = [fn >> 1, sn >> 1];
    }
    return sn === 0 && same(r, raw(claims.root));
  };

  const spki = Uint8Array.from(atob(vectors.spki), (c) => c.charCodeAt(0));
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify']);
  const header = JSON.stringify({ alg: 'RS256', typ: 'cluster-batch+jws', kid: vectors.kid });
  const holds = async (entry) => {
    const [head, payload, signature, ...more] = entry.root.split('.');
    if (signature === undefined || more.length > 0 || text(head) !== header) return false;
    const signed = new TextEncoder().encode(`${head}.${payload}`);
    if (!(await crypto.subtle.verify(algorithm, key, raw(signature), signed))) return false;
    return inTree(entry, JSON.parse(text(payload)));
  };
  const outcome = {};
  for (const entry of vectors.cases) outcome[entry.name] = await holds(entry).catch(() => false);
  return outcome;
}
