// expect: ^timeout
// limit-ms: 900
let x=3n;for(;;)try{x=x*x}catch{x=3n}
