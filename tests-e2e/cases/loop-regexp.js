// expect: ^timeout
// limit-ms: 900
return /^(a+)+$/.test("a".repeat(60)+"b")
