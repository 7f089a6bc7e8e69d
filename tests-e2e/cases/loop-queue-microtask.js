// expect: ^timeout
// limit-ms: 900
const again=()=>queueMicrotask(again);again();return new Promise(()=>{})
