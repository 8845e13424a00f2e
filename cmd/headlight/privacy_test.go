package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// marker is a secret that is put through every door. Each door has a number of
// its own, so that a find says where it came in.
const marker = "XyzzySecretQ7"

// askedFrom is the address from which all is asked: it is to be found nowhere.
var askedFrom = net.IPv4(127, 83, 61, 29)

var asker = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: askedFrom}}).DialContext}}

func marked(door int) string { return fmt.Sprintf("%s%03d", marker, door) }

// spellings are the ways in which a secret may lie about. The alignments of
// base 64 are three, of which the middle is the same wherever it stands.
func spellings(secret string) map[string]string {
	reversed := []byte(secret)
	slices.Reverse(reversed)
	swapped := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, secret)
	escaped := ""
	for i := range len(secret) {
		escaped += fmt.Sprintf("%%%02X", secret[i])
	}
	m := map[string]string{
		"raw": secret, "lower case": strings.ToLower(secret), "upper case": strings.ToUpper(secret),
		"reversed case": swapped, "reversed": string(reversed),
		"hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"URL-encoded": escaped,
	}
	for shift := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("-", shift) + secret))
		m[fmt.Sprintf("base64 at %d", shift)] = b[(shift*8+5)/6 : len(b)-len(b)%4-4]
	}
	return m
}

// finds lists the spellings of the marker in b, and the client's address.
func finds(b []byte) (found []string) {
	looked := spellings(marker)
	looked["the client's address"] = askedFrom.String()
	for name, s := range looked {
		if bytes.Contains(b, []byte(s)) {
			at := bytes.Index(b, []byte(s))
			found = append(found, fmt.Sprintf("%s: …%q…", name, b[max(0, at-60):min(len(b), at+len(s)+20)]))
		}
	}
	slices.Sort(found)
	return found
}

func TestSpellingsAreFound(t *testing.T) {
	looked := spellings(marker)
	looked["an address"] = "from=" + askedFrom.String() + ":4711"
	for name, s := range looked {
		if s == "" || len(finds([]byte("…"+s+"…"))) == 0 {
			t.Errorf("the spelling %s (%q) would not be found", name, s)
		}
	}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 30+shift) + marked(1) + "and so on"))
		if len(finds([]byte(text))) == 0 {
			t.Errorf("the secret in base 64 at alignment %d would not be found in %s", shift, text)
		}
	}
}

// Invariant 8: the text is forgotten. A marked secret goes through every entry
// point of a real server that logs all it can; afterwards no file, no log line
// and no metric holds it. Records are compressed on disk, so they are looked at
// through an export as well as raw.
func TestTextIsForgotten(t *testing.T) {
	t.Parallel()
	s := newPrivacyServer(t, "-v", "-log", "json")
	s.publish(t)
	door := s.askEverything(t)
	metrics := s.ask(t, http.MethodGet, "/metrics", "")
	s.stop(t)

	for where, b := range map[string][]byte{"the metrics": metrics, "the server's log": []byte(s.log.String()), "an export of the log": s.export(t)} {
		if len(b) == 0 {
			t.Fatalf("there is nothing in %s to look at", where)
		}
		for _, f := range finds(b) {
			t.Errorf("%s holds the secret as %s", where, f)
		}
	}
	files := 0
	s.eachFile(t, func(name string, b []byte) {
		files++
		for _, f := range finds(b) {
			t.Errorf("%s holds the secret as %s", name, f)
		}
	})
	if files < 5 {
		t.Fatalf("looked at %d files only", files)
	}
	if door < 200 {
		t.Fatalf("the secret went through %d doors only", door)
	}
	ledger := false
	s.eachFile(t, func(_ string, b []byte) {
		ledger = ledger || bytes.Contains(b, []byte(`"origin":"http://visited.example:`))
	})
	if !ledger {
		t.Error("the ledger does not hold the visit of visited.example")
	}
	if !bytes.Contains(s.export(t), []byte(`"assertion":"shows","object":{"kind":"fact","key":"server/kit-panel"}`)) {
		t.Error("the log does not hold what the server of visited.example has shown")
	}
	// The sightings of what was asked must be there, sealed, or the test looked
	// at a server that had learnt nothing.
	for _, host := range []string{"door.example", "milter.example", "sms.example"} {
		if !bytes.Contains(s.export(t), []byte(host+"/#")) {
			t.Errorf("the log holds no sealed sighting of %s", host)
		}
	}
}

