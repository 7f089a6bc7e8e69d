// expect: ^ok\|"true,null,36,32"$
return [isSecureContext,origin,crypto.randomUUID().length,(await crypto.subtle.digest("SHA-256",new Uint8Array(1))).byteLength].join()
