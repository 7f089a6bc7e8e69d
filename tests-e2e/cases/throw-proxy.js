// expect: ^(timeout|error)
// limit-ms: 900
throw new Proxy({},{has(){return true},get(){for(;;);}})
