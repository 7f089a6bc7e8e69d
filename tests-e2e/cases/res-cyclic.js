// expect: ^ok\|\{"nonSerializable":true,"type":"object"
const a={};a.a=a;return a
