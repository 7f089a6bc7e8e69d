// expect: ^ok\|true$
// shards: 2
if(args===1){globalThis.setTimeout=globalThis.clearTimeout=()=>0;return 1}return typeof setTimeout==="function"
