// expect: ^ok\|"silent"$
let heard="silent";
for(const kind of ["message","messageerror","rtctransform","connect"])
  EventTarget.prototype.addEventListener.call(self,kind,e=>{heard="ESCAPED "+kind});
self.onmessage=()=>{heard="ESCAPED"};
await new Promise(r=>setTimeout(r,200));
return heard
