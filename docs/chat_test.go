//go:build clients

package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// between stands between a chat server and Headlight: it remembers what is
// asked, and can be made to hang.
type between struct {
	*httptest.Server
	mu    sync.Mutex
	asked bytes.Buffer
	hung  chan struct{} // nil if it does not hang; closed when it stops to
}

func standBetween(t *testing.T, target string) *between {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.FlushInterval = -1
	b := &between{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		fmt.Fprintf(&b.asked, "%s %s %s\n", r.Method, r.URL, body)
		hung := b.hung
		b.mu.Unlock()
		if hung != nil && r.URL.Path == "/v1/check" {
			<-hung
		}
		r.Body, r.Host = io.NopCloser(bytes.NewReader(body)), u.Host
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { b.CloseClientConnections(); b.Close() })
	return b
}

func (b *between) hang(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if yes {
		b.hung = make(chan struct{})
	} else {
		close(b.hung)
		b.hung = nil
	}
}

func (b *between) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked.String()
}

// chat is what XMPP clients are told to do, and what arrives at them.
type chat struct {
	*daemon
	in io.Writer
}

func startChat(t *testing.T, port, componentPort string, names ...string) *chat {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	script, err := filepath.Abs("xmpp_client.py")
	if err != nil {
		t.Fatal(err)
	}
	// Debian's Python, for its slixmpp.
	c := &chat{runWith(t, r, t.TempDir(), "/usr/bin/python3", append([]string{script, port, componentPort}, names...)...), w}
	r.Close()
	for _, name := range names {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "component:"), ":")
		c.sees(name, "is there")
	}
	return c
}

func (c *chat) send(as, xml string, args ...any) {
	c.t.Helper()
	c.tell(map[string]any{"as": as, "xml": fmt.Sprintf(xml, args...)})
}

