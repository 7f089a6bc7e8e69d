// expect: BLOCKED|ReferenceError
const w=new Worker("data:text/javascript,postMessage(1)");return new Promise(r=>{w.onmessage=()=>r("ESCAPED");w.onerror=()=>r("BLOCKED")})
