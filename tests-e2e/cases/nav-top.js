// expect: tried
try{top.location="http://127.0.0.1:CAN/hit-top"}catch(e){} try{open("http://127.0.0.1:CAN/hit-pop")}catch(e){} try{location="http://127.0.0.1:CAN/hit-loc"}catch(e){} return "tried"
