// expect: BLOCKED
return {toJSON:new Function("try{const c=arguments.callee.caller;return c?'ESCAPED '+c:'BLOCKED'}catch{return 'BLOCKED'}")}
