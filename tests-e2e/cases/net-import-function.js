// expect: BLOCKED
return new Function("return import('http://127.0.0.1:CAN/hit-fn.js')")().then(()=>"ESCAPED",()=>"BLOCKED")
