// expect: ^ok\|4$
for(let i=0;i<1000;i++)EventTarget.prototype.dispatchEvent.call(self,new Event(i%2?"error":"unhandledrejection"));return 4
