// expect: ^error\|Error: m$
const e=new Error("m");Object.defineProperty(e,"stack",{get(){return {toString(){for(;;);}}}});throw e
