// expect: ^error\|compile: SyntaxError
with({}){return 1}
