// expect: ^error\|Error: x{100}
throw new Error("x".repeat(5e7))
