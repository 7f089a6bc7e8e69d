// expect: ^timeout
// limit-ms: 900
const again={then(r){r(again)}};return again
