// expect: BLOCKED|SyntaxError
return import("data:application/json,1",{with:{type:"json"}}).then(()=>"ESCAPED",()=>"BLOCKED")
