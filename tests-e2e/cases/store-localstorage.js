// expect: ^error
return localStorage.getItem("invite")
