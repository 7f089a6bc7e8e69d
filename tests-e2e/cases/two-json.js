// expect: ^ok\|2$
// shards: 2
if(args===1){JSON.parse=JSON.stringify=()=>"666";return 1}return __BRAIN__.shardId
