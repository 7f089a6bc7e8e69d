// expect: ^(ok\|\{\"truncated\":true|error)
const a=[];a[3e6]=1;return a
