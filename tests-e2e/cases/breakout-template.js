// expect: ^error\|compile: SyntaxError
return `
