package lists

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"headlight.example/blocklist"
)

// bare is the name or address of an entry that speaks of a whole one; "" for
// others.
func bare(x *blocklist.Entry) string {
	if x.Kind != blocklist.Name && x.Kind != blocklist.Addr {
		return ""
	}
	return strings.Trim(x.Host(), "[]")
}

func writeHosts(_ *Files, e *blocklist.Edition, w *writer) {
	for _, x := range e.Entries() {
		if host := bare(&x); host != "" {
			w.line(host)
		}
	}
}

func writeDomains(_ *Files, e *blocklist.Edition, w *writer) {
	for _, x := range e.Entries() {
		if x.Kind == blocklist.Name && x.Host() == x.Domain() {
			w.line(x.Host())
		}
	}
}

func writeURLs(_ *Files, e *blocklist.Edition, w *writer) {
	for _, x := range e.Entries() {
		w.line("http://", x.Expression)
	}
}

func writeHostsFile(_ *Files, e *blocklist.Edition, w *writer) {
	w.line("# Headlight, edition ", strconv.FormatUint(uint64(e.Serial()), 10), ", ", e.Made().Format(time.RFC3339))
	for _, x := range e.Entries() {
		if x.Kind == blocklist.Name {
			w.line("0.0.0.0 ", x.Host())
		}
	}
}

// RFC 4180. Expressions hold no line ends: the canonical form escapes them.
func writeCSV(_ *Files, e *blocklist.Edition, w *writer) {
	w.line("expression,kind,threat,since\r")
	for _, x := range e.Entries() {
		text := x.Expression
		if strings.ContainsAny(text, `",`) {
			text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
		}
		w.line(text, ",", x.Kind.String(), ",", x.Threat.String(), ",", x.Since().Format(time.RFC3339), "\r")
	}
}

func writeJSONLines(_ *Files, e *blocklist.Edition, w *writer) {
	for _, x := range e.Entries() {
		w.json(struct {
			Expression string    `json:"expression"`
			Kind       string    `json:"kind"`
			Threat     string    `json:"threat"`
			Since      time.Time `json:"since"`
		}{x.Expression, x.Kind.String(), x.Threat.String(), x.Since()})
		w.line()
	}
}

// zoneTTL is the time to live of a response policy zone's records, in seconds;
// its refresh and retry too. What is taken back must not live on in caches.
const zoneTTL = 60

// writeZone writes names relative to the zone, so that it goes by any name.
func writeZone(_ *Files, e *blocklist.Edition, w *writer) {
	w.line("$TTL ", strconv.Itoa(zoneTTL))
	w.line("@ SOA localhost. hostmaster.localhost. ", strconv.FormatUint(uint64(e.Serial()), 10), " 60 60 604800 60")
	w.line("@ NS localhost.")
	for _, x := range e.Entries() {
		if host := x.Trigger(); host != "" {
			w.line(host, " CNAME .")
			w.line("*.", host, " CNAME .")
		}
	}
}

// json writes a value as JSON; the values here always can be.
func (w *writer) json(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.b = append(w.b, b...)
	w.spill()
}

// uuid is one of version 5 (RFC 9562 §5.5).
type uuid [16]byte

