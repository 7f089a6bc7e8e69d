// expect: ^ok\|"undefined"$
// shards: 2
if(args===1){globalThis.console={log(){globalThis.__l=1}};return 1}console.log("x");return String(globalThis.__l)
