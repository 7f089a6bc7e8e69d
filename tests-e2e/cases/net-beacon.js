// expect: BLOCKED|TypeError
return navigator.sendBeacon("http://127.0.0.1:CAN/hit-beacon","x")?"ESCAPED":"BLOCKED"
