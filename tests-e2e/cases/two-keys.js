// expect: ^ok\|32$
// shards: 2
if(args===1){
  Object.defineProperty(Promise,Symbol.species,{get(){throw 1}});
  Promise.prototype.then=null;
  crypto.subtle.generateKey("x",false,["sign"]);
  return 1
}
const key=await crypto.subtle.importKey("raw",new Uint8Array(8),"HKDF",false,["deriveBits"]);
return (await crypto.subtle.deriveBits({name:"HKDF",hash:"SHA-256",salt:new Uint8Array(8),info:new Uint8Array(1)},key,256)).byteLength
