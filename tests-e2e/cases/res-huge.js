// expect: ^ok\|\{"truncated":true,"type":"string"
// limit-ms: 20000
return "x".repeat(100e6)
