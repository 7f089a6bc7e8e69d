// expect: ^error
importScripts("http://127.0.0.1:CAN/hit-is.js");return globalThis.__evil?"ESCAPED":"?"
