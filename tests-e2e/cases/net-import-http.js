// expect: BLOCKED
return import("http://127.0.0.1:CAN/hit-imp.js").then(()=>"ESCAPED",()=>"BLOCKED")
