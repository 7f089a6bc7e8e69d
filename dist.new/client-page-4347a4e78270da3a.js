import init, { start_page } from './client-4bb9e3e5f37b744f.js';
await init();
start_page();
