// expect: ^ok\|\[1,2\]$
// shards: 2
if(args===1){Object.getPrototypeOf([][Symbol.iterator]()).next=()=>({done:true});Iterator.prototype.map=null;return 1}return [1,2]
