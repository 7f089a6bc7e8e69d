// expect: ^ok\|2$
// shards: 2
if(args===1){Math.imul=Math.round=()=>666;performance.now=()=>-1;Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype),"byteLength",{get(){return 666}});Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype),"length",{get(){return 666}});return 1}return __BRAIN__.shardId
