// expect: BLOCKED
const memory=new WebAssembly.Memory({initial:1,maximum:1,shared:true});
const {port1,port2}=new MessageChannel();
const heard=new Promise(r=>{port2.onmessage=e=>r(e.data instanceof SharedArrayBuffer?"same thread":"BLOCKED");port2.onmessageerror=()=>r("BLOCKED")});
try{port1.postMessage(memory.buffer)}catch{return "BLOCKED"}
return heard
