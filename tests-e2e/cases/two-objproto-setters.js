// expect: ^ok\|"undefined"$
// shards: 2
if(args===1){for(const k of ["id","ok","v","0","then","get","set","value","jobs","code","hash","cache","each"])try{Object.defineProperty(Object.prototype,k,{configurable:true,get(){return k==="then"?undefined:666},set(x){globalThis.__leak=[k,x]}})}catch{};return 1}return String(globalThis.__leak)
