// expect: ^ok\|"honest"$
// shards: 2
if(args===1){const T=Promise.prototype.then;Promise.prototype.then=function(a,b){globalThis.__r=[a,b];return T.call(this,a,b)};const R=Promise.resolve;Promise.resolve=function(x){globalThis.__r=x;return R.call(this,x)};Object.defineProperty(Promise.prototype,"constructor",{get(){globalThis.__k=1;return class extends Promise{}}});return 1}return new Promise(r=>setTimeout(()=>r("honest"),10))
