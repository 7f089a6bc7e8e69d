// expect: ^ok\|\"drawn\"$
const context=new OffscreenCanvas(8,8).getContext("2d");
context.filter="url(http://127.0.0.1:CAN/hit-filter.svg#f)";
context.font="10px x, url(http://127.0.0.1:CAN/hit-font)";
context.fillRect(0,0,8,8);context.fillText("x",1,8);
await new Promise(r=>setTimeout(r,200));
return "drawn"
