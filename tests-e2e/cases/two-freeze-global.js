// expect: ^ok\|2$|^error
// shards: 2
if(args===1){try{Object.freeze(globalThis)}catch{}Object.freeze(Math);Object.freeze(Object.prototype);return 1}return __BRAIN__.shardId
