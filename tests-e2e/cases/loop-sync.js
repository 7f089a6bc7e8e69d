// expect: ^timeout
// limit-ms: 900
for(;;){}
