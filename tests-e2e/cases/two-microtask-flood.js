// expect: ^ok\|2$|^timeout
// limit-ms: 900
// shards: 2
if(args===1){const again=()=>queueMicrotask(again);again();return 1}return __BRAIN__.shardId
