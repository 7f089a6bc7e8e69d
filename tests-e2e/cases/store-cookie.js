// expect: BLOCKED
return typeof document==="undefined"&&typeof cookieStore==="undefined"?"BLOCKED":"ESCAPED"
