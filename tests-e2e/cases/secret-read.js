// expect: ^ok\|""$
const s=[];for(const k of ["__SECRET_KEY__","INVITE","wasm","parent","top"])try{s.push(String(eval(k)))}catch{};return s.join()
