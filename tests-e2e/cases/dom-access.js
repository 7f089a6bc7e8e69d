// expect: undefined,undefined,undefined,undefined,undefined
return [typeof window,typeof document,typeof parent,typeof top,typeof opener].join()
