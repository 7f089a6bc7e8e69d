// expect: BLOCKED|error
return WebAssembly.compileStreaming(fetch("http://127.0.0.1:CAN/hit.wasm")).then(()=>"ESCAPED",()=>"BLOCKED")
