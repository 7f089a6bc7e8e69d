// expect: ^ok\|""$
return ["reportError","ReportingObserver","PerformanceObserver","ReportBody","NavigationPreloadManager","PushManager","SyncManager","BackgroundFetchManager","fetchLater"].filter(k=>k in globalThis).join()
