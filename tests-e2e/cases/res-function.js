// expect: ^ok\|\{"nonSerializable":true,"type":"function"
return ()=>1
