// expect: ^ok\|"(null|X)"$
// shards: 2
try{return String(arguments.callee.caller)}catch(e){return "X"}
