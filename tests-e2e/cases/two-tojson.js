// expect: ^ok\|666$
// shards: 2
if(args===1){Object.prototype.toJSON=function(){return 666};return 1}return {a:1}
