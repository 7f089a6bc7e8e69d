// expect: ^timeout
for(;;){}
