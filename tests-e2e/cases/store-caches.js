// expect: BLOCKED|error
return caches.open("x").then(()=>"ESCAPED",()=>"BLOCKED")
