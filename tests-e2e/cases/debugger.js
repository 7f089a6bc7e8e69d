// expect: ^ok\|3$
debugger;return 3
