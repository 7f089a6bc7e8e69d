// expect: ^ok\|\{"nonSerializable":true,"type":"bigint"
return 10n
