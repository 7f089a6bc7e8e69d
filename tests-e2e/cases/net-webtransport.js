// expect: BLOCKED|ReferenceError
const t=new WebTransport("https://127.0.0.1:CAN/x");return t.ready.then(()=>"ESCAPED",()=>"BLOCKED")
