// expect: ^error\|compile: SyntaxError
return 1 /*
