// expect: ^timeout
// limit-ms: 900
return new Promise(r=>setTimeout(()=>r("late"),2500))
