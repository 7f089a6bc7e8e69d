// expect: error|sent
new BroadcastChannel("ctl").postMessage({forged:1});return "sent"
