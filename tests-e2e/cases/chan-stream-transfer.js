// expect: ^(ok\|\"own\"|error)
const stream=new ReadableStream({start(c){c.enqueue("own");c.close()}});
const moved=structuredClone(stream,{transfer:[stream]});
return (await moved.getReader().read()).value
