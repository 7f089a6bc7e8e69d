// expect: ^ok\|"undefined"$
// shards: 2
if(args===1){const g=Object.getOwnPropertyDescriptor(MessageEvent.prototype,"data");Object.defineProperty(MessageEvent.prototype,"data",{get(){globalThis.__port=this.target;return g.get.call(this)}});return 1}return typeof globalThis.__port
