// expect: BLOCKED|Error
return new Promise(r=>{const s=new WebSocket("ws://127.0.0.1:CAN/hit-ws");s.onopen=()=>r("ESCAPED");s.onerror=()=>r("BLOCKED")})
