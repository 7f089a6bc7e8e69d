// expect: ^ok\|"end"|^timeout
// limit-ms: 900
for(let i=0;i<20000;i++)setTimeout(()=>{throw new Error("f"+i)},0);return new Promise(r=>setTimeout(()=>r("end"),400))
