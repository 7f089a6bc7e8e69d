// expect: BLOCKED|error
return performance.measureUserAgentSpecificMemory().then(()=>"ESCAPED",()=>"BLOCKED")
