// expect: ^timeout
// limit-ms: 900
const {buffer}=new WebAssembly.Memory({initial:1,maximum:1,shared:true});return Atomics.waitAsync(new Int32Array(buffer),0,0).value
