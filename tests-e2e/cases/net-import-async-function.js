// expect: BLOCKED
const make=(async()=>{}).constructor;return make("return await import('http://127.0.0.1:CAN/hit-afn.js')")().then(()=>"ESCAPED",()=>"BLOCKED")
