// expect: BLOCKED|Error
return new Promise(r=>{const s=new EventSource("http://127.0.0.1:CAN/hit-sse");s.onopen=()=>r("ESCAPED");s.onerror=()=>r("BLOCKED")})
