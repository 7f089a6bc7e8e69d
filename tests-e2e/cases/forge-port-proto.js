// expect: ^ok\|7$
MessagePort.prototype.postMessage=function(x){globalThis.__p=this};MessagePort.prototype.start=null;EventTarget.prototype.addEventListener=null;return 7