// The control: what somebody reports is kept, and the test finds it.
func TestReportedURLIsKept(t *testing.T) {
	t.Parallel()
	s := newPrivacyServer(t, "-v", "-log", "json")
	s.ask(t, http.MethodPost, "/v1/reports", `{"url":"http://door.example/`+marked(0)+`","assertion":"phishing"}`)
	s.stop(t)
	if len(finds(s.export(t))) == 0 {
		t.Error("the export of the log does not hold the reported URL, or it would not be found")
	}
}

type privacyServer struct {
	*serving
	world     *outside
	dir, path string
	token     string
}

// newPrivacyServer starts a server with every door open.
func newPrivacyServer(t *testing.T, flags ...string) *privacyServer {
	t.Helper()
	p := &privacyServer{dir: t.TempDir(), path: os.Getenv("PATH"), token: "0123456789abcdef0123"}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tokens", "ann operator/ann "+p.token+"\n")
	var err error
	if p.world, err = newOutside(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.world.close)
	write("headlight.toml", "[tokens]\nfile = \"tokens\"\nappeals = false\n"+
		"[probe]\nmode = \"head\"\nexact = \"always\"\nabout = \"https://linkcheck.example/visits\"\nfrom = \"abuse@linkcheck.example\"\n"+
		"jitter = \"0\"\nresolver = [\""+p.world.dnsAddr+"\"]\nallow = [\""+p.world.webAddr+"\"]\n"+
		"[milter]\nlisten = \"127.0.0.1:0\"\nsuspicious = \"quarantine\"\n"+
		"[sms]\nlisten = \"127.0.0.1:0\"\nurl = \"http://sms.example\"\ntwilio_token_file = \"tokens\"\nvonage_secret_file = \"tokens\"\n"+
		"[lists]\nevery = \"1s\"\n[dns]\nlisten = \"127.0.0.1:0\"\nzone = \"bl.zone.example\"\nrpz = \"rpz.zone.example\"\nlookup = \"https://zone.example/why?\"\n")
	p.serving, err = startServer(p.dir, os.Environ(), p.path, append([]string{"-config", "headlight.toml"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

func (p *privacyServer) ask(t *testing.T, method, path, body string) []byte {
	t.Helper()
	return p.askWith(t, method, path, body, "Content-Type", "application/json")
}

// askWith asks with one more field in the header.
func (p *privacyServer) askWith(t *testing.T, method, path, body, name, value string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, p.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = path // as it is, however wrong
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set(name, value)
	resp, err := asker.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// askEverything puts a marked secret through every door, and says how many
// there were.
func (p *privacyServer) askEverything(t *testing.T) int {
	t.Helper()
	door := 0
	next := func() string { door++; return marked(door) }
	post := func(path, format string) {
		p.ask(t, http.MethodPost, path, strings.ReplaceAll(format, "SECRET", next()))
	}

	// A link whose server is visited: it gets the secret, and nobody else does.
	_, port, err := net.SplitHostPort(p.world.webAddr)
	if err != nil {
		t.Fatal(err)
	}
	post("/v1/check", `{"links":["http://visited.example:`+port+`/SECRET?x=SECRET"]}`)
	if r := <-p.world.heads; !strings.Contains(r.RequestURI, marker) {
		t.Errorf("the server was asked for %s, want the whole link", r.RequestURI)
	}
	for !bytes.Contains(p.ask(t, http.MethodGet, "/v1/subjects/host/visited.example", ""), []byte(`"server":{`)) {
		// what it has shown is in the log a moment later
	}
	post("/v1/check", `{"links":["http://door.example/?q=SECRET"]}`)
	p.ask(t, http.MethodGet, "/visits?line="+next()+"&host="+next()+"&time="+next(), "")
	p.ask(t, http.MethodGet, "/v1/visits/"+next(), "")

	// Text, around links and in them.
	post("/v1/scan", `{"type":"text/plain","text":"my password is SECRET, see http://door.example/a"}`)
	post("/v1/scan", `{"type":"text/plain","text":"see http://door.example/a?token=SECRET"}`)
	post("/v1/scan", `{"type":"text/plain","text":"see http://SECRET:SECRET@door.example/b"}`)
	post("/v1/scan", `{"type":"text/plain","text":"see http://door.example/SECRET/x#SECRET"}`)
	post("/v1/scan", `{"type":"text/html","text":"<title>SECRET</title><a href='http://door.example/c?SECRET' title='SECRET'>SECRET</a>"}`)
	post("/v1/scan", `{"type":"text/html","text":"<a href='data:text/html,SECRET'>x</a><a href='javascript:SECRET()'>y</a>"}`)
	post("/v1/scan", `{"type":"message/rfc822","text":"From: SECRET <SECRET@door.example>\r\nTo: SECRET@door.example\r\nSubject: SECRET\r\nMessage-ID: <SECRET@door.example>\r\nList-Unsubscribe: <http://door.example/u?SECRET>\r\nContent-Type: multipart/mixed; boundary=SECRET\r\n\r\n--SECRET\r\nContent-Type: text/plain; name=SECRET\r\n\r\nSECRET http://door.example/m?SECRET mailto:SECRET@door.example\r\n--SECRET--\r\n"}`)
	// Links alone; in every part, and what is no link.
	post("/v1/check", `{"links":["http://door.example/?SECRET"]}`)
	post("/v1/check", `{"links":["http://SECRET@door.example/"]}`)
	post("/v1/check", `{"links":["http://door.example/SECRET"]}`)
	post("/v1/check", `{"links":["http://door.example:99/x#SECRET"]}`)
	post("/v1/check", `{"links":["http://[SECRET]/", "SECRET://x", "http://door.example:SECRET/", "http://door.example/SECRET SECRET%"]}`)
	post("/v1/check", `{"links":["https://door.example/login?next=https%3A%2F%2Fdoor.example%2F%3FSECRET"]}`)
	// Bodies that are refused.
	post("/v1/check", `{"links":["http://door.example/SECRET"`)
	post("/v1/check", `{"SECRET":["http://door.example/"]}`)
	post("/v1/check", `{"links":"SECRET"}`)
	post("/v1/check", `SECRET`)
	post("/v1/scan", `{"type":"SECRET","text":"x"}`)
	post("/v1/reports", `{"url":"http://door.example/r?SECRET","assertion":"SECRET"}`)
	post("/v1/reports", `{"url":"http://[SECRET","assertion":"phishing"}`)
	post("/v1/reports", `{"url":"http://door.example/","assertion":"phishing","rater":"SECRET"}`)
	post("/v1/reports", `{"url":"http://door.example/","assertion":"phishing","time":"SECRET"}`)
	post("/v1/appeals", `{"url":"http://[SECRET"}`)
	post("/v1/appeals", `{"SECRET":"SECRET"}`)
	// Safe Browsing.
	post("/v4/threatMatches:find?key=x", `{"client":{"clientId":"SECRET"},"threatInfo":{"threatTypes":["MALWARE"],"platformTypes":["ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[{"url":"http://door.example/SECRET?SECRET"}]}}`)
	post("/v4/fullHashes:find", `{"SECRET":`)
	p.ask(t, http.MethodGet, "/v5/urls:search?key="+next()+"&urls=http://door.example/"+next(), "")
	p.ask(t, http.MethodGet, "/v5/hashList/"+next()+"?version="+next(), "")
	p.ask(t, http.MethodGet, "/v1/uris:search?threatTypes=MALWARE&uri=http://door.example/"+next(), "")
	// Paths, queries, headers, methods.
	p.ask(t, http.MethodGet, "/"+next(), "")
	p.ask(t, http.MethodGet, "/v1/subjects/url/door.example%2F"+next(), "")
	p.ask(t, http.MethodGet, "/v1/subjects/"+next()+"/x", "")
	p.askChanges(t, next())
	p.ask(t, http.MethodGet, "/healthz?"+next(), "")
	p.ask(t, next(), "/v1/check", "")
	p.askHeaders(t, next())
	// A wrong token is a secret as well.
	good := p.token
	p.token = next()
	p.ask(t, http.MethodPost, "/v1/reports", `{"url":"http://door.example/","assertion":"phishing"}`)
	p.token = good
	p.askByCommand(t, next())
	for _, link := range []string{"http://milter.example/a?SECRET", "http://phishing.headlight.example/SECRET", "http://suspicious.headlight.example/#SECRET", "http://[SECRET"} {
		p.askMilter(t, strings.ReplaceAll(link, "SECRET", next()), marked(door))
	}
	p.askSMS(t, next)
	p.askDNS(t, next)
	p.askLists(t, next)
	p.askSafeBrowsing(t, next)
	return door
}

func dialFrom(from net.IP, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	if network == "udp" {
		d.LocalAddr = &net.UDPAddr{IP: from}
	}
	return d.Dial(network, addr)
}

// publish has a name listed, and waits until all who publish say so: a secret is
// then asked for below a name that is there.
func (p *privacyServer) publish(t *testing.T) {
	t.Helper()
	p.ask(t, http.MethodPost, "/v1/reports", `{"subject":{"kind":"host","key":"listed.example"},"assertion":"phishing"}`)
	late := time.Now().Add(time.Minute)
	for !bytes.Contains(p.ask(t, http.MethodGet, "/lists/domains.txt", ""), []byte("listed.example")) {
		if time.Now().After(late) {
			t.Fatal("listed.example is not published")
		}
	}
	q := new(wire.Msg).SetQuestion("listed.example.bl.zone.example.", wire.TypeA)
	for a := p.exchange(t, "udp", q); len(a.Answer) == 0; a = p.exchange(t, "udp", q) {
		if time.Now().After(late) {
			t.Fatal("listed.example is not answered")
		}
	}
}

// exchange asks DNS a question, and wants an answer.
func (p *privacyServer) exchange(t *testing.T, network string, q *wire.Msg) *wire.Msg {
	t.Helper()
	conn, err := dialFrom(askedFrom, network, p.serving.dns)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := wire.Client{Net: network, Timeout: time.Minute}
	a, _, err := ask.ExchangeWithConn(q, &wire.Conn{Conn: conn, UDPSize: 4096})
	if err != nil {
		t.Fatalf("%v: %v", q.Question, err)
	}
	return a
}

// askDNS asks for secret names in every zone and in none, for all sorts of records,
// and puts secrets wherever else a message has room.
func (p *privacyServer) askDNS(t *testing.T, next func() string) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"SECRET.bl.zone.example.", "SECRET.listed.example.bl.zone.example.", "SECRET.listed.example.rpz.zone.example.", "SECRET.elsewhere.example."} {
			for _, qtype := range []uint16{wire.TypeA, wire.TypeTXT, wire.TypeAAAA, wire.TypeANY, wire.TypeMX, wire.TypeAXFR, wire.TypeIXFR} {
				p.exchange(t, network, new(wire.Msg).SetQuestion(strings.ReplaceAll(name, "SECRET", next()), qtype))
			}
		}
		q := new(wire.Msg).SetQuestion(next()+".bl.zone.example.", wire.TypeA).SetEdns0(1232, false)
		q.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_LOCAL{Code: wire.EDNS0LOCALSTART, Data: []byte(next())}, &wire.EDNS0_NSID{Code: wire.EDNS0NSID, Nsid: hex.EncodeToString([]byte(next()))}}
		p.exchange(t, network, q)
		q = new(wire.Msg).SetNotify(next() + ".rpz.zone.example.")
		q.Answer = []wire.RR{&wire.TXT{Hdr: wire.RR_Header{Name: next() + ".example.", Rrtype: wire.TypeTXT, Class: wire.ClassINET}, Txt: []string{next()}}}
		p.exchange(t, network, q)
		signed, _, err := wire.TsigGenerate(new(wire.Msg).SetQuestion("rpz.zone.example.", wire.TypeAXFR).SetTsig(next()+".", wire.HmacSHA256, 300, time.Now().Unix()), base64.StdEncoding.EncodeToString([]byte(next())), "", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range [][]byte{signed, []byte(strings.Repeat(next(), 3)), signed[:40]} {
			conn, err := dialFrom(askedFrom, network, p.serving.dns)
			if err != nil {
				t.Fatal(err)
			}
			if network == "tcp" {
				raw = append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...)
			}
			if _, err := conn.Write(raw); err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		// The questions before have been answered when this one is.
		p.exchange(t, network, new(wire.Msg).SetQuestion("bl.zone.example.", wire.TypeSOA))
	}
}

// askLists asks for lists that are there and that are not.
func (p *privacyServer) askLists(t *testing.T, next func() string) {
	t.Helper()
	for _, path := range []string{"/lists/SECRET", "/lists/SECRET/SECRET.txt", "/lists/domains.txt?SECRET=SECRET", "/lists/?SECRET", "/lists/urls.txt?since=SECRET"} {
		p.ask(t, http.MethodGet, strings.ReplaceAll(path, "SECRET", next()), "")
	}
	for _, header := range []string{"If-None-Match", "If-Modified-Since", "Range", "If-Range", "Accept-Encoding", "User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Forwarded", "X-Real-IP"} {
		p.askWith(t, http.MethodGet, "/lists/domains.txt", "", header, next())
	}
}

// askSafeBrowsing asks for URLs and hashes, by every method, in both forms.
func (p *privacyServer) askSafeBrowsing(t *testing.T, next func() string) {
	t.Helper()
	hash := func() string { return base64.StdEncoding.EncodeToString([]byte(next() + strings.Repeat("-", 16))) }
	for _, body := range []string{
		`{"client":{"clientId":"SECRET","clientVersion":"SECRET"},"threatInfo":{"threatTypes":["MALWARE","SOCIAL_ENGINEERING"],"platformTypes":["ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[{"url":"http://listed.example/SECRET?SECRET"},{"url":"http://[SECRET"},{"hash":"HASH"}]}}`,
		`{"client":{"clientId":"SECRET"},"clientStates":["HASH"],"threatInfo":{"threatTypes":["MALWARE"],"platformTypes":["ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[{"hash":"HASH"}]}}`,
		`{"client":{"clientId":"SECRET"},"listUpdateRequests":[{"threatType":"MALWARE","platformType":"ANY_PLATFORM","threatEntryType":"URL","state":"HASH"}]}`,
		`{"threatType":"MALWARE","platformType":"ANY_PLATFORM","entry":{"url":"http://listed.example/SECRET"},"resources":[{"url":"http://SECRET.example/SECRET","remoteIp":"127.83.61.29","referrer":"SECRET"}],"userInfo":{"userId":"SECRET"}}`,
		`{"SECRET":"SECRET"`, `SECRET`,
	} {
		for _, method := range []string{"threatMatches:find", "fullHashes:find", "threatListUpdates:fetch", "threatHits"} {
			text := strings.ReplaceAll(strings.ReplaceAll(body, "SECRET", next()), "HASH", hash())
			p.ask(t, http.MethodPost, "/v4/"+method+"?key="+next(), text)
			p.askWith(t, http.MethodPost, "/v4/"+method+"?key="+next(), text, "Content-Type", "application/x-protobuf")
		}
	}
	query := func(s string) string { return url.QueryEscape(s) }
	for _, path := range []string{
		"/v4/encodedUpdates/" + query(hash()), "/v4/encodedFullHashes/" + query(hash()), "/v4/threatListUpdates:fetch?$req=" + query(hash()), "/v4/" + next(),
		"/v5/hashes:search?hashPrefixes=" + query(base64.StdEncoding.EncodeToString([]byte(next())[:4])) + "&hashPrefixes=" + query(hash()),
		"/v5/urls:search?urls=" + query("http://listed.example/"+next()) + "&urls=" + query("http://["+next()), "/v5/urls:search?urls=" + query("http://listed.example/"+next()) + "&alt=json",
		"/v5/hashList/" + next(), "/v5/hashList/mw-4b?version=" + query(hash()), "/v5/hashLists:batchGet?names=" + next() + "&version=" + query(hash()), "/v5/hashLists?pageToken=" + next(), "/v5/" + next(),
		"/v1/uris:search?threatTypes=MALWARE&uri=" + query("http://listed.example/"+next()), "/v1/uris:search?threatTypes=" + next() + "&uri=" + query("http://["+next()),
		"/v1/hashes:search?threatTypes=MALWARE&hashPrefix=" + query(hash()),
	} {
		p.ask(t, http.MethodGet, path+sep(path)+"key="+next(), "")
	}
	b := p.ask(t, http.MethodGet, "/v5/urls:search?alt=json&urls="+query("http://listed.example/"+next()), "")
	if !bytes.Contains(b, []byte("SOCIAL_ENGINEERING")) {
		t.Errorf("Safe Browsing does not know listed.example: %s", b)
	}
}

func sep(path string) string {
	if strings.Contains(path, "?") {
		return "&"
	}
	return "?"
}

// askSMS sends text messages through every gateway, signed or not.
func (p *privacyServer) askSMS(t *testing.T, next func() string) {
	t.Helper()
	for _, path := range []string{"/kannel", "/jasmin", "/twilio", "/vonage", "/" + next()} {
		for _, link := range []string{"http://sms.example/" + next(), "http://[" + next(), "http://suspicious.headlight.example/?" + next()} {
			secret := next()
			form := url.Values{"text": {secret + " " + link}, "content": {secret + " " + link}, "Body": {secret + " " + link}, "From": {secret}, secret: {secret}, "sig": {secret}, "secret": {secret}}
			req, err := http.NewRequest(http.MethodPost, p.serving.sms+path+"?text="+secret, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("X-Twilio-Signature", secret)
			resp, err := asker.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
}

// askMilter has a mail judged in which everything is secret: who sends it from
// where to whom, its header, its text, and what is against the protocol.
func (p *privacyServer) askMilter(t *testing.T, link, secret string) {
	t.Helper()
	conn, err := dialFrom(askedFrom, "tcp", p.serving.milter)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(code byte, data string) {
		b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
		if _, err := conn.Write(append(append(b, code), data...)); err != nil {
			t.Fatal(err)
		}
	}
	send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	send('D', "Cj\x00"+secret+"\x00{daemon_name}\x00"+secret+"\x00")
	send('C', secret+"\x004\x00\x19"+"192.0.2.1\x00")
	send('H', secret+"\x00")
	send('M', "<"+secret+"@door.example>\x00")
	send('R', "<"+secret+"@door.example>\x00")
	send('L', "Subject\x00"+secret+" "+link+"\x00")
	send('L', "X-Headlight\x00"+secret+"\x00")
	send('L', secret+"\x00"+secret+"\x00")
	send('N', "")
	send('B', secret+" "+link+" ")
	send('E', secret)
	send('z', secret) // there is no such command: the connection ends
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("X-Headlight")) && !bytes.Contains(answer, []byte("550 5.7.1")) {
		t.Errorf("the milter answered %q: %v", answer, err)
	}
}

// askChanges listens to the stream of changes until it begins.
func (p *privacyServer) askChanges(t *testing.T, secret string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url+"/v1/changes?"+secret+"="+secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", secret)
	resp, err := asker.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func (p *privacyServer) askHeaders(t *testing.T, secret string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Origin", "From", "Accept"} {
		req.Header.Set(name, secret)
	}
	req.Host = secret + ".example"
	resp, err := asker.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// askByCommand asks as the commands do, beside the server.
func (p *privacyServer) askByCommand(t *testing.T, secret string) {
	t.Helper()
	p.command(t, "see http://door.example/cmd?"+secret+" and "+secret, "scan", "-type", "text", "-v", "-")
	p.command(t, "", "check", "-v", "http://door.example/cmd/"+secret)
	p.command(t, "", "explain", "-v", "http://door.example/cmd/"+url.QueryEscape(secret))
}

func (p *privacyServer) command(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	name, err := program(p.path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("headlight %s: %v: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func (p *privacyServer) stop(t *testing.T) {
	t.Helper()
	code, err := p.serving.stop(syscall.SIGTERM)
	if err != nil || code != 0 {
		t.Fatalf("the server exited with %d: %v: %s", code, err, p.log)
	}
}

func (p *privacyServer) export(t *testing.T) []byte {
	t.Helper()
	return p.command(t, "", "log", "export")
}

// eachFile reads all that the server left on disk.
func (p *privacyServer) eachFile(t *testing.T, f func(name string, b []byte)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(p.dir, "data"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		f(name, append(b, name...))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
