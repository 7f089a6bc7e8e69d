// expect: ^ok\|1$|^timeout
// limit-ms: 900
for(let i=0;i<1e5;i++)setInterval(()=>{},0);return new Promise(r=>setTimeout(()=>r(1),300))
