// expect: BLOCKED|error
return new Promise((r,j)=>{const q=indexedDB.open("x");q.onsuccess=()=>r("ESCAPED");q.onerror=()=>r("BLOCKED")})
