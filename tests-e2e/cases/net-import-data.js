// expect: BLOCKED
return import("data:text/javascript,export default 1").then(()=>"ESCAPED",()=>"BLOCKED")
