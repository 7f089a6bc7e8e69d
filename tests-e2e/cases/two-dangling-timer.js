// expect: ^ok\|2$
// shards: 2
if(args===1){setTimeout(()=>{try{self.postMessage([{id:args+1,ok:true,v:"666"}])}catch{}},5);return 1}return new Promise(r=>setTimeout(()=>r(__BRAIN__.shardId),60))
