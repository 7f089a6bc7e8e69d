// expect: ^timeout
return new Promise(r=>setTimeout(()=>r("late"),2500))
