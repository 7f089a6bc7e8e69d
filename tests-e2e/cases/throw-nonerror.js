// expect: ^error
throw {toString(){throw 1}}
