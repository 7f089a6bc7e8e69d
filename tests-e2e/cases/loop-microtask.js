// expect: ^timeout
const f=()=>Promise.resolve().then(f);f();return new Promise(()=>{})
