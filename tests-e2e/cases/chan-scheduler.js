// expect: ^ok\|"undefined,undefined,undefined"$
return [typeof scheduler,typeof TaskController,typeof ServiceWorkerContainer].join()
