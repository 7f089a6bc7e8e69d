// expect: ^ok\|true$
// shards: 2
if(args===1){globalThis.__ticks=0;setInterval(()=>{globalThis.__ticks++},1);return 1}const before=globalThis.__ticks;return new Promise(r=>setTimeout(()=>r(globalThis.__ticks===before),100))
