-- Asks Headlight about the links of messages before they are delivered.
--
-- Only links leave this server, never the text around them. A message with a
-- dangerous link goes back to its sender; one with a suspicious link gets a
-- warning. If Headlight does not answer in time, the message is delivered as it
-- is. Messages of one session stay in their order.
--
-- docs/prosody.md of Headlight says how it is set up. Prosody 0.12.

local async = require "util.async";
local http = require "net.http";
local id = require "util.id";
local jid = require "util.jid";
local json = require "util.json";
local now = require "util.time".now;
local st = require "util.stanza";
local timer = require "util.timer";

local url = module:get_option_string("headlight_url", "http://127.0.0.1:8080");
local token = module:get_option_string("headlight_token");
-- Seconds after which a message is delivered unchecked.
local patience = module:get_option_number("headlight_timeout", 2);
-- Seconds after a message during which a changed verdict reaches who got it.
local watch = module:get_option_number("headlight_watch", 900);
local actions = {
	suspicious = module:get_option_string("headlight_suspicious", "warn");
	dangerous = module:get_option_string("headlight_dangerous", "block");
};
for level, action in pairs(actions) do
	if action ~= "block" and action ~= "warn" and action ~= "pass" then
		error(("headlight_%s: %q is not block, warn or pass"):format(level, action));
	end
end

local xmlns = "urn:headlight:warning:0";
local xmlns_xhtml = "http://www.w3.org/1999/xhtml";
local xmlns_xhtml_im = "http://jabber.org/protocol/xhtml-im";
local xmlns_retract = "urn:xmpp:message-retract:1";
local xmlns_moderate = "urn:xmpp:message-moderate:1";
local xmlns_report = "urn:xmpp:reporting:1";

-- Of one message, no more than Headlight takes in one question; stanzas of clients
-- have at most 256 KB. What is beyond is not asked about.
local max_links, max_link, max_bytes = 1000, 8 * 1024, 400 * 1024;
local max_watched = 10000; -- messages; the oldest are forgotten first
local rest = 10; -- seconds without questions after one that was not answered in time

local rank = { safe = 1, unknown = 2, suspicious = 3, dangerous = 4 };

---- Links ----------------------------------------------------------------

-- Attributes that hold links: XHTML-IM, SIMS (XEP-0385), references (XEP-0372),
-- stateless file sharing (XEP-0447). What xmlns, node or var hold is a name.
local link_attributes = { "href", "src", "uri", "url", "target" };

local function trim(word)
	local trimmed = word:gsub("^[%(%[{'\"*_~]+", "");
	repeat
		local before = trimmed;
		trimmed = trimmed:gsub("[%.,;:!%?'\"*_~]+$", "");
		-- A closing bracket belongs to the link if it was opened in it.
		if trimmed:find("%)$") and not trimmed:find("(", 1, true) or trimmed:find("%]$") and not trimmed:find("[", 1, true)
			or trimmed:find("}$") then
			trimmed = trimmed:sub(1, -2);
		end
	until trimmed == before;
	return trimmed;
end

local schemes = { "[hH][tT][tT][pP][sS]?://", "[fF][tT][pP]://" };

-- Calls add with the links in a word: what begins with a scheme, wherever in the
-- word, and www.host or host/path, which clients make links of.
local function links_in(word, add)
	local found = false;
	for _, scheme in ipairs(schemes) do
		local at = word:find(scheme);
		while at do
			found = true;
			if not add(trim(word:sub(at, at + max_link - 1))) then return; end
			at = word:find(scheme, at + 1);
		end
	end
	if found then return; end
	word = trim(word:sub(1, max_link));
	if word:find("^[wW][wW][wW]%.[^%.]") or word:find("^[^@/%.]+%.[^@/]*%a%a+/") or word:find("^[^@/%.]+%.[^@/]*%a%a+:%d+/") then
		add(word);
	end
end

-- Unicode's blanks and marks of no width, which end a link.
local blanks = { "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80[\x80-\x8f\xa8-\xaf]", "\xe2\x81\x9f", "\xe3\x80\x80" };

