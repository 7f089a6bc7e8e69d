// expect: BLOCKED|error
return navigator.storage.getDirectory().then(()=>"ESCAPED",()=>"BLOCKED")
