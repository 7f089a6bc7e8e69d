// expect: ^ok\|\{"nonSerializable":true,"type":"object"
return {get x(){throw new Error("boo")}}
