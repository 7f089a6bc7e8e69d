// expect: ^timeout
return new Promise(()=>{})
