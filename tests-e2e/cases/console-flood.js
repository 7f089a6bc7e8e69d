// expect: ^ok\|1$|^timeout
// limit-ms: 900
for(let i=0;i<1e6;i++)console.log(i);return 1
