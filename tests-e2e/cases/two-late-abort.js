// expect: ^ok\|2$
// shards: 2
if(args===1){AbortSignal.timeout(5).onabort=()=>{try{postMessage("forged")}catch{}};return 1}return new Promise(r=>setTimeout(()=>r(__BRAIN__.shardId),60))
