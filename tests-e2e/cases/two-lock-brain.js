// expect: ^error\|TypeError: .*locked
// shards: 2
if(args===1){Object.defineProperty(globalThis,"__BRAIN__",{value:{shardId:666},writable:false,configurable:false});return 1}return __BRAIN__.shardId
