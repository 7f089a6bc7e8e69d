// Tells who comes with a browser that cannot run the page what it lacks, in a language that every
// browser understands. The program uses what compilers take for granted: memory.fill, sign extension,
// saturating conversions, references.
(function () {
  var program = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1, 10, 25, 1, 23, 0, 65, 0,
    65, 0, 65, 0, 252, 11, 0, 67, 0, 0, 0, 0, 252, 0, 192, 26, 208, 114, 26, 11
  ];
  var lacks = '';
  if (!('noModule' in document.createElement('script'))) {
    lacks = 'scripts in modules';
  } else if (typeof WebAssembly !== 'object' || !WebAssembly.validate(new Uint8Array(program))) {
    lacks = 'a WebAssembly that is recent enough';
  }
  if (lacks) {
    document.body.setAttribute('data-state', 'blocked');
    document.getElementById('headline').textContent = 'This browser is too old';
    document.getElementById('explanation').textContent = 'It lacks ' + lacks +
      '. Chrome or Edge from version 96, Firefox from 114, or Safari from 15 will do.';
    document.getElementById('self-test').textContent = 'Nothing runs here.';
  }
})();
