// expect: ^error\|TypeError: .*locked
// shards: 2
if(args===1){Object.defineProperty(Math,"random",{value:()=>4,writable:false,configurable:false});return 1}return 2
