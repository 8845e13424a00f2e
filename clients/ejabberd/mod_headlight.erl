%%% Asks Headlight about the links of messages before they are delivered.
%%%
%%% Only links leave this server, never the text around them. A message with a
%%% dangerous link goes back to its sender; one with a suspicious link gets a
%%% warning. If Headlight does not answer in time, the message is delivered as it
%%% is. Messages of one session stay in their order: a question holds up the
%%% process of its session, and no other.
%%%
%%% docs/ejabberd.md of Headlight says how it is set up. ejabberd 23.01.
-module(mod_headlight).

-behaviour(gen_mod).
-behaviour(gen_server).

-include("xmpp.hrl").

-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3]).
-export([user_send_packet/1, s2s_receive_packet/1, component_send_packet/1, muc_filter_message/3]).

-define(NS_WARNING, <<"urn:headlight:warning:0">>).
-define(NS_RETRACT, <<"urn:xmpp:message-retract:1">>).
-define(NS_MODERATE, <<"urn:xmpp:message-moderate:1">>).
-define(NS_REPORT, <<"urn:xmpp:reporting:1">>).

%% Of one message, no more than Headlight takes in one question. What is beyond
%% is not asked about.
-define(MAX_LINKS, 1000).
-define(MAX_LINK, 8192).
-define(MAX_BYTES, 409600).
-define(MAX_WATCHED, 10000). % links of messages that may turn out to be bad
-define(REST, 10000).        % ms without questions after one that was not answered in time

%% The questions and the stream of changes have HTTP clients of their own: in one
%% the questions would wait behind the stream.
-define(QUESTIONS, mod_headlight).
-define(CHANGES, mod_headlight_changes).

%%%---- Configuration ---------------------------------------------------------

start(Host, Opts) -> gen_mod:start_child(?MODULE, Host, Opts).

stop(Host) -> gen_mod:stop_child(?MODULE, Host).

reload(_Host, _New, _Old) -> ok. % options are read at each message

depends(_Host, _Opts) -> [].

mod_options(_Host) ->
    [{url, <<"http://127.0.0.1:8080">>},
     {token, <<>>},
     {timeout, timer:seconds(2)},
     {watch, timer:minutes(15)},
     {suspicious, warn},
     {dangerous, block}].

mod_opt_type(url) -> econf:url();
mod_opt_type(token) -> econf:binary();
mod_opt_type(timeout) -> econf:timeout(second);
mod_opt_type(watch) -> econf:timeout(second);
mod_opt_type(suspicious) -> econf:enum([block, warn, pass]);
mod_opt_type(dangerous) -> econf:enum([block, warn, pass]).

mod_doc() -> #{}.

opt(Host, Name) -> gen_mod:get_module_opt(Host, ?MODULE, Name).

%%%---- The process of a host ---------------------------------------------------

%% It owns the table of messages that may turn out to be bad, and listens to
%% changes of verdicts.
-record(state, {host, table, request, buffer = <<>>, last}).

