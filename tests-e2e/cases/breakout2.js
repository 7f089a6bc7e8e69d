// expect: ^error\|compile: SyntaxError
}); globalThis.__evil=1; (function(){
