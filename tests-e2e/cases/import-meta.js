// expect: ^error\|compile: SyntaxError
return import.meta.url
