// expect: done
const t=Date.now();let n=0;while(Date.now()-t<300){try{self.postMessage({n:n++,p:"x".repeat(1000)})}catch{n++}};return "done"
