// expect: ^ok\|"undefined"$
// shards: 2
if(args===1){const c=Function.prototype.call;Function.prototype.call=function(...a){globalThis.__c=a;return c.apply(this,a)};Function.prototype.apply=Function.prototype.bind=Reflect.apply=function(...a){globalThis.__c=a};Array.prototype[Symbol.iterator]=function*(){globalThis.__c=this};Array.prototype.push=function(x){globalThis.__c=x};return 1}return String(globalThis.__c)