-- Adds the links of an element and all below it, in any namespace.
local function gather(element, links, seen)
	local function add(link)
		if not seen[link] then
			if #links == max_links or (links.bytes or 0) + #link > max_bytes then return false; end
			seen[link] = true;
			links.bytes = (links.bytes or 0) + #link;
			links[#links + 1] = link;
		end
		return true;
	end
	for _, name in ipairs(link_attributes) do
		local value = element.attr[name];
		if value then
			links_in((value:gsub("%s", "")), add);
		end
	end
	for _, child in ipairs(element) do
		if type(child) == "table" then
			gather(child, links, seen);
		elseif child:find("[%./]") then
			for _, blank in ipairs(blanks) do
				child = child:gsub(blank, " ");
			end
			for word in child:gmatch("[^%s<>]+") do
				links_in(word, add);
			end
		end
	end
	return links;
end

---- Questions --------------------------------------------------------------

local function headers()
	return { ["Content-Type"] = "application/json", ["Authorization"] = token and "Bearer " .. token or nil };
end

local resting_until = 0;

-- Asks about links and calls done once: with the verdicts, or with nil if there
-- was no answer in time.
local function ask(links, done)
	if now() < resting_until then
		return done(nil);
	end
	local answered, request = false, nil;
	local function finish(verdicts, problem, down)
		if answered then return; end
		answered = true;
		if problem then
			module:log("warn", "a message passes unchecked: %s", problem);
		end
		if down then -- not everybody is to wait for it in turn
			resting_until = now() + rest;
			module:log("warn", "messages pass unchecked for %d seconds", rest);
		end
		done(verdicts);
		if request and request.cancel then request:cancel("timeout"); end
	end
	timer.add_task(patience, function ()
		finish(nil, ("no answer within %g seconds"):format(patience), true);
	end);
	local list = {};
	for i, link in ipairs(links) do list[i] = link; end
	request = http.request(url .. "/v1/check", { method = "POST", headers = headers(), body = json.encode({ links = list }) }, function (body, code)
		request = nil;
		local answer = code == 200 and json.decode(body);
		if type(answer) == "table" and type(answer.verdicts) == "table" then
			return finish(answer.verdicts);
		end
		finish(nil, ("Headlight answers %s"):format(code), code == 0);
	end);
end

-- The worst of the verdicts, nil if there are none.
local function worst_of(verdicts)
	local worst;
	for _, v in ipairs(verdicts or {}) do
		if not worst or (rank[v.level] or 0) > (rank[worst.level] or 0) then
			worst = v;
		end
	end
	return worst;
end

local function host_of(verdict)
	return (verdict.inner or verdict.canonical or ""):match("^%a[%w+.-]*://([^/?#]*)") or "?";
end

local function describe(level, threat, host)
	local what = threat and threat ~= "" and (" (%s)"):format(threat) or "";
	return ("the link to %s is %s%s"):format(host, level, what);
end

---- What was delivered -------------------------------------------------------

-- Messages with links that may yet turn out to be bad, shared by all hosts: by
-- the ids of verdicts, by room and message, and in their order.
local watched = module:shared("/*/headlight/watched");
watched.by_verdict = watched.by_verdict or {};
watched.by_message = watched.by_message or {};
watched.order = watched.order or {};
watched.first = watched.first or 1;
watched.last = watched.last or 0;

local function forget_old()
	while watched.first <= watched.last do
		local m = watched.order[watched.first];
		if watched.last - watched.first < max_watched and now() - m.time <= watch then
			return;
		end
		for _, v in ipairs(m.verdicts) do
			local list = watched.by_verdict[v.id];
			for i = #list, 1, -1 do
				if list[i] == m then table.remove(list, i); end
			end
			if #list == 0 then watched.by_verdict[v.id] = nil; end
		end
		if watched.by_message[m.key] == m then watched.by_message[m.key] = nil; end
		watched.order[watched.first] = nil;
		watched.first = watched.first + 1;
	end
end

local function message_key(to, message_id)
	return jid.bare(to) .. "\n" .. (message_id or "");
end

-- Remembers a message that goes on.
local function remember(stanza, verdicts)
	local to = stanza.attr.to or jid.bare(stanza.attr.from);
	local origin_id = stanza:get_child("origin-id", "urn:xmpp:sid:0");
	local m = {
		time = now(), from = stanza.attr.from, to = to, type = stanza.attr.type;
		id = origin_id and origin_id.attr.id or stanza.attr.id;
		key = message_key(to, stanza.attr.id), host = module.host, verdicts = {};
	};
	local seen = {};
	for _, v in ipairs(verdicts) do
		if v.level ~= "safe" and v.id and v.id ~= "" and not seen[v.id] then
			seen[v.id] = true;
			m.verdicts[#m.verdicts + 1] = { id = v.id, link = v.link, level = v.level };
		end
	end
	if #m.verdicts == 0 or watch <= 0 then return; end
	watched.last = watched.last + 1;
	watched.order[watched.last] = m;
	watched.by_message[m.key] = m;
	for _, v in ipairs(m.verdicts) do
		watched.by_verdict[v.id] = watched.by_verdict[v.id] or {};
		table.insert(watched.by_verdict[v.id], m);
	end
	forget_old();
end

-- A room gives its messages ids of its own, which a retraction needs.
module:hook("muc-broadcast-message", function (event)
	local m = watched.by_message[message_key(event.room.jid, event.stanza.attr.id)];
	local sid = event.stanza:get_child_with_attr("stanza-id", "urn:xmpp:sid:0", "by", event.room.jid);
	if m and sid then
		m.room_id = sid.attr.id;
	end
end, -100); -- after mod_muc_mam

local function add_warning(stanza, change)
	return stanza:tag("warning", { xmlns = xmlns, level = change.to, host = change.host, id = change.id }):up();
end

-- Tells who got a message that a link in it has turned out to be bad.
local function take_back(m, change)
	local block = actions[change.to] == "block";
	local text = ("Warning: in an earlier message %s."):format(describe(change.to, nil, change.host));
	local room;
	if m.type == "groupchat" then
		local component = prosody.hosts[jid.host(m.to)];
		local muc = component and component.modules and component.modules.muc;
		room = muc and muc.get_room_from_jid(jid.bare(m.to));
		if not room then return; end -- a room of another server
	end
	local notice = st.message({ from = room and room.jid or m.from, to = not room and m.to or nil, type = m.type, id = id.medium() });
	if block and room and m.room_id then -- XEP-0425
		notice:tag("retract", { xmlns = xmlns_retract, id = m.room_id })
			:tag("moderated", { xmlns = xmlns_moderate, by = room.jid }):up()
			:text_tag("reason", text):up();
	elseif block and not room and m.id then -- XEP-0424
		notice:tag("retract", { xmlns = xmlns_retract, id = m.id }):up()
			:tag("fallback", { xmlns = "urn:xmpp:fallback:0", ["for"] = xmlns_retract }):up();
	elseif not room then -- in nobody's name but ours
		notice.attr.from = module.host;
	end
	notice:text_tag("body", text);
	add_warning(notice, change);
	notice:tag("store", { xmlns = "urn:xmpp:hints" }):up();
	module:log("info", "a link to %s in a message of %g seconds ago is now %s", change.host, now() - m.time, change.to);
	if room then
		room:broadcast_message(notice);
	else
		prosody.core_post_stanza(prosody.hosts[module.host], notice);
	end
end

local function changed(change)
	local action = actions[change.to];
	if not action or action == "pass" or (rank[change.to] or 0) <= (rank[change.from] or 0) then return; end
	forget_old();
	local list = watched.by_verdict[change.id];
	for _, m in ipairs(list or {}) do
		-- Each host has a listener, and tells of the messages to which it belongs.
		if m.host == module.host and not m.told then
			m.told = true;
			take_back(m, change);
		end
	end
end

---- Changes of verdicts ------------------------------------------------------

local unloaded = false;
local last_event;

-- Listens to the stream of changed verdicts, server-sent events, and comes back
-- when it breaks off.
local function listen()
	if unloaded then return; end
	local buffer = "";
	local function line(text)
		local data = text:match("^data: (.*)");
		last_event = text:match("^id: (.*)") or last_event;
		local change = data and json.decode(data);
		if type(change) == "table" and change.id then
			changed(change);
		end
	end
	local h = headers();
	h["Last-Event-ID"] = last_event;
	http.request(url .. "/v1/changes", { headers = h, streaming_handler = function (response)
		if response.code ~= 200 then return; end
		return { write = function (_, data)
			buffer = buffer .. data;
			for text in buffer:gmatch("([^\n]*)\n") do
				line(text);
			end
			buffer = buffer:match("[^\n]*$");
			return true;
		end };
	end }, function ()
		module:add_timer(2, listen);
	end);
end

if watch > 0 then
	module:add_timer(0, listen);
end

function module.unload()
	unloaded = true;
end

---- Messages -----------------------------------------------------------------

-- Stanzas that were looked at: a message passes several hosts. Modules between
-- them may put a copy in its place, so the event is marked as well.
local checked = module:shared("/*/headlight/checked");
if not getmetatable(checked) then
	setmetatable(checked, { __mode = "k" });
end

local function append_text(stanza, text)
	local bodies = 0;
	for body in stanza:childtags("body") do
		body:text("\n\n" .. text); -- at the end: offsets of references stay right
		bodies = bodies + 1;
	end
	local html = stanza:get_child("html", xmlns_xhtml_im);
	local body = html and html:get_child("body", xmlns_xhtml);
	if body then
		body:tag("p"):text(text):up();
	end
	if bodies == 0 then
		stanza:text_tag("body", text);
	end
end

-- Does what the verdicts say. True: the message is not to go on.
local function act(origin, stanza, verdicts)
	checked[stanza] = true;
	local worst = worst_of(verdicts);
	if not worst then return; end
	local action = actions[worst.level] or "pass";
	local text = describe(worst.level, worst.threat, host_of(worst));
	if action == "block" then
		module:log("info", "message not delivered: %s, id %s", text, worst.id);
		local reply = st.error_reply(stanza, "modify", "policy-violation", ("Not delivered: %s, id %s."):format(text, worst.id));
		if origin.type == "c2s" and not origin.destroyed then
			origin.send(reply);
		else
			module:send(reply);
		end
		return true;
	end
	if action == "warn" then
		append_text(stanza, ("Warning: %s."):format(text));
		add_warning(stanza, { to = worst.level, host = host_of(worst), id = worst.id });
	end
	remember(stanza, verdicts);
end

-- Messages that wait because their origin has no coroutine to wait in: for each
-- origin a queue, so that they stay in order.
local waiting = setmetatable({}, { __mode = "k" });

local function next_waiting(origin)
	local queue = waiting[origin];
	while queue[1] do
		local entry = queue[1];
		if #entry.links > 0 and not entry.asked then
			entry.asked = true;
			return ask(entry.links, function (verdicts)
				entry.verdicts = verdicts;
				entry.links = {};
				next_waiting(origin);
			end);
		end
		table.remove(queue, 1);
		if not act(origin, entry.stanza, entry.verdicts) then
			prosody.core_post_stanza(origin, entry.stanza);
		end
	end
	waiting[origin] = nil;
end

local senders = { c2s = true, s2sin = true, s2sout = true, component = true };

local function on_message(event)
	local origin, stanza = event.origin, event.stanza;
	if checked[stanza] or event.headlight_checked or stanza.attr.type == "error" or not senders[origin.type] then return; end
	local links = gather(stanza, {}, {});
	if not async.ready() then
		if #links == 0 and not waiting[origin] then return; end
		-- It is kept, and so must not be what the caller goes on to use.
		local entry = { stanza = st.clone(stanza), links = links };
		if waiting[origin] then
			table.insert(waiting[origin], entry);
		else
			waiting[origin] = { entry };
			next_waiting(origin);
		end
		return true;
	end
	event.headlight_checked = true;
	if #links == 0 then return; end
	local wait, done = async.waiter();
	local verdicts;
	ask(links, function (answer)
		verdicts = answer;
		done();
	end);
	wait();
	if act(origin, stanza, verdicts) then return true; end
	if origin.destroyed then -- its sender has left since, and what he said still counts
		module:send(stanza);
		return true;
	end
end

-- Before mod_mam (0) and mod_carbons (-0.5), so that what is blocked is neither
-- archived nor copied; after mod_privacy_lists (500).
for _, to in ipairs({ "bare", "full", "host" }) do
	module:hook("pre-message/" .. to, on_message, 150);
	module:hook("message/" .. to, on_message, 150);
end

---- Reports ------------------------------------------------------------------

-- What XEP-0377's reasons mean of a link.
local assertions = { ["urn:xmpp:reporting:spam"] = "spam", ["urn:xmpp:reporting:abuse"] = "unwanted" };

local function report(links, assertion)
	ask(links, function (verdicts)
		for _, v in ipairs(verdicts or {}) do
			-- A message holds good links beside the bad one.
			if v.level ~= "safe" and v.canonical and v.canonical ~= "" then
				local body = json.encode({ url = v.inner or v.canonical, assertion = assertion });
				http.request(url .. "/v1/reports", { method = "POST", headers = headers(), body = body }, function (_, code)
					if code ~= 201 then
						module:log("warn", "a report was not taken: Headlight answers %s", tostring(code));
					end
				end);
			end
		end
	end);
end

-- A user blocks and reports somebody (XEP-0377): the links of the messages that
-- he names, or else of the late messages from there to him.
if token then
	local archive = module:open_store("archive", "archive");
	module:hook("iq-set/self/urn:xmpp:blocking:block", function (event)
		local user = event.origin.username;
		local bare = jid.join(user, module.host);
		for item in event.stanza.tags[1]:childtags("item") do
			local r = item:get_child("report", xmlns_report);
			local assertion = r and assertions[r.attr.reason];
			if assertion and item.attr.jid then
				local links, seen, named = {}, {}, false;
				for sid in r:childtags("stanza-id", "urn:xmpp:sid:0") do
					named = true;
					local found = archive and archive.get and archive:get(user, sid.attr.id);
					if found and jid.bare(found.attr.from) == jid.bare(item.attr.jid) then
						gather(found, links, seen);
					end
				end
				for i = watched.first, named and #links > 0 and 0 or watched.last do
					local m = watched.order[i];
					if jid.compare(m.from, item.attr.jid) and jid.bare(m.to) == bare then
						for _, v in ipairs(m.verdicts) do
							if not seen[v.link] and #links < max_links then
								seen[v.link] = true;
								links[#links + 1] = v.link;
							end
						end
					end
				end
				if #links > 0 then report(links, assertion); end
			end
		end
	end, 10); -- before mod_blocklist answers
end

module:log("info", "asks %s about links", url);
