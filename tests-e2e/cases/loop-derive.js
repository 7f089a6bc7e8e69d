// expect: ^error\|TypeError: iterations is more than
// What the browser derives outside of the executor would go on after its end.
const key=await crypto.subtle.importKey("raw",new Uint8Array(8),"PBKDF2",false,["deriveBits"]);
let asked=0;
return crypto.subtle.deriveBits({name:"PBKDF2",hash:"SHA-512",salt:new Uint8Array(8),get iterations(){return asked++?1e9:{valueOf(){return 1e9}}}},key,256).then(()=>"ESCAPED")
