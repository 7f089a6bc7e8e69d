// expect: ^ok\|1$
eval("1\n//# sourceMappingURL=http://127.0.0.1:CAN/hit-map\n//# sourceURL=http://127.0.0.1:CAN/hit-source");return new Promise(r=>setTimeout(()=>r(1),100))
