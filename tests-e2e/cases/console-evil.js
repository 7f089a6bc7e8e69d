// expect: ^ok\|3$
console.log({get x(){throw 1}},{toJSON(){for(let i=0;i<1000;i++)console.log("again")}});
console.log({toJSON(){console.log(this);return 1}});
console.log(new Proxy({},{get(){throw 2},ownKeys(){throw 3}}),Symbol("s"),1n,{toString(){throw 4}});
console.log("x".repeat(1e7),Object.create(null));
return 3
