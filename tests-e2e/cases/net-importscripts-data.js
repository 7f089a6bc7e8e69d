// expect: ^error
importScripts("data:text/javascript,self.__evil=1");return "ESCAPED"
