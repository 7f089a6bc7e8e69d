// expect: ^ok\|"undefined"$
// shards: 2
if(args===1){Object.prototype.then=function(r){globalThis.__t=this;r(666)};return 1} delete Object.prototype.then; return String(globalThis.__t)
