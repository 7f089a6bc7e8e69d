// expect: BLOCKED|ReferenceError
const x=new XMLHttpRequest();x.open("GET","http://127.0.0.1:CAN/hit-xhr",false);try{x.send();return "ESCAPED"}catch(e){return "BLOCKED"}
