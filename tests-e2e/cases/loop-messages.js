// expect: ^ok\|1$|^timeout
// limit-ms: 900
const {port1,port2}=new MessageChannel();
port1.onmessage=()=>{port2.postMessage(0);port2.postMessage(0)};
port2.postMessage(0);
return new Promise(r=>setTimeout(()=>r(1),200))
