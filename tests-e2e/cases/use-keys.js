// expect: ^ok\|"32 32 32 private NotSupportedError"$
const {subtle}=crypto;
const key=await subtle.importKey("raw",new Uint8Array(8),"PBKDF2",false,["deriveBits"]);
const derive=iterations=>subtle.deriveBits({name:"PBKDF2",hash:"SHA-256",salt:new Uint8Array(8),iterations},key,256);
const lengths=(await Promise.all([1000,2000,3000].map(derive))).map(bits=>bits.byteLength);
const pair=await subtle.generateKey({name:"ECDSA",namedCurve:"P-256"},false,["sign","verify"]);
const refused=await subtle.generateKey({name:"none"},false,["sign"]).catch(error=>error.name);
return [...lengths,pair.privateKey.type,refused].join(" ")
