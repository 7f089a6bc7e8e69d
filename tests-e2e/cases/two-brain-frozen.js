// expect: ^ok\|2$
// shards: 2
if(args===1){try{__BRAIN__.shardId=666}catch{}Object.setPrototypeOf(globalThis,null);return 1}return __BRAIN__.shardId
