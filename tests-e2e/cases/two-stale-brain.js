// expect: ^ok\|2$
// shards: 2
if(args===1){return __BRAIN__.shardId}return __BRAIN__.shardId
