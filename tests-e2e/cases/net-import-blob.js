// expect: BLOCKED|error
const url=URL.createObjectURL(new Blob(["export default 1"],{type:"text/javascript"}));return import(url).then(()=>"ESCAPED",()=>"BLOCKED")
