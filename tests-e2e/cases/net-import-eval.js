// expect: BLOCKED
return (0,eval)("import('http://127.0.0.1:CAN/hit-eval.js')").then(()=>"ESCAPED",()=>"BLOCKED")
