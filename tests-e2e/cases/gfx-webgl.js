// expect: ^ok\|\[null,null\]$
return ["webgl", "webgl2"].map((kind) => new OffscreenCanvas(1, 1).getContext(kind))
