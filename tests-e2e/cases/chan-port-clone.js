// expect: ^ok\|\"own\"$
const {port1,port2}=new MessageChannel();
const moved=structuredClone(port1,{transfer:[port1]});
const heard=new Promise(r=>{port2.onmessage=e=>r(e.data)});
moved.postMessage("own");
return heard
