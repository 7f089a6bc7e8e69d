// expect: ^error
return navigator.locks.request("x",()=>"ESCAPED")
