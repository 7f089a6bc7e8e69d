// expect: ^ok\|2$
// shards: 2
if(args===1){for(const kind of [Promise,Array,Uint16Array,RegExp])Object.defineProperty(kind,Symbol.species,{get(){globalThis.__s=1;throw 1}});return 1}return globalThis.__s?"ESCAPED":__BRAIN__.shardId
