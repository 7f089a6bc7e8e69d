// expect: ^ok\|\[null,null,0\]$
return [NaN,Infinity,-0]
