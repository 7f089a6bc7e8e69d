// expect: ^ok\|"silent"$
const {port1,port2}=new MessageChannel();
let heard="silent";
port2.onmessage=e=>{heard="ESCAPED "+e.data};
for(const data of [{isProbe:false},{isProbe:true},{load:null,count:0,table:[]}])
  try{EventTarget.prototype.dispatchEvent.call(self,new MessageEvent("message",{data,ports:[port1]}))}catch{}
await new Promise(r=>setTimeout(r,100));
return heard
