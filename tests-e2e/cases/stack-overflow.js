// expect: ^error.*(RangeError|InternalError)
const f=()=>f()+1;return f()
