// expect: ^ok\|"honest undefined"$
// shards: 2
if(args===1){for(const [owner,name] of [[TextDecoder.prototype,"decode"],[TextEncoder.prototype,"encode"],[String.prototype,"slice"],[String.prototype,"charCodeAt"],[String.prototype,"indexOf"]])owner[name]=function(x){globalThis.__x=x;return "evil"};return 1}console.log("line");return "honest "+globalThis.__x
