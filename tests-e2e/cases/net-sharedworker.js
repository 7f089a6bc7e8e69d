// expect: ^error
new SharedWorker("data:text/javascript,1");return "ESCAPED"
