// expect: ^ok\|2$
// shards: 2
if(args===1){const registry=new FinalizationRegistry(()=>{for(let i=0;i<1e4;i++)globalThis.__late=i});for(let i=0;i<1e4;i++)registry.register({},i);return 1}return __BRAIN__.shardId
