// expect: ^ok\|"hardwareConcurrency null error"$
let change="changed";try{navigator.locks=1}catch{change="error"}return [Reflect.ownKeys(navigator).join(),Object.getPrototypeOf(navigator),change].map(String).join(" ")
