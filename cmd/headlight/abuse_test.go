package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

const (
	// answerWithin is how long a client waits for an answer while others abuse the
	// server. It takes milliseconds; a machine that runs all tests at once is slow.
	answerWithin = 10 * time.Second
	// maxGrowth is how much memory all of the abuse may cost, as the runtime counts
	// what it has ever asked the system for.
	maxGrowth = 512 << 20
)

// door is one way in: how it is abused, and how it is asked.
type door struct {
	name    string
	network string // "tcp" or "udp"
	addr    string
	// most is how many connections are open at once.
	most int
	// begun are the beginnings of what a client says, from which it does not go on.
	begun []string
	// wanting is asked again and again by one who reads no answers.
	wanting string
	// ask asks as an honest client does, and looks at the answer.
	ask func() error
}

// Whatever is done at one door, a newcomer gets his answers there and at all the
// others, and memory stays bounded.
func TestAbuseKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newPrivacyServer(t)
	s.publish(t)
	doors := s.doors(t)
	before := s.metric(t, "go_memstats_sys_bytes")
	quiet := s.metric(t, "go_goroutines")
	honest := func(when string) {
		t.Helper()
		for _, d := range doors {
			began := time.Now()
			if err := d.ask(); err != nil {
				t.Errorf("%s: %s gives no answer: %v", when, d.name, err)
			} else if took := time.Since(began); took > answerWithin {
				t.Errorf("%s: %s took %v", when, d.name, took)
			}
		}
	}
	honest("at first")
	for _, d := range doors {
		for _, abuse := range []struct {
			name string
			do   func(*testing.T, *door) []net.Conn
		}{
			{"garbage", garbage}, {"half-open connections", halfOpen}, {"slow writers", slowWriters}, {"slow readers", slowReaders},
		} {
			if d.network == "udp" && abuse.name != "garbage" {
				continue // it knows no connections
			}
			held := abuse.do(t, &d)
			honest(abuse.name + " at " + d.name)
			for _, c := range held {
				c.Close()
			}
		}
		var flood sync.WaitGroup
		for range 8 {
			flood.Go(func() {
				for range 200 {
					d.ask() // some may not be answered
				}
			})
		}
		honest("a flood at " + d.name)
		flood.Wait()
	}
	for late := time.Now().Add(time.Minute); s.metric(t, "go_goroutines") > quiet+50; {
		if time.Now().After(late) {
			t.Fatalf("there are still %.0f goroutines, %.0f at first", s.metric(t, "go_goroutines"), quiet)
		}
	}
	grown := s.metric(t, "go_memstats_sys_bytes") - before
	t.Logf("all of it cost %.0f MiB", grown/(1<<20))
	if grown > maxGrowth {
		t.Errorf("memory has grown by %.0f MiB", grown/(1<<20))
	}
	s.stop(t)
	// Whoever does not speak as he should fills no disk with it.
	var warnings []string
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, "mail rejected") {
			warnings = append(warnings, line)
		}
	}
	if len(warnings) > 100 {
		t.Errorf("it cost %d lines of the log, such as\n%s", len(warnings), strings.Join(warnings[:10], ""))
	}
}

// garbage is said and nothing else, by many; what is answered does not matter.
func garbage(t *testing.T, d *door) (held []net.Conn) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(len(d.name))))
	for i := range 200 {
		b := make([]byte, 1+r.IntN(1200))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		if i%4 == 0 { // some begin as they should
			b = append([]byte(d.begun[i/4%len(d.begun)]), b...)
		}
		c := dial(t, d)
		c.Write(b) // the server may have closed it
		held = append(held, c)
	}
	return held
}

// halfOpen takes every place, and one more: the first has to go.
func halfOpen(t *testing.T, d *door) (held []net.Conn) {
	t.Helper()
	for range d.most + 1 {
		held = append(held, dial(t, d))
	}
	held[0].SetReadDeadline(time.Now().Add(4 * time.Second)) // less than any timeout of the server
	if _, err := held[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: %d connections are open: %v", d.name, len(held), err)
	}
	return held
}

// slowWriters take every place as well, and begin to say something.
func slowWriters(t *testing.T, d *door) (held []net.Conn) {
	t.Helper()
	for i := range d.most + 1 {
		c := dial(t, d)
		io.WriteString(c, d.begun[i%len(d.begun)])
		held = append(held, c)
	}
	return held
}

// slowReaders ask until the server takes no more, or ends it, and read nothing.
func slowReaders(t *testing.T, d *door) (held []net.Conn) {
	t.Helper()
	const most = 16 << 20 // by then it takes what nobody reads
	chunk := bytes.Repeat([]byte(d.wanting), 1+(4<<10)/len(d.wanting))
	var all sync.WaitGroup
	for range 8 {
		c := dial(t, d)
		c.(*net.TCPConn).SetReadBuffer(4 << 10)
		c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		held = append(held, c)
		all.Go(func() {
			for sent := 0; ; sent += len(chunk) {
				c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) // it answers one in far less
				if _, err := c.Write(chunk); err != nil {
					return
				}
				if sent > most {
					t.Errorf("%s: takes questions without end from one who does not read", d.name)
					return
				}
			}
		})
	}
	all.Wait()
	return held
}

