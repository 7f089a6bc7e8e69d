// expect: ^timeout
// limit-ms: 900
return new Proxy({},{get(){for(;;);}})
