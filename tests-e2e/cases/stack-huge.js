// expect: ^error\|Error: m$
const e=new Error("m");e.stack="x".repeat(1e8);throw e
