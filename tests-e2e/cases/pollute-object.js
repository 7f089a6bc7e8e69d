// expect: ^ok\|1$
Object.prototype.polluted=1;Array.prototype.polluted=1;Promise.prototype.then=function(){return this};JSON.stringify=()=>"evil";return 1
