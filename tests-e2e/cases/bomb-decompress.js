// expect: ^ok\|67108864$|^timeout
const zeros=new ReadableStream({start(c){for(let i=0;i<64;i++)c.enqueue(new Uint8Array(1<<20));c.close()}});
let bytes=0;
for await(const chunk of zeros.pipeThrough(new CompressionStream("gzip")).pipeThrough(new DecompressionStream("gzip")))bytes+=chunk.length;
return bytes
