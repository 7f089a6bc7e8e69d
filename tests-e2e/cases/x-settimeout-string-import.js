// expect: BLOCKED|string timer
setTimeout("import('http://127.0.0.1:CAN/hit-imp.js').then(()=>{self.__evil=1},()=>{})",0);return new Promise(r=>setTimeout(()=>r(globalThis.__evil?"ESCAPED":"BLOCKED"),250))
