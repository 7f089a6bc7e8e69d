// expect: BLOCKED
return /invite|worker\?/.test(JSON.stringify(performance.getEntries?.()??[]))?"ESCAPED":"BLOCKED"