func (u uuid) String() string {
	s := hex.EncodeToString(u[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// name gives the UUID of something in the installation's own namespace.
func (f *Files) name(parts ...string) (u uuid) {
	h := sha1.New()
	h.Write(f.id[:])
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

func (f *Files) event() uuid { return f.name("misp", "event") }

const info = "Links that Headlight finds dangerous"

type mispOrg struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

type mispTag struct {
	Name   string `json:"name"`
	Colour string `json:"colour"`
}

var tlpClear = []mispTag{{"tlp:clear", "#ffffff"}}

func (f *Files) org() mispOrg { return mispOrg{"Headlight", f.name("org").String()} }

func writeManifest(f *Files, e *blocklist.Edition, w *writer) {
	w.json(map[string]any{f.event().String(): map[string]any{
		"info": info, "Orgc": f.org(), "Tag": tlpClear, "analysis": 2, "threat_level_id": 2,
		"date": e.Made().Format(time.DateOnly), "timestamp": e.Made().Unix(),
	}})
	w.line()
}

// mispValue is an entry in MISP's words.
func mispValue(x *blocklist.Entry) (kind, value string) {
	switch x.Kind {
	case blocklist.Name:
		if x.Host() == x.Domain() {
			return "domain", x.Host()
		}
		return "hostname", x.Host()
	case blocklist.Addr:
		return "ip-dst", bare(x)
	}
	return "url", "http://" + x.Expression
}

// writeEvent writes the event of the feed (MISP core format).
func writeEvent(f *Files, e *blocklist.Edition, w *writer) {
	w.b = append(w.b, `{"Event":{"uuid":`...)
	w.json(f.event().String())
	w.b = append(w.b, `,"info":`...)
	w.json(info)
	w.b = append(w.b, `,"Orgc":`...)
	w.json(f.org())
	w.b = append(w.b, `,"Tag":`...)
	w.json(tlpClear)
	w.b = fmt.Appendf(w.b, `,"date":%q,"timestamp":"%d","publish_timestamp":"%d","published":true,"analysis":"2","threat_level_id":"2","distribution":"3","Attribute":[`,
		e.Made().Format(time.DateOnly), e.Made().Unix(), e.Made().Unix())
	for i, x := range e.Entries() {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		kind, value := mispValue(&x)
		w.json(map[string]any{
			"uuid": f.name("attribute", x.Expression).String(), "type": kind, "category": "Network activity", "value": value,
			"to_ids": true, "comment": x.Threat.String(), "timestamp": strconv.FormatInt(x.Since().Unix(), 10),
		})
		w.b = append(w.b, '\n')
	}
	w.b = append(w.b, "]}}\n"...)
}

func writeHashes(f *Files, e *blocklist.Edition, w *writer) {
	event := f.event().String()
	for _, x := range e.Entries() {
		_, value := mispValue(&x)
		sum := md5.Sum([]byte(value))
		w.line(hex.EncodeToString(sum[:]), ",", event)
	}
}

// stixTime is a timestamp of STIX 2.1 §3.16.
func stixTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// stixPattern is an entry as a pattern (STIX 2.1 §9).
func stixPattern(x *blocklist.Entry) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	switch x.Kind {
	case blocklist.Name:
		return "[domain-name:value = " + quote(x.Host()) + "]"
	case blocklist.Addr:
		if host := bare(x); strings.Contains(host, ":") {
			return "[ipv6-addr:value = " + quote(host) + "]"
		}
		return "[ipv4-addr:value = " + quote(x.Host()) + "]"
	case blocklist.Path:
		return "[url:value MATCHES " + quote("^https?://"+regexp.QuoteMeta(x.Expression)) + "]"
	}
	return "[url:value = " + quote("http://"+x.Expression) + " OR url:value = " + quote("https://"+x.Expression) + "]"
}

type indicator struct {
	Type        string   `json:"type"`
	SpecVersion string   `json:"spec_version"`
	ID          string   `json:"id"`
	CreatedBy   string   `json:"created_by_ref"`
	Created     string   `json:"created"`
	Modified    string   `json:"modified"`
	Revoked     bool     `json:"revoked,omitempty"`
	Types       []string `json:"indicator_types"`
	Labels      []string `json:"labels"`
	Pattern     string   `json:"pattern"`
	PatternType string   `json:"pattern_type"`
	ValidFrom   string   `json:"valid_from"`
}

// writeSTIX writes a bundle (STIX 2.1 §8). What was taken out of the list while
// its differences were kept is in it as revoked (§3.5).
func writeSTIX(f *Files, e *blocklist.Edition, w *writer) {
	identity := "identity--" + f.name("org").String()
	w.b = append(w.b, `{"type":"bundle","id":`...)
	w.json("bundle--" + f.name("bundle", strconv.FormatUint(uint64(e.Serial()), 10)).String())
	w.b = append(w.b, `,"objects":[`...)
	const founded = "2026-01-01T00:00:00.000Z" // an object's creation never changes
	w.json(map[string]any{"type": "identity", "spec_version": "2.1", "id": identity, "created": founded, "modified": founded,
		"name": "Headlight", "identity_class": "system"})
	add := func(x *blocklist.Entry, revoked bool) {
		w.b = append(w.b, ",\n"...)
		i := indicator{
			Type: "indicator", SpecVersion: "2.1", CreatedBy: identity, Types: []string{"malicious-activity"},
			ID:      "indicator--" + f.name("indicator", x.Expression, x.Kind.String(), x.Threat.String()).String(),
			Created: stixTime(x.Since()), Modified: stixTime(x.Since()), ValidFrom: stixTime(x.Since()),
			Labels: []string{x.Threat.String()}, Pattern: stixPattern(x), PatternType: "stix", Revoked: revoked,
		}
		if revoked {
			i.Modified = stixTime(e.Made())
		}
		w.json(i)
	}
	for _, x := range e.Entries() {
		add(&x, false)
	}
	if d, ok := f.shelf.Between(f.shelf.Serials()[0], e.Serial()); ok {
		for _, x := range d.Removed {
			add(&x, true)
		}
	}
	w.b = append(w.b, "]}\n"...)
}
