// expect: ^error|^ok\|1
self.close();return 1
