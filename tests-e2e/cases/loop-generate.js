// expect: ^error\|TypeError: modulusLength is more than
const slow=Object.assign(()=>{},{hash:"SHA-256",modulusLength:16384,publicExponent:new Uint8Array([1,0,1])});
Object.defineProperty(slow,"name",{value:"RSA-OAEP"});
return crypto.subtle.generateKey(slow,true,["encrypt","decrypt"]).then(()=>"ESCAPED")
