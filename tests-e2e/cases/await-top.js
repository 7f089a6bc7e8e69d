// expect: ^ok\|5$
const x=await Promise.resolve(5);return x
