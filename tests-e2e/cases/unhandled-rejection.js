// expect: ^ok\|5$
Promise.reject(new Error("x"));return new Promise(r=>setTimeout(()=>r(5),30))
