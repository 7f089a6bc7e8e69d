// expect: ^ok\|8$
try{self.postMessage([{id:1,ok:true,v:"666"},{id:2,ok:true,v:"666"}])}catch(e){} self.onmessage=()=>{};return 8
