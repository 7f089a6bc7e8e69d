// expect: ^ok\|\[null,null,null\]$
let asked=0;
const kind={toString(){return asked++?"webgl":"2d"}};
return [kind,"bitmaprenderer","webgpu"].map(it=>new OffscreenCanvas(1,1).getContext(it))