func dial(t *testing.T, d *door) net.Conn {
	t.Helper()
	c, err := net.Dial(d.network, d.addr)
	if err != nil {
		t.Fatalf("%s: %v", d.name, err)
	}
	return c
}

// doors are all that listen.
func (p *privacyServer) doors(t *testing.T) []door {
	t.Helper()
	httpAt, smsAt := strings.TrimPrefix(p.url, "http://"), strings.TrimPrefix(p.serving.sms, "http://")
	question, err := new(wire.Msg).SetQuestion("listed.example.bl.zone.example.", wire.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	framed := string(binary.BigEndian.AppendUint16(nil, uint16(len(question)))) + string(question)
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }
	return []door{
		{"the HTTP API", "tcp", httpAt, 4096,
			[]string{"P", "POST /v1/check HTTP/1.1\r\nHost: localhost\r\n", "POST /v1/scan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{\"text\":\""},
			get("/openapi.json"),
			func() error {
				return p.want(http.MethodPost, p.url+"/v1/check", "application/json", `{"links":["http://listed.example/"]}`, `"dangerous"`)
			}},
		{"Safe Browsing", "tcp", httpAt, 4096,
			[]string{"GET /v5/hashLists:batchGet?names=", "POST /v4/threatMatches:find HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n{"},
			get("/v5/hashLists:batchGet?alt=json&names=gc-32b"),
			func() error {
				return p.want(http.MethodGet, p.url+"/v5/hashList/gc-32b?alt=json", "", "", `"sha256Checksum"`)
			}},
		{"SMS webhooks", "tcp", smsAt, 256,
			[]string{"G", "GET /kannel?text=", "POST /jasmin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\ncontent="},
			get("/kannel?text=http://phishing.headlight.example/"),
			func() error {
				return p.want(http.MethodGet, p.serving.sms+"/kannel?text="+url.QueryEscape("http://phishing.headlight.example/"), "", "", "DANGEROUS")
			}},
		{"the milter", "tcp", p.serving.milter, 1000,
			[]string{"\x00", milterPacket('O', milterOptions)[:9], "\xff\xff\xff\xffO", "\x00\x01\x00\x00B"},
			milterPacket('O', milterOptions),
			p.wantRejected},
		{"DNS over TCP", "tcp", p.serving.dns, 256,
			[]string{"\x00", "\xff\xff", framed[:20]},
			framed,
			func() error { return p.wantListed("tcp") }},
		{"DNS over UDP", "udp", p.serving.dns, 0,
			[]string{framed[2:]},
			"",
			func() error { return p.wantListed("udp") }},
	}
}

const milterOptions = "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"

func milterPacket(code byte, data string) string {
	return string(append(binary.BigEndian.AppendUint32(nil, uint32(1+len(data))), code)) + data
}

// newcomer keeps no connections: each question comes as if from somebody new.
var newcomer = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

func (p *privacyServer) want(method, url, media, body, want string) error {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := newcomer.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Contains(b, []byte(want)) {
		err = fmt.Errorf("%s: %.300s", resp.Status, b)
	}
	return err
}

// wantRejected has a mail judged.
func (p *privacyServer) wantRejected() error {
	c, err := net.Dial("tcp", p.serving.milter)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	mail := milterPacket('O', milterOptions) + milterPacket('M', "<a@door.example>\x00") + milterPacket('R', "<b@door.example>\x00") +
		milterPacket('L', "Subject\x00hello\x00") + milterPacket('N', "") + milterPacket('E', "http://phishing.headlight.example/") + milterPacket('Q', "")
	if _, err := io.WriteString(c, mail); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !bytes.Contains(answer, []byte("550 5.7.1")) {
		err = fmt.Errorf("%q", answer)
	}
	return err
}

// wantListed asks for a name that is listed. UDP may lose a packet of a flood.
func (p *privacyServer) wantListed(network string) error {
	var err error
	for range 5 {
		var a *wire.Msg
		ask := wire.Client{Net: network, Timeout: 2 * time.Second}
		a, _, err = ask.Exchange(new(wire.Msg).SetQuestion("listed.example.bl.zone.example.", wire.TypeA), p.serving.dns)
		if err == nil && len(a.Answer) != 1 {
			err = fmt.Errorf("%v", a)
		}
		if network == "tcp" || !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	return err
}

// metric reads one of the server's metrics that has no labels.
func (s *serving) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := newcomer.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n"+name+" ")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("metric %s: %q", name, text)
	}
	return n
}