init([Host | _]) ->
    process_flag(trap_exit, true),
    start_client(?QUESTIONS),
    start_client(?CHANGES),
    httpc:set_options([{max_sessions, 64}, {max_keep_alive_length, 1}], ?QUESTIONS),
    Table = ets:new(table(Host), [named_table, public, bag]),
    ejabberd_hooks:add(user_send_packet, Host, ?MODULE, user_send_packet, 40),
    ejabberd_hooks:add(s2s_receive_packet, Host, ?MODULE, s2s_receive_packet, 40),
    ejabberd_hooks:add(component_send_packet, ?MODULE, component_send_packet, 40),
    ejabberd_hooks:add(muc_filter_message, Host, ?MODULE, muc_filter_message, 90), % after mod_mam
    self() ! listen,
    erlang:send_after(60000, self(), forget),
    {ok, #state{host = Host, table = Table}}.

start_client(Profile) ->
    case inets:start(httpc, [{profile, Profile}]) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok
    end.

terminate(_Reason, #state{host = Host}) ->
    ejabberd_hooks:delete(user_send_packet, Host, ?MODULE, user_send_packet, 40),
    ejabberd_hooks:delete(s2s_receive_packet, Host, ?MODULE, s2s_receive_packet, 40),
    ejabberd_hooks:delete(component_send_packet, ?MODULE, component_send_packet, 40),
    ejabberd_hooks:delete(muc_filter_message, Host, ?MODULE, muc_filter_message, 90).

handle_call(_Request, _From, S) -> {reply, ok, S}.

handle_cast(_Msg, S) -> {noreply, S}.

code_change(_Old, S, _Extra) -> {ok, S}.

handle_info(listen, #state{host = Host} = S) ->
    Resume = [{"last-event-id", Id} || Id <- [S#state.last], Id /= undefined],
    Request = {address(Host, "/v1/changes"), [{"connection", "close"} | Resume] ++ authorization(Host)},
    {ok, Id} = httpc:request(get, Request, [{timeout, infinity}], [{sync, false}, {stream, self}], ?CHANGES),
    {noreply, S#state{request = Id, buffer = <<>>}};
handle_info({http, {Id, stream_start, _}}, #state{request = Id} = S) -> {noreply, S};
handle_info({http, {Id, stream, Part}}, #state{request = Id, buffer = Buffer} = S) ->
    Lines = binary:split(<<Buffer/binary, Part/binary>>, <<"\n">>, [global]),
    {noreply, lists:foldl(fun line/2, S#state{buffer = lists:last(Lines)}, lists:droplast(Lines))};
handle_info({http, {Id, _End, _}}, #state{request = Id} = S) -> {noreply, again(S)};
handle_info({http, {Id, _Failed}}, #state{request = Id} = S) -> {noreply, again(S)};
handle_info(forget, #state{host = Host, table = Table} = S) ->
    Before = now_ms() - opt(Host, watch),
    ets:select_delete(Table, [{{'_', '$1', '_'}, [{'<', '$1', Before}], [true]}]),
    erlang:send_after(60000, self(), forget),
    {noreply, S};
handle_info(_, S) -> {noreply, S}.

again(S) ->
    erlang:send_after(2000, self(), listen),
    S#state{request = undefined}.

%% A line of the stream of server-sent events.
line(<<"id: ", Id/binary>>, S) -> S#state{last = binary_to_list(Id)};
line(<<"data: ", Data/binary>>, #state{host = Host} = S) ->
    try jiffy:decode(Data, [return_maps]) of
        #{<<"id">> := _, <<"from">> := _, <<"to">> := _} = Change -> changed(Host, Change);
        _ -> ok
    catch _:_ -> ok
    end,
    S;
line(_, S) -> S.

%%%---- Messages ----------------------------------------------------------------

user_send_packet({#message{} = Msg, #{lserver := Host} = State}) -> pass(judge(Msg, Host), State);
user_send_packet({#iq{type = set} = IQ, #{lserver := Host}} = Acc) ->
    reports(IQ, Host),
    Acc;
user_send_packet(Acc) -> Acc.

s2s_receive_packet({#message{} = Msg, State}) -> pass(judge(Msg, host_of(Msg)), State);
s2s_receive_packet(Acc) -> Acc.

component_send_packet({#message{} = Msg, State}) -> pass(judge(Msg, host_of(Msg)), State);
component_send_packet(Acc) -> Acc.

pass(drop, State) -> {stop, {drop, State}};
pass(Msg, State) -> {Msg, State}.

%% The host of ours that a message is for, undefined if it is for none with this
%% module.
host_of(#message{to = #jid{lserver = Server}}) ->
    try ejabberd_router:host_of_route(Server) of
        Host -> case gen_mod:is_loaded(Host, ?MODULE) of true -> Host; false -> undefined end
    catch _:_ -> undefined
    end.

%% The message as it is to go on, or drop.
judge(Msg, undefined) -> Msg;
judge(#message{type = error} = Msg, _Host) -> Msg;
judge(Msg, Host) ->
    case links(xmpp:encode(Msg)) of
        [] -> Msg;
        Links -> act(Msg, Host, ask(Links, Host))
    end.

act(Msg, _Host, []) -> Msg;
act(#message{lang = Lang} = Msg, Host, Verdicts) ->
    Worst = lists:foldl(fun(V, W) -> case rank(V) > rank(W) of true -> V; false -> W end end, hd(Verdicts), tl(Verdicts)),
    Text = describe(maps:get(<<"level">>, Worst), maps:get(<<"threat">>, Worst, <<>>), link_host(Worst)),
    Id = maps:get(<<"id">>, Worst, <<>>),
    case action(Host, maps:get(<<"level">>, Worst)) of
        block ->
            error_logger:info_msg("message not delivered: ~ts, id ~ts", [Text, Id]),
            ejabberd_router:route_error(Msg, xmpp:err_policy_violation(<<"Not delivered: ", Text/binary, ", id ", Id/binary, ".">>, Lang)),
            drop;
        warn ->
            warn(remember(Msg, Host, Verdicts), <<"Warning: ", Text/binary, ".">>, warning(maps:get(<<"level">>, Worst), link_host(Worst), Id));
        pass -> remember(Msg, Host, Verdicts)
    end.

rank(#{<<"level">> := Level}) -> rank(Level);
rank(<<"safe">>) -> 1;
rank(<<"unknown">>) -> 2;
rank(<<"suspicious">>) -> 3;
rank(<<"dangerous">>) -> 4;
rank(_) -> 0.

action(Host, <<"suspicious">>) -> opt(Host, suspicious);
action(Host, <<"dangerous">>) -> opt(Host, dangerous);
action(_Host, _) -> pass.

describe(Level, <<>>, LinkHost) -> <<"the link to ", LinkHost/binary, " is ", Level/binary>>;
describe(Level, Threat, LinkHost) -> <<(describe(Level, <<>>, LinkHost))/binary, " (", Threat/binary, ")">>.

link_host(#{<<"canonical">> := Canonical} = V) ->
    case re:run(maps:get(<<"inner">>, V, Canonical), "^[a-z][a-z0-9+.-]*://([^/?#]*)", [{capture, [1], binary}]) of
        {match, [LinkHost]} -> LinkHost;
        nomatch -> <<"?">>
    end.

warning(Level, LinkHost, Id) ->
    #xmlel{name = <<"warning">>, attrs = [{<<"xmlns">>, ?NS_WARNING}, {<<"level">>, Level}, {<<"host">>, LinkHost}, {<<"id">>, Id}]}.

%% Puts the warning at the end of what is shown: offsets of references stay right.
warn(#message{body = []} = Msg, Text, Warning) -> warn(Msg#message{body = [#text{data = <<>>}]}, Text, Warning);
warn(#message{body = Bodies} = Msg, Text, Warning) ->
    Msg#message{
        body = [B#text{data = case B#text.data of <<>> -> Text; Data -> <<Data/binary, "\n\n", Text/binary>> end} || B <- Bodies],
        sub_els = [warn_html(El, Text) || El <- Msg#message.sub_els] ++ [Warning]}.

warn_html(#xmlel{name = <<"html">>, children = Children} = Html, Text) ->
    P = #xmlel{name = <<"p">>, children = [{xmlcdata, Text}]},
    Html#xmlel{children = [case C of
        #xmlel{name = <<"body">>, children = Inner} -> C#xmlel{children = Inner ++ [P]};
        _ -> C
    end || C <- Children]};
warn_html(El, _Text) -> El.

%%%---- Links -------------------------------------------------------------------

%% The links of an element and all below it, in any namespace, each once.
links(El) ->
    {Links, _} = lists:foldl(fun(Link, {Found, Bytes}) ->
        case length(Found) < ?MAX_LINKS andalso Bytes + byte_size(Link) =< ?MAX_BYTES of
            true -> {[Link | Found], Bytes + byte_size(Link)};
            false -> {Found, Bytes}
        end
    end, {[], 0}, lists:usort(gather(El))),
    Links.

%% Attributes that hold links: XHTML-IM, SIMS (XEP-0385), references (XEP-0372),
%% stateless file sharing (XEP-0447). What xmlns, node or var hold is a name.
gather({xmlcdata, Text}) ->
    %% Blanks of Unicode and marks of no width end a link.
    case re:run(Text, "[^\\s<>\\x{a0}\\x{1680}\\x{2000}-\\x{200f}\\x{2028}-\\x{202f}\\x{205f}\\x{3000}]+", [unicode, global, {capture, first, binary}]) of
        {match, Words} -> lists:append([in_word(W) || [W] <- Words]);
        nomatch -> []
    end;
gather(#xmlel{attrs = Attrs, children = Children}) ->
    InAttrs = [in_word(re:replace(V, "\\s", "", [global, {return, binary}])) || {Name, V} <- Attrs,
        lists:member(Name, [<<"href">>, <<"src">>, <<"uri">>, <<"url">>, <<"target">>])],
    lists:append(InAttrs ++ [gather(C) || C <- Children]).

%% What begins with a scheme, wherever in the word, and www.host or host/path,
%% which clients make links of.
in_word(Word) ->
    case re:run(Word, "(?i)(?:https?|ftp)://", [global, {capture, first, index}]) of
        {match, Starts} ->
            [trim(binary:part(Word, At, min(?MAX_LINK, byte_size(Word) - At))) || [{At, _}] <- lists:sublist(Starts, ?MAX_LINKS)];
        nomatch ->
            Bare = trim(binary:part(Word, 0, min(?MAX_LINK, byte_size(Word)))),
            case re:run(Bare, "^(?:(?i)www\\.[^.]|[^@/.]+\\.[^@/]*[a-zA-Z]{2}(?::[0-9]+)?/)", [{capture, none}]) of
                match -> [Bare];
                nomatch -> []
            end
    end.

%% Takes off brackets and marks around; a closing bracket belongs to the link if
%% it was opened in it.
trim(Word) ->
    Inner = re:replace(Word, "^[(\\[{'\"*_~]+|[.,;:!?'\"*_~}]+$", "", [global, {return, binary}]),
    Unopened = fun(Open, Close) ->
        Inner /= <<>> andalso binary:last(Inner) == Close andalso binary:match(Inner, Open) == nomatch
    end,
    case Unopened(<<"(">>, $)) orelse Unopened(<<"[">>, $]) of
        true -> trim(binary:part(Inner, 0, byte_size(Inner) - 1));
        false -> Inner
    end.

%%%---- Questions ---------------------------------------------------------------

%% The verdicts on links; none if there was no answer in time.
ask(Links, Host) ->
    case persistent_term:get({?MODULE, resting_until}, 0) > now_ms() of
        true -> [];
        false ->
            Timeout = opt(Host, timeout),
            case post(Host, "/v1/check", #{links => Links}, Timeout) of
                {ok, 200, #{<<"verdicts">> := Verdicts}} -> Verdicts;
                {ok, Code, _} ->
                    error_logger:warning_msg("a message passes unchecked: Headlight answers ~p", [Code]),
                    [];
                {error, Reason} -> % not everybody is to wait for it in turn
                    error_logger:warning_msg("messages pass unchecked for ~p ms: ~p", [?REST, Reason]),
                    persistent_term:put({?MODULE, resting_until}, now_ms() + ?REST),
                    []
            end
    end.

post(Host, Path, Json, Timeout) ->
    Request = {address(Host, Path), authorization(Host), "application/json", iolist_to_binary(jiffy:encode(Json))},
    case httpc:request(post, Request, [{timeout, Timeout}, {connect_timeout, Timeout}], [{body_format, binary}], ?QUESTIONS) of
        {ok, {{_, Code, _}, _, Body}} ->
            try {ok, Code, jiffy:decode(Body, [return_maps])}
            catch _:_ -> {ok, Code, #{}}
            end;
        {error, Reason} -> {error, Reason}
    end.

address(Host, Path) -> binary_to_list(opt(Host, url)) ++ Path.

authorization(Host) ->
    case opt(Host, token) of
        <<>> -> [];
        Token -> [{"authorization", "Bearer " ++ binary_to_list(Token)}]
    end.

now_ms() -> erlang:system_time(millisecond).

%%%---- What was delivered --------------------------------------------------------

table(Host) -> gen_mod:get_module_proc(Host, ?MODULE).

%% Remembers a message that goes on, by the ids of the verdicts on its links. In it
%% is what a room needs to know of that.
remember(#message{from = From, to = To, type = Type, id = Id} = Msg, Host, Verdicts) ->
    Table = table(Host),
    Watched = [{V, now_ms(), {From, To, Type, Id, Link}}
     || #{<<"id">> := V, <<"level">> := Level, <<"link">> := Link} <- Verdicts,
        V /= <<>>, Level /= <<"safe">>, To /= undefined, ets:info(Table, size) < ?MAX_WATCHED],
    ets:insert(Table, Watched),
    case Type of
        groupchat -> xmpp:put_meta(Msg, ?MODULE, {Table, Watched});
        _ -> Msg
    end.

%% A room gives the messages that it keeps ids of its own, which a retraction needs.
muc_filter_message(#message{meta = #{?MODULE := {Table, Watched}, mam_archived := true, stanza_id := Id}} = Msg, _Room, _Nick) ->
    try
        [begin
            ets:delete_object(Table, W),
            ets:insert(Table, {V, Time, {From, To, groupchat, {kept, integer_to_binary(Id)}, Link}})
         end || {V, Time, {From, To, _, _, Link}} = W <- Watched, lists:member(W, ets:lookup(Table, V))]
    catch error:badarg -> ok % the module has been stopped
    end,
    Msg;
muc_filter_message(Acc, _Room, _Nick) -> Acc.

changed(Host, #{<<"id">> := Id, <<"host">> := LinkHost, <<"from">> := Before, <<"to">> := Level}) ->
    Action = action(Host, Level),
    case Action /= pass andalso rank(Level) > rank(Before) of
        true ->
            Since = now_ms() - opt(Host, watch),
            Messages = lists:usort([Message || {_, Time, Message} <- ets:take(table(Host), Id), Time >= Since]),
            [take_back(Host, M, Action, Level, LinkHost, Id) || M <- Messages];
        false -> ok
    end.

%% Tells who got a message that a link in it has turned out to be bad.
take_back(Host, {From, To, Type, MsgId, _Link}, Action, Level, LinkHost, Id) ->
    Text = <<"Warning: in an earlier message ", (describe(Level, <<>>, LinkHost))/binary, ".">>,
    error_logger:info_msg("a link to ~ts in a delivered message is now ~ts", [LinkHost, Level]),
    Notice = #message{id = p1_rand:get_string(), type = Type, from = From, to = To, body = [#text{data = Text}], sub_els = [warning(Level, LinkHost, Id)]},
    case {Type, Action} of
        {groupchat, _} ->
            case mod_muc:find_online_room(To#jid.luser, To#jid.lserver) of
                {ok, Room} ->
                    [retract(Host, Room, To, Kept, Text, warning(Level, LinkHost, Id)) || {kept, Kept} <- [MsgId], Action == block],
                    mod_muc_room:service_message(Room, Text); % for who does not know retractions, or comes later
                error -> ok % a room of another server
            end;
        {_, block} when MsgId /= <<>> -> % XEP-0424
            Retract = #xmlel{name = <<"retract">>, attrs = [{<<"xmlns">>, ?NS_RETRACT}, {<<"id">>, MsgId}]},
            Fallback = #xmlel{name = <<"fallback">>, attrs = [{<<"xmlns">>, <<"urn:xmpp:fallback:0">>}, {<<"for">>, ?NS_RETRACT}]},
            ejabberd_router:route(Notice#message{sub_els = [Retract, Fallback | Notice#message.sub_els]});
        _ -> % in nobody's name but ours
            ejabberd_router:route(Notice#message{from = jid:make(Host)})
    end.

%% Retracts a message of a room in the room's name (XEP-0425), for who is there and
%% for the archive.
retract(Host, Room, RoomJid, Kept, Text, Warning) ->
    Retract = #xmlel{name = <<"retract">>, attrs = [{<<"xmlns">>, ?NS_RETRACT}, {<<"id">>, Kept}], children = [
        #xmlel{name = <<"moderated">>, attrs = [{<<"xmlns">>, ?NS_MODERATE}, {<<"by">>, jid:encode(RoomJid)}]},
        #xmlel{name = <<"reason">>, children = [{xmlcdata, Text}]}]},
    Notice = #message{id = p1_rand:get_string(), type = groupchat, from = RoomJid, to = RoomJid, sub_els = [Retract, Warning, #hint{type = store}]},
    {ok, State} = mod_muc_room:get_state(Room),
    case ejabberd_hooks:run_fold(muc_filter_message, Host, Notice, [State, <<>>]) of
        #message{} = Archived ->
            [ejabberd_router:route(xmpp:set_to(Archived, jid:decode(Occupant)))
             || {Occupant, _Nick, _Role} <- mod_muc_admin:get_room_occupants(RoomJid#jid.luser, RoomJid#jid.lserver)];
        _ -> ok
    end.

%%%---- Reports -------------------------------------------------------------------

%% A user blocks and reports somebody (XEP-0377): the links of the late messages
%% from there to him are reported, but for those that are held safe.
reports(#iq{from = User} = IQ, Host) ->
    case opt(Host, token) of
        <<>> -> ok;
        _ ->
            #xmlel{children = Children} = xmpp:encode(IQ),
            [report(User, Item, Host)
             || #xmlel{name = <<"block">>, attrs = As, children = Items} <- Children, lists:member({<<"xmlns">>, <<"urn:xmpp:blocking">>}, As),
                #xmlel{name = <<"item">>} = Item <- Items]
    end.

report(User, Item, Host) ->
    Report = fxml:get_subtag_with_xmlns(Item, <<"report">>, ?NS_REPORT),
    Assertion = case Report of
        #xmlel{} ->
            case fxml:get_tag_attr_s(<<"reason">>, Report) of
                <<"urn:xmpp:reporting:spam">> -> <<"spam">>;
                <<"urn:xmpp:reporting:abuse">> -> <<"unwanted">>;
                _ -> undefined
            end;
        false -> undefined
    end,
    try {Assertion, jid:tolower(jid:remove_resource(jid:decode(fxml:get_tag_attr_s(<<"jid">>, Item))))} of
        {undefined, _} -> ok;
        {_, Reported} ->
            Me = jid:tolower(jid:remove_resource(User)),
            Links = lists:usort([Link || {_, _, {From, To, _, _, Link}} <- ets:tab2list(table(Host)),
                jid:tolower(jid:remove_resource(From)) == Reported, jid:tolower(jid:remove_resource(To)) == Me]),
            spawn(fun() -> [post(Host, "/v1/reports", #{url => L, assertion => Assertion}, 10000) || L <- Links] end)
    catch _:_ -> ok
    end.
