// expect: ^ok\|"undefined,undefined,undefined"$
return [typeof navigator.gpu, typeof GPU, typeof GPUAdapter].join()
