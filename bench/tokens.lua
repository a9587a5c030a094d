-- For wrk: sends the tokens of a file in turn. A line is a bearer token, a Cookie header behind a tab, or both. An empty
-- file sends none. Every arm uses this script, so that the load costs the same in all of them. With ONCE=1 a run that
-- comes to the end of the file says so: a token was used twice.
local requests, next = {}, 0
wrapped = 0 -- global, so that done can ask for it

function init(args)
	for line in io.lines(os.getenv("TOKENS")) do
		local token, cookie = line:match("^([^\t]*)\t?(.*)$")
		local headers = { ["Host"] = wrk.headers["Host"] }
		if token ~= "" then
			headers["Authorization"] = "Bearer " .. token
		end
		if cookie ~= "" then
			headers["Cookie"] = cookie
		end
		requests[#requests + 1] = wrk.format("GET", nil, headers)
	end
	if #requests == 0 then
		requests[1] = wrk.format("GET")
	end
end

function request()
	next = next + 1
	if next > #requests then
		next, wrapped = 1, wrapped + 1
	end
	return requests[next]
end

local threads = {}

function setup(thread)
	threads[#threads + 1] = thread
end

function done()
	if os.getenv("ONCE") ~= "1" then
		return
	end
	for _, thread in ipairs(threads) do
		if thread:get("wrapped") > 0 then
			print("Tokens used twice")
		end
	end
end
