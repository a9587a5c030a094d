// An application that takes its paths from `new URL`, as many do with Node's http server.
const http = require('node:http');

http.createServer((request, response) => {
	const url = new URL(request.url, 'http://localhost');
	response.end(url.pathname);
}).listen(Number(process.argv[2]), '127.0.0.1');
