// expect: ^timeout
// limit-ms: 900
const f=()=>Promise.resolve().then(f);f();return new Promise(()=>{})