// times sends a message a number of times and gives the median time that one
// took to arrive.
func (c *chat) times(n int, as, xml string) (median time.Duration) {
	c.t.Helper()
	before := len(c.got(as, "median "))
	c.tell(map[string]any{"as": as, "xml": xml, "times": n})
	await(c.t, "the messages have come", func() bool { return len(c.got(as, "median ")) > before })
	var ms float64
	if _, err := fmt.Sscanf(c.got(as, "median ")[before], "median %g", &ms); err != nil {
		c.t.Fatal(err)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

func (c *chat) tell(command map[string]any) {
	c.t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.t.Fatal(err)
	}
}

// got are the stanzas that have come to a user and hold a text.
func (c *chat) got(name, part string) (stanzas []string) {
	for line := range strings.Lines(c.out.String()) {
		if s, ok := strings.CutPrefix(line, name+" "); ok && strings.Contains(s, part) {
			stanzas = append(stanzas, s)
		}
	}
	return stanzas
}

// sees waits for such a stanza and gives the first.
func (c *chat) sees(name, part string) (stanza string) {
	c.t.Helper()
	await(c.t, fmt.Sprintf("%s sees %q", name, part), func() bool {
		if s := c.got(name, part); len(s) > 0 {
			stanza = s[0]
		}
		return stanza != ""
	})
	return stanza
}

const (
	alice, bob, bot = "alice@chat.example", "bob@chat.example", "bot.chat.example"
	room            = "room@rooms.chat.example"
)

// exchange has clients talk, and looks at what arrives. Carol is on a server that
// Eve's server asks; both are "" if there is none.
func exchange(t *testing.T, c *chat, head server, between *between, carol, eve string) {
	t.Helper()
	const bad, odd = "http://phishing.headlight.example/", "http://suspicious.headlight.example/"
	blocked := func(name, as, xml string) {
		t.Helper()
		id := strings.ReplaceAll(name, " ", "-")
		c.send(as, "%s", strings.Replace(xml, "<message", "<message id='"+id+"'", 1))
		if e := c.sees(as, `id="`+id+`"`); !strings.Contains(e, "policy-violation") || !strings.Contains(e, "Not delivered: the link to phishing.headlight.example is dangerous (phishing), id ") {
			t.Errorf("%s: its sender gets %s", name, e)
		}
		// What comes later has come, and that has not.
		from := "" // which a component has to say
		if as == bot {
			from = "from='" + bot + "' "
		}
		c.send(as, "<message %sto='%s' type='chat'><body>after %s</body></message>", from, bob, id)
		c.sees(bob, "after "+id)
		if got := c.got(bob, `id="`+id+`"`); len(got) > 0 {
			t.Errorf("%s: was delivered: %s", name, got)
		}
	}
	const to = "<message to='" + bob + "' type='chat'>"

	c.send(alice, to+"<body>plain</body></message>")
	c.sees(bob, "plain")
	c.send(alice, to+"<body>whisper http://good.example/?a=b&amp;c whisper</body></message>")
	if s := c.sees(bob, "http://good.example/"); !strings.Contains(s, "<body>whisper http://good.example/?a=b&amp;c whisper</body>") {
		t.Errorf("a good link is delivered as %s", s)
	}
	c.send(alice, to+"<body>whisper %sx whisper</body></message>", odd)
	if s := c.sees(bob, odd+"x"); !strings.Contains(s, "whisper&#10;&#10;Warning: the link to suspicious.headlight.example is suspicious (phishing).</body>") || !strings.Contains(s, `level="suspicious"`) {
		t.Errorf("a suspicious link is delivered as %s", s)
	}
	blocked("a link", alice, to+"<body>whisper "+bad+"a</body></message>")
	blocked("in brackets", alice, to+"<body>(see "+bad+"b).</body></message>")
	blocked("without a scheme", alice, to+"<body>phishing.headlight.example/c</body></message>")
	blocked("behind a blank of no width", alice, to+"<body>whisper\u200b"+bad+"d</body></message>")
	blocked("a correction", alice, to+"<replace id='x' xmlns='urn:xmpp:message-correct:0'/><body>"+bad+"e</body></message>")
	blocked("out of band", alice, to+"<body>whisper</body><x xmlns='jabber:x:oob'><url>"+bad+"f</url></x></message>")
	blocked("XHTML", alice, to+"<body>whisper</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p><a href='"+bad+"g'>whisper</a></p></body></html></message>")
	blocked("SIMS", alice, to+"<body>whisper</body><reference xmlns='urn:xmpp:reference:0' type='data'><media-sharing xmlns='urn:xmpp:sims:1'><sources><reference xmlns='urn:xmpp:reference:0' type='data' uri='"+bad+"h'/></sources></media-sharing></reference></message>")
	blocked("of a component", bot, "<message from='"+bot+"' to='"+bob+"' type='chat'><body>"+bad+"i</body></message>")
	// A component that has no coroutine to wait in keeps its order.
	for i := range 20 {
		link := ""
		if i%3 == 0 {
			link = "http://good.example/"
		}
		c.send(bot, "<message from='%s' to='%s' type='chat'><body>in order %02d %s</body></message>", bot, bob, i, link)
	}
	c.sees(bob, "in order 19")
	if got := c.got(bob, "in order"); !slices.IsSortedFunc(got, func(a, b string) int {
		return strings.Compare(a[strings.Index(a, "in order"):], b[strings.Index(b, "in order"):])
	}) {
		t.Errorf("the component's messages came out of order: %s", got)
	}

	// From another server.
	if eve != "" {
		fromAfar(t, c, carol, eve, bad)
	}

	// A room.
	for _, who := range []string{alice, bob} {
		c.send(who, "<presence to='%s/%s'><x xmlns='http://jabber.org/protocol/muc'/></presence>", room, who[:3])
		c.sees(who, `code="110"`)
		if who == alice {
			c.send(alice, "<iq id='room' to='%s' type='set'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>", room)
			c.sees(alice, `id="room"`)
		}
	}
	c.send(bob, "<message to='%s' type='groupchat'><body>in the room http://good.example/</body></message>", room)
	c.sees(alice, "in the room")
	blocked("in a room", alice, "<message to='"+room+"' type='groupchat'><body>"+bad+"j</body></message>")
	if got := c.got(bob, bad); len(got) > 0 {
		t.Errorf("the room got %s", got)
	}

	// A link that turns out to be bad after it was delivered.
	c.send(alice, "<message id='early' to='%s' type='chat'><body>http://later.example/a</body></message>", bob)
	c.sees(bob, "http://later.example/a")
	c.send(alice, "<message id='early-room' to='%s' type='groupchat'><body>http://later.example/b</body></message>", room)
	roomID := regexp.MustCompile(`<stanza-id [^>]*id="([^"]+)"`).FindStringSubmatch(c.sees(bob, "http://later.example/b"))
	if roomID == nil {
		t.Fatal("the room gives no stanza-id")
	}
	await(t, "Prosody listens for changes", func() bool { return strings.Contains(between.all(), "/v1/changes") })
	req, err := http.NewRequest(http.MethodPost, head.url+"/v1/reports", strings.NewReader(`{"reports":[{"url":"http://later.example/a","assertion":"phishing"},{"url":"http://later.example/b","assertion":"phishing"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer 0123456789abcdef")
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("report: %v %v", resp, err)
	}
	const warning = "Warning: in an earlier message the link to later.example is dangerous."
	if s := c.sees(bob, `urn:xmpp:message-retract:1" id="early"`); !strings.Contains(s, warning) {
		t.Errorf("the retraction says %s", s)
	}
	retracted := func(who, part string) {
		t.Helper()
		await(t, who+" sees that the room takes it back", func() bool {
			return slices.ContainsFunc(c.got(who, `urn:xmpp:message-retract:1" id="`+roomID[1]+`"`), func(s string) bool {
				return strings.Contains(s, `from="`+room+`"`) && strings.Contains(s, `urn:xmpp:message-moderate:1" by="`+room+`"`) && strings.Contains(s, warning) && strings.Contains(s, part)
			})
		})
	}
	retracted(alice, "")
	retracted(bob, "")
	// And who reads the room's archive later.
	c.send(bob, "<iq id='archive' to='%s' type='set'><query xmlns='urn:xmpp:mam:2'/></iq>", room)
	retracted(bob, "urn:xmpp:forward:0")

	// What bob reports is evidence.
	c.send(alice, to+"<body>http://spammer.example/buy and http://en.wikipedia.org/wiki/Spam</body></message>")
	c.sees(bob, "spammer.example")
	c.send(bob, "<iq id='block' type='set'><block xmlns='urn:xmpp:blocking'><item jid='%s'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/></item></block></iq>", alice)
	c.sees(bob, `id="block"`)
	await(t, "the report is in the log", func() bool {
		return strings.Contains(head.headlight("explain", "-json", "http://spammer.example/buy"), `"assertion":"spam"`)
	})
	if x := head.headlight("explain", "-json", "http://en.wikipedia.org/wiki/Spam"); strings.Contains(x, `"assertion":"spam"`) {
		t.Error("a good link beside it is reported as well")
	}
	c.send(bob, "<iq id='unblock' type='set'><unblock xmlns='urn:xmpp:blocking'><item jid='%s'/></unblock></iq>", alice)
	c.sees(bob, `id="unblock"`)

	// What it costs, in the test's log: a message that is asked about (through
	// the proxy of the test) beside one that is not.
	for range 3 {
		t.Logf("a message takes %v, with a link %v", c.times(100, alice, to+"<body>plain</body></message>"), c.times(100, alice, to+"<body>http://good.example/</body></message>"))
	}

	// Headlight hangs: the message comes when the time is up, and nothing
	// overtakes it; the next ones do not wait.
	between.hang(true)
	began := time.Now()
	c.send(alice, to+"<body>hung 0 %s</body></message>", bad)
	for i := 1; i < 5; i++ {
		c.send(alice, to+"<body>hung %d %s</body></message>", i, []string{"", bad}[i%2])
	}
	c.sees(bob, "hung 4")
	if d := time.Since(began); d < 1900*time.Millisecond || d > 3500*time.Millisecond {
		t.Errorf("the messages were delivered after %v, want two seconds", d)
	}
	between.hang(false)
	for i, s := range c.got(bob, "hung ") {
		if !strings.Contains(s, fmt.Sprint("hung ", i)) {
			t.Errorf("message %d is %s", i, s)
		}
	}
	if asked := between.all(); strings.Contains(asked, "whisper") || strings.Contains(asked, "alice") || strings.Contains(asked, "bob") {
		t.Errorf("more than links left the server: %s", asked)
	}
}

// fromAfar has Eve write to Carol from another server.
func fromAfar(t *testing.T, c *chat, carol, eve, bad string) {
	t.Helper()
	c.send(eve, "<message id='from-afar' to='%s' type='chat'><body>%s</body></message>", carol, bad+"k")
	if e := c.sees(eve, `id="from-afar"`); !strings.Contains(e, "policy-violation") {
		t.Errorf("the sender on another server gets %s", e)
	}
	c.send(eve, "<message to='%s' type='chat'><body>good from afar http://good.example/</body></message>", carol)
	c.sees(carol, "good from afar")
	if got := c.got(carol, bad); len(got) > 0 {
		t.Errorf("from another server came %s", got)
	}
}
