// expect: BLOCKED|ReferenceError
const p=new RTCPeerConnection({iceServers:[{urls:"stun:127.0.0.1:CAN"}]});p.createDataChannel("x");return p.createOffer().then(o=>p.setLocalDescription(o)).then(()=>"ESCAPED")
