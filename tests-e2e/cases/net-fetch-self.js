// expect: BLOCKED|ReferenceError
return fetch("/secret",{credentials:"include"}).then(r=>r.text()).then(t=>"ESCAPED "+t,e=>"BLOCKED")
