// expect: BLOCKED
let least=Infinity;
for(let i=0,last=performance.now();i<2e5;i++){const now=performance.now();if(now>last)least=Math.min(least,now-last);last=now}
return least<0.019?"ESCAPED "+least:"BLOCKED"
