// expect: BLOCKED
Error.prepareStackTrace=(error,frames)=>frames.some(f=>f.getFunction()||f.getThis())?"ESCAPED":"BLOCKED";
const {stack}=new Error("x");
return stack==="ESCAPED"?stack:"BLOCKED"
