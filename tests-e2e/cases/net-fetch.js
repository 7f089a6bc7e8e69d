// expect: BLOCKED|ReferenceError
return fetch("http://127.0.0.1:CAN/hit-fetch").then(()=>"ESCAPED",e=>"BLOCKED")
